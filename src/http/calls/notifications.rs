//! `POST /notifications`: to one user or to many, all or nothing, on disk before it is answered.

use super::{Shape, Task, check_level, check_object, check_payload};
use crate::{
    config::limits::{NOTIFICATION_BYTES_MAX, TITLE_CHARS_MAX},
    http::{ApiError, Object, answer::Answer, object::missing, request::Request},
    protocol::{Timestamp, UserId, frames::NotificationView},
    records::{Op, Reply},
};
use serde::Serialize;
use serde_json::{json, value::RawValue};

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
        let chars = self.title.chars().count();
        if chars == 0 || chars > TITLE_CHARS_MAX {
            return Err(ApiError::invalid(
                "title",
                format!("title must have 1 to {TITLE_CHARS_MAX} characters, not {chars}"),
            ));
        }
        check_level(&self.level)?;
        check_object("data", &self.data)?;
        if let Receivers::Many(users) = &self.to {
            super::groups::check_users("user_ids", users)?;
        }
        let bytes = self.encoded_len();
        if bytes <= NOTIFICATION_BYTES_MAX {
            return check_payload("data", &self.data);
        }
        let field = if self.data.get().len() > self.message.len() { "data" } else { "message" };
        let message = format!(
            "the notification has {bytes} bytes with its {field}; it may have {NOTIFICATION_BYTES_MAX} (as its sockets get it)"
        );
        Err(ApiError::TooLarge { field: Some(field.to_owned()), message })
    }

    /// Bytes of the notification as frames show it, with the longest id.
    fn encoded_len(&self) -> usize {
        let view = NotificationView {
            id: crate::protocol::JSON_INTEGER_MAX,
            title: &self.title,
            message: &self.message,
            level: &self.level,
            is_read: false,
            created_at: Timestamp::default().to_string(),
            data: &self.data,
        };
        serde_json::to_string(&view).map_or(usize::MAX, |text| text.len())
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
