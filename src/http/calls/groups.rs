//! Events that are told and not stored: to one group, to admin groups, to many users.

use super::{LEVEL, MESSAGE, RECIPIENTS, Task, USERS, check_level, check_payload};
use crate::{
    config::limits::{EVENT_BYTES_MAX, USER_IDS_MAX},
    http::{
        ApiError, Object,
        answer::Answer,
        object::{self, no_repeats, shown, string},
        openapi::{Field, Kind, Operation},
        request::Request,
    },
    protocol::{
        GroupName, UserId,
        event::{self, EventFrames, Fields},
    },
};
use serde_json::value::{RawValue, to_raw_value};

const SHOWS_MESSAGE: &str = "notification_message";

macro_rules! data_events {
    ($($kind:literal)*) => {
        /// Multicasts of every type.
        const MULTICASTS: &[Kind] = &multicasts!("type" $($kind)*);
        /// The same by the names of the backend's function.
        const FUNCTION_MULTICASTS: &[Kind] = &multicasts!("message_type" $($kind)*);
        const MULTICAST_TYPES: &[&str] = &[SHOWS_MESSAGE, $($kind),*];
    };
}
macro_rules! multicasts {
    ($type:literal $($kind:literal)*) => {[
        Kind::Arguments(&[
            USERS,
            Field::optional($type, Kind::Choice(&[SHOWS_MESSAGE]), "The event's type."),
            Field::required("message_data", Kind::Open(&[TYPE_OF_MESSAGE, MESSAGE, EVENT_LEVEL]), "The event's other fields."),
        ]),
        $(Kind::Arguments(&[
            USERS,
            Field::required($type, Kind::Choice(&[$kind]), "The event's type."),
            Field::required(
                "message_data",
                Kind::Open(&[Field::optional("type", Kind::Choice(&[$kind]), "If it is there, the same."), EVENT_DATA]),
                "The event's other fields.",
            ),
        ]),)*
    ]};
}

const TYPE_OF_MESSAGE: Field = Field::optional("type", Kind::Choice(&[SHOWS_MESSAGE]), "If it is there, the same.");
const EVENT_LEVEL: Field = Field::optional("level", LEVEL.kind, "`info` if it is not said.");
const EVENT_DATA: Field = Field::required("data", Kind::Any, "What the page is shown.");
data_events!(
    "dashboard_update" "subscription_status_update" "payment_confirmation" "subscription_expiry_warning"
    "new_notification" "notification_read"
);

/// An event as a group may know it.
pub(super) const EVENT: Kind = Kind::Named(
    "Event",
    &Kind::OneOf(&[
        Kind::Open(&[Field::required("type", Kind::Choice(&[SHOWS_MESSAGE]), ""), MESSAGE, EVENT_LEVEL]),
        Kind::Open(&[
            Field::required(
                "type",
                Kind::Choice(&[
                    "dashboard_update",
                    "system_update",
                    "subscription_status_update",
                    "payment_confirmation",
                    "subscription_expiry_warning",
                    "new_subscription_alert",
                    "subscription_cancellation_alert",
                    "new_notification",
                    "notification_read",
                ]),
                "",
            ),
            EVENT_DATA,
        ]),
        Kind::Open(&[
            Field::required("type", Kind::Choice(&["user_online"]), ""),
            Field::required("user_id", Kind::Any, ""),
            Field::required("username", Kind::Any, ""),
            Field::required("first_name", Kind::Any, ""),
            Field::required("last_name", Kind::Any, ""),
        ]),
        Kind::Open(&[
            Field::required("type", Kind::Choice(&["user_offline"]), ""),
            Field::required("user_id", Kind::Any, ""),
            Field::required("username", Kind::Any, ""),
        ]),
    ]),
);

/// Groups that a broadcast may go to.
const TOLD_GROUPS: Kind = Kind::Many {
    of: &Kind::Pattern {
        pattern: "^(admin_dashboard|subscription_admin|(dashboard|notifications)_user_[A-Za-z0-9_.@+-]{1,64})$",
        matches: |name| GroupName::parse(name).is_ok_and(|group| event::known_types(&group).contains(&SHOWS_MESSAGE)),
    },
    min: 1,
    max: USER_IDS_MAX,
    distinct: true,
};
const TOLD: &str = "Groups that know `notification_message`; those of the admins if it is not said.";

/// What [`Broadcast::read`] takes.
const BROADCAST_ARGUMENTS: Kind = Kind::Arguments(&[MESSAGE, LEVEL, Field::optional("groups", TOLD_GROUPS, TOLD)]);
/// The same by the names of the backend's function.
pub(super) const BROADCAST_FUNCTION: Kind =
    Kind::Arguments(&[MESSAGE, LEVEL, Field::optional("target_groups", TOLD_GROUPS, TOLD)]);
/// What [`Multicast::read`] takes.
const MULTICAST_ARGUMENTS: Kind = Kind::Cases(
    &[
        USERS,
        Field::optional("type", Kind::Choice(MULTICAST_TYPES), ""),
        Field::required("message_data", Kind::Object, ""),
    ],
    MULTICASTS,
);
/// The same by the names of the backend's function.
pub(super) const MULTICAST_FUNCTION: Kind = Kind::Cases(
    &[
        USERS,
        Field::optional("message_type", Kind::Choice(MULTICAST_TYPES), ""),
        Field::required("message_data", Kind::Object, ""),
    ],
    FUNCTION_MULTICASTS,
);

/// `POST /groups/{group}/send`
pub(in crate::http) const SEND: Operation = Operation::tells(
    "sendToGroup",
    "Shows an event to whoever is in a group now; nothing is stored. Which types a group knows, the answer to a wrong one says.",
)
.takes(EVENT)
.answers(202, RECIPIENTS)
.fails(&["unknown_group"]);
/// `POST /broadcasts`
pub(in crate::http) const BROADCAST: Operation =
    Operation::tells("broadcast", "Shows a message to groups; nothing is stored.")
        .takes(BROADCAST_ARGUMENTS)
        .answers(202, RECIPIENTS);
/// `POST /multicast`
pub(in crate::http) const MULTICAST: Operation = Operation::tells(
    "multicast",
    "Shows one event to each of many users, in the group of the user that its type belongs to; nothing is stored.",
)
.takes(MULTICAST_ARGUMENTS)
.answers(202, RECIPIENTS);

/// An event for one group.
#[derive(Clone, Debug)]
pub struct GroupSend {
    /// As backends write it, for example `dashboard_user_42`.
    pub group: String,
    /// The event, with its `type`.
    pub event: Fields,
}

impl GroupSend {
    pub(crate) fn task(self) -> Result<Task, ApiError> {
        let group = GroupName::parse(&self.group).map_err(|unknown| ApiError::UnknownGroup(unknown.to_string()))?;
        let frames = encode(&group, &self.event)?;
        Ok(Task::Tell(vec![group], frames))
    }
}

/// A message to groups, by default to those of the admins.
#[derive(Clone, Debug)]
pub struct Broadcast {
    /// Free text.
    pub message: String,
    /// `info`, `success`, `warning` or `error`.
    pub level: String,
    /// 1 to 1,000 groups that know `notification_message`; `None`: `admin_dashboard` and `subscription_admin`.
    pub groups: Option<Vec<String>>,
}

impl Broadcast {
    /// `{message, level?, groups?}`; batches call the groups `target_groups`.
    pub(super) fn read(object: &mut Object, groups: &'static str) -> Result<Self, ApiError> {
        let named = object.optional_array(groups)?;
        let named = named.map(|names| names.iter().map(|raw| string(groups, raw)).collect::<Result<_, _>>());
        Ok(Self {
            message: object.string("message")?,
            level: object.optional_string("level")?.unwrap_or_else(|| "info".into()),
            groups: named.transpose()?,
        })
    }

    pub(crate) fn task(self, field: &str) -> Result<Task, ApiError> {
        check_level(&self.level)?;
        let fields = fields([("type", SHOWS_MESSAGE), ("message", &self.message), ("level", &self.level)])?;
        let names = self.groups.unwrap_or_else(|| vec!["admin_dashboard".into(), "subscription_admin".into()]);
        let mut groups: Vec<GroupName> = Vec::with_capacity(names.len());
        for name in names {
            let wrong =
                |why: &dyn std::fmt::Display| ApiError::invalid(field, format!("{:?} in {field}: {why}", shown(&name)));
            let group = GroupName::parse(&name).map_err(|unknown| wrong(&unknown))?;
            if !event::known_types(&group).contains(&SHOWS_MESSAGE) {
                let known = event::known_types(&group).join(", ");
                return Err(wrong(&format!("this group does not know {SHOWS_MESSAGE}; it knows {known}")));
            }
            if groups.contains(&group) {
                return Err(wrong(&"it stands there twice; name each once"));
            }
            groups.push(group);
        }
        tell(groups, field, &fields)
    }
}

/// One event for each of many users.
#[derive(Clone, Debug)]
pub struct Multicast {
    /// 1 to 1,000 users, each once.
    pub users: Vec<UserId>,
    /// Decides, with the protocol's rule, which of the user's groups is told.
    pub kind: String,
    /// The event's other fields, a JSON object.
    pub message_data: Box<RawValue>,
}

impl Multicast {
    /// `{user_ids, type?, message_data}`; batches call the type `message_type`.
    pub(super) fn read(object: &mut Object, kind: &'static str) -> Result<Self, ApiError> {
        Ok(Self {
            users: object.users("user_ids")?,
            kind: object.optional_string(kind)?.unwrap_or_else(|| SHOWS_MESSAGE.into()),
            message_data: object.object("message_data")?,
        })
    }

    pub(crate) fn task(self, kind_field: &str) -> Result<Task, ApiError> {
        check_users("user_ids", &self.users)?;
        check_payload("message_data", &self.message_data)?;
        let mut event: Fields = object::pairs(&self.message_data, "message_data")?.into_iter().collect();
        let own = fields([("type", self.kind.as_str())])?;
        if let Some(inner) = event.get("type")
            && own.get("type").is_some_and(|outer| outer.get() != inner.get())
        {
            let message = format!("message_data has a type of its own; give it as {kind_field}");
            return Err(ApiError::invalid("message_data", message));
        }
        event.extend(own);
        let groups = self.users.into_iter().map(|user| event::multicast_group(user, &self.kind));
        let groups = groups.collect::<Result<Vec<_>, _>>();
        let groups = groups.map_err(|error| ApiError::invalid(kind_field, error.to_string()))?;
        tell(groups, "user_ids", &event).map_err(|error| match error {
            // The caller sent what is wrong within this.
            ApiError::Invalid { message, .. } => ApiError::invalid("message_data", message),
            other => other,
        })
    }
}

/// The same event for groups that all know its type.
fn tell(groups: Vec<GroupName>, field: &str, event: &Fields) -> Result<Task, ApiError> {
    let first = groups.first().ok_or_else(|| ApiError::invalid(field, format!("{field} must name at least one")))?;
    let frames = encode(first, event)?;
    Ok(Task::Tell(groups, frames))
}

/// 1 to 1,000 users, each once.
pub(super) fn check_users(field: &str, users: &[UserId]) -> Result<(), ApiError> {
    USERS.kind.check_count(field, users.len())?;
    no_repeats(field, users)
}

/// The frames of an event, within their bound.
fn encode(group: &GroupName, fields: &Fields) -> Result<EventFrames, ApiError> {
    let frames = event::encode(group, fields).map_err(|error| ApiError::invalid(error.field(), error.to_string()))?;
    let bytes: usize = frames.frames.iter().map(String::len).sum();
    if bytes <= EVENT_BYTES_MAX {
        return Ok(frames);
    }
    let message = format!("the event has {bytes} bytes; it may have {EVENT_BYTES_MAX}");
    Err(ApiError::TooLarge { field: None, message })
}

/// Fields that are strings.
fn fields<const N: usize>(of: [(&str, &str); N]) -> Result<Fields, ApiError> {
    // Writing a string as JSON into memory cannot fail.
    of.into_iter()
        .map(|(name, value)| Ok((name.to_owned(), to_raw_value(value).map_err(|_| ApiError::Internal)?)))
        .collect()
}

/// `POST /groups/{group}/send`
pub(in crate::http) async fn group_send(request: Request) -> Result<Answer, ApiError> {
    let call = GroupSend { group: request.id(0).to_owned(), event: request.event()? };
    request.run(call.task()?).await
}

/// `POST /broadcasts`
pub(in crate::http) async fn broadcast(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let call = Broadcast::read(&mut object, "groups")?;
    object.finish()?;
    request.run(call.task("groups")?).await
}

/// `POST /multicast`
pub(in crate::http) async fn multicast(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let call = Multicast::read(&mut object, "type")?;
    object.finish()?;
    request.run(call.task("type")?).await
}
