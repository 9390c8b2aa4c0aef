//! `POST /notifications`: to one user or to many, all or nothing, on disk before it is answered.

use super::{LEVEL, MESSAGE, Shape, Task, USER, USERS, check_level, check_object, check_payload};
use crate::{
    config::limits::{NOTIFICATION_BYTES_MAX, TITLE_CHARS_MAX},
    http::{
        ApiError, Object,
        answer::Answer,
        object::missing,
        openapi::{
            Field, Kind, Link, Operation,
            kind::{COUNT, TEXT},
        },
        request::Request,
    },
    protocol::{UserId, frames},
    records::{Op, Reply},
};
use serde::Serialize;
use serde_json::{json, value::RawValue};

const TITLE: Field =
    Field::required("title", Kind::Text { min: 1, max: TITLE_CHARS_MAX }, "Shown first.").example("\"On its way\"");
const DATA: Field = Field::optional("data", Kind::Object, "Whatever the page wants of it; `{}` if it is not said.")
    .example("{\"order\": 7}");

/// What [`SendNotification::read`] takes.
pub(super) const ARGUMENTS: Kind = Kind::Cases(
    &[
        Field::optional("user_id", Kind::User, ""),
        Field::optional("user_ids", USERS.kind, ""),
        TITLE,
        MESSAGE,
        LEVEL,
        DATA,
    ],
    &[
        Kind::Arguments(&[
            USER,
            Field::optional("user_ids", Kind::Null, "Only without `user_id`."),
            TITLE,
            MESSAGE,
            LEVEL,
            DATA,
        ]),
        Kind::Arguments(&[
            USERS,
            Field::optional("user_id", Kind::Null, "Only without `user_ids`."),
            TITLE,
            MESSAGE,
            LEVEL,
            DATA,
        ]),
    ],
);

/// `POST /notifications`
pub(in crate::http) const SEND: Operation = Operation::stores(
    "sendNotification",
    "Stores a notification and shows it; to many users all or nothing. With its data it has at most 16 KiB.",
)
.takes(ARGUMENTS)
.answers(
    201,
    Kind::OneOf(&[
        Kind::Record(&[
            Field::required("id", COUNT, "Ascends per tenant."),
            USER,
            TITLE,
            MESSAGE,
            Field::required("level", TEXT, ""),
            Field::required("is_read", Kind::Bool, ""),
            Field::required("created_at", Kind::Time, ""),
            Field::required("data", Kind::Object, ""),
        ]),
        Kind::Record(&[Field::required(
            "notifications",
            Kind::Many {
                of: &Kind::Record(&[Field::required("id", COUNT, ""), USER]),
                min: 1,
                max: 1_000,
                distinct: false,
            },
            "One for each user, in the order asked.",
        )]),
    ]),
)
.leads_to(OF_ONE);

/// What a sender may do with one notification.
const OF_ONE: &[Link] = &[
    Link { operation: "markRead", takes: &[("id", "user_id"), ("nid", "id")] },
    Link { operation: "markUnread", takes: &[("id", "user_id"), ("nid", "id")] },
    Link { operation: "deleteNotification", takes: &[("id", "user_id"), ("nid", "id")] },
    Link { operation: "listNotifications", takes: &[("id", "user_id")] },
];

/// Who gets a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receivers {
    /// One user; answered with the whole notification.
    One(UserId),
    /// 1 to 1,000 users, each once; answered with their ids.
    Many(Vec<UserId>),
}

/// A notification to send.
#[derive(Clone, Debug)]
pub struct SendNotification {
    /// Who gets it.
    pub to: Receivers,
    /// 1 to 200 characters.
    pub title: String,
    /// Free text.
    pub message: String,
    /// `info`, `success`, `warning` or `error`.
    pub level: String,
    /// A JSON object.
    pub data: Box<RawValue>,
}

/// A notification as its sender sees it.
#[derive(Serialize)]
struct Sent<'a> {
    id: u64,
    user_id: serde_json::Value,
    title: &'a str,
    message: &'a str,
    level: &'a str,
    is_read: bool,
    created_at: String,
    data: &'a RawValue,
}

impl SendNotification {
    /// `{user_id | user_ids, title, message, level?, data?}`
    pub(super) fn read(object: &mut Object) -> Result<Self, ApiError> {
        let to = match (object.optional_user("user_id")?, object.optional_users("user_ids")?) {
            (Some(user), None) => Receivers::One(user),
            (None, Some(users)) => Receivers::Many(users),
            (None, None) => return Err(missing("user_id", "a user id; for several users, send user_ids")),
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid("user_ids", "send either user_id or user_ids, not both"));
            }
        };
        Ok(Self {
            to,
            title: object.string("title")?,
            message: object.string("message")?,
            level: object.optional_string("level")?.unwrap_or_else(|| "info".into()),
            data: object.optional_object("data")?.unwrap_or_else(empty),
        })
    }

    pub(crate) fn task(self) -> Result<Task, ApiError> {
        self.check()?;
        let users = match &self.to {
            Receivers::One(user) => vec![user.clone()],
            Receivers::Many(users) => users.clone(),
        };
        let op = Op::SendNotification {
            users,
            title: self.title.clone(),
            message: self.message.clone(),
            level: self.level.clone(),
            data: self.data.get().to_owned(),
        };
        let shape = match &self.to {
            Receivers::One(_) => Shape::Notification(Box::new(self)),
            Receivers::Many(_) => Shape::Notifications,
        };
        Ok(Task::Change(op, shape))
    }

    fn check(&self) -> Result<(), ApiError> {
        TITLE.kind.check_text(TITLE.name, &self.title)?;
        check_level(&self.level)?;
        check_object("data", &self.data)?;
        if let Receivers::Many(users) = &self.to {
            super::groups::check_users("user_ids", users)?;
        }
        let bytes = frames::longest_notification((&self.title, &self.message), &self.level, &self.data);
        if bytes <= NOTIFICATION_BYTES_MAX {
            return check_payload("data", &self.data);
        }
        let field = if self.data.get().len() > self.message.len() { "data" } else { "message" };
        let message = format!(
            "the notification has {bytes} bytes with its {field}; it may have {NOTIFICATION_BYTES_MAX} (as its sockets get it)"
        );
        Err(ApiError::TooLarge { field: Some(field.to_owned()), message })
    }

    /// 201 with the notification.
    pub(super) fn answer(&self, reply: &Reply) -> Result<Answer, ApiError> {
        let Reply::Created { notifications, created_at } = reply else { return Err(ApiError::Internal) };
        let Some((user, id)) = notifications.first() else { return Err(ApiError::Internal) };
        let sent = Sent {
            id: *id,
            user_id: user.wire(),
            title: &self.title,
            message: &self.message,
            level: &self.level,
            is_read: false,
            created_at: created_at.to_string(),
            data: &self.data,
        };
        Ok(Answer::new(201, &sent))
    }
}

/// 201 with an id for each user, in the order asked.
pub(super) fn answer_many(reply: &Reply) -> Result<Answer, ApiError> {
    let Reply::Created { notifications, .. } = reply else { return Err(ApiError::Internal) };
    let list: Vec<_> = notifications.iter().map(|(user, id)| json!({"id": id, "user_id": user.wire()})).collect();
    Ok(Answer::new(201, &json!({"notifications": list})))
}

/// `{}`
fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".into()).unwrap_or_default()
}

/// `POST /notifications`
pub(in crate::http) async fn send(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let call = SendNotification::read(&mut object)?;
    object.finish()?;
    request.run(call.task()?).await
}
