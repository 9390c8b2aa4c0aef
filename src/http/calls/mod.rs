//! The calls. Each is a struct of typed arguments that reads itself from JSON and becomes a task; HTTP handlers,
//! batches and embedding programs all go this one way.

pub(super) mod admin;
pub(super) mod backup;
mod batch;
pub(super) mod cluster;
pub(super) mod functions;
pub(super) mod groups;
pub(super) mod import;
pub(super) mod inbox;
pub(super) mod notifications;
pub(super) mod presence;
pub(super) mod run;
pub(super) mod stats;
pub(super) mod tickets;
pub(super) mod updates;
pub(super) mod users;

pub use admin::{RaiseAlert, UpdateAdminDashboard};
pub use groups::{Broadcast, GroupSend, Multicast};
pub use import::Import;
pub use inbox::{ChangeInbox, InboxChange};
pub use notifications::{Receivers, SendNotification};
pub use tickets::{IssueTicket, IssuedTicket};
pub use updates::{Update, UpdateKind};
pub use users::PutUser;

pub(super) use backup::backup;
pub(super) use batch::{BATCH, batch};
pub(super) use groups::{broadcast, group_send, multicast};
pub(super) use import::import;
pub(super) use inbox::{delete, list, read, read_all, unread, unread_count};
pub(super) use notifications::send as send_notification;
pub(super) use presence::{online, presence_of};
pub(super) use stats::stats;
pub(super) use tickets::issue_ticket;
pub(super) use updates::{dashboard, expiry_warning, payment, payments, subscription};
pub(super) use users::{disconnect, erase_user, get_user, put_user};

use super::{
    ApiError,
    answer::Answer,
    object::{check_text, is_object, shown},
    openapi::{
        Field, Kind,
        kind::{COUNT, TEXT},
    },
    position::POSITION,
};
use crate::{
    config::limits::{EVENT_BYTES_MAX, USER_IDS_MAX},
    protocol::{
        GroupName, UserId,
        event::{EventFrames, LEVELS},
    },
    records::{Op, Reply},
    tally::Recipients,
};
use serde_json::{json, value::RawValue};

/// How loud a message is.
const LEVEL: Field = Field::optional("level", Kind::Choice(&LEVELS), "How loud it is shown; `info` if it is not said.")
    .example("\"success\"");
/// Free text of a message.
const MESSAGE: Field = Field::required("message", TEXT, "Free text.").example("\"Order 7 arrives tomorrow.\"");
/// The user that an argument names.
const USER: Field = Field::required("user_id", Kind::User, "The user.").example("42");
/// Users that an argument names.
const USERS: Field = Field::required(
    "user_ids",
    Kind::Many { of: &Kind::User, min: 1, max: USER_IDS_MAX, distinct: true },
    "The users, each once.",
)
.example("[42, \"ada\"]");
/// Where an answer stands among the events of sockets.
const POS: Field = Field::required(
    "pos",
    POSITION,
    "Where this stands among events: those of sockets with a later `pos` are not in it. A v1 socket that resumes after it \
    gets exactly those. Of several pages, go by the first.",
);
/// 202
const RECIPIENTS: Kind = Kind::Named(
    "Recipients",
    &Kind::Record(&[
        Field::required("recipients", COUNT, "How many connections were reached."),
        Field::optional("partial", Kind::Bool, "`true` when some could not be counted in time, or were not told."),
    ]),
);

/// A call whose arguments have been read and checked.
#[derive(Debug)]
pub(crate) enum Task {
    /// Through the log; answered once it is committed.
    Change(Op, Shape),
    /// To the sockets of these groups, at once, the same for all; nothing is stored.
    Tell(Vec<GroupName>, EventFrames),
}

/// How a committed change is answered.
#[derive(Debug)]
pub(crate) enum Shape {
    /// 201 with the notification, which is this but for its id and time.
    Notification(Box<SendNotification>),
    /// 201 with the receivers and their ids.
    Notifications,
    /// 202 with how many were told.
    Recipients,
    /// 200 with the unread count; 404 if this one does not exist.
    Unread(Option<u64>),
    /// 200 with the user's row.
    User(UserId),
    /// 200 with how many sockets were closed.
    Closed,
    /// 200 with what came of each record.
    Imported,
}

impl Shape {
    fn shows_recipients(&self) -> bool {
        matches!(self, Self::Recipients | Self::Closed)
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The state machine's answer; [`Reply::Done`] for what is not stored.
    pub reply: Reply,
    /// How many outboxes were reached.
    pub recipients: Recipients,
    /// Whether this is the answer to an earlier call with the same idempotency key; nobody was told again.
    pub is_replay: bool,
}

impl Done {
    /// 202 `{recipients, partial?}`
    fn recipients(&self) -> Answer {
        let mut body = json!({"recipients": self.recipients.count});
        if self.recipients.partial {
            body["partial"] = true.into();
        }
        Answer::new(202, &body)
    }
}

/// A payload that is an object.
fn check_object(field: &str, payload: &RawValue) -> Result<(), ApiError> {
    if is_object(payload) {
        return Ok(());
    }
    Err(ApiError::invalid(field, format!("{field} must be a JSON object, not {}", shown(payload.get()))))
}

/// A payload that fits an event, and that every JSON reader understands. (What came over HTTP was looked at before;
/// an embedding program's was not.)
fn check_payload(field: &str, payload: &RawValue) -> Result<(), ApiError> {
    let bytes = payload.get().len();
    if bytes > EVENT_BYTES_MAX {
        let message = format!("{field} has {bytes} bytes; an event carries at most {EVENT_BYTES_MAX}");
        return Err(ApiError::TooLarge { field: Some(field.to_owned()), message });
    }
    check_text(payload.get()).map_err(|error| ApiError::invalid(field, format!("{field}: {error}")))
}

/// One of the protocol's levels.
fn check_level(level: &str) -> Result<(), ApiError> {
    LEVEL.kind.check_text(LEVEL.name, level)
}
