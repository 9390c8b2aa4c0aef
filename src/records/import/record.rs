//! What can be taken over from another system: values, what is wrong with them, and how they look in the server API.

use crate::{
    config::limits::{IMPORT_KEY_MAX, JSON_DEPTH_MAX, NAME_CHARS_MAX, NOTIFICATION_BYTES_MAX, TITLE_CHARS_MAX},
    protocol::{Timestamp, UserId, event::LEVELS, frames},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// How deep a record's data lies in the body of the call that carries it.
const DEPTH_OF_DATA: usize = 3;

/// A record of another system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportRecord {
    /// A user for the directory.
    User(ImportUser),
    /// A notification of a user.
    Notification(ImportNotification),
    /// When a user was last there.
    Presence(ImportPresence),
}

/// See [`ImportRecord::User`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportUser {
    /// Who.
    pub user: UserId,
    /// Login name; at most 150 characters, as are the others.
    pub username: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// May sign in.
    pub is_active: bool,
    /// May open admin endpoints.
    pub is_staff: bool,
}

/// See [`ImportRecord::Notification`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportNotification {
    /// The other system's primary key; the id here follows from it.
    pub key: u64,
    /// Whose.
    pub user: UserId,
    /// 1 to 200 characters.
    pub title: String,
    /// Free text.
    pub message: String,
    /// One of [`LEVELS`].
    pub level: String,
    /// A JSON object.
    pub data: String,
    /// Its read state.
    pub is_read: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

/// See [`ImportRecord::Presence`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPresence {
    /// Whose.
    pub user: UserId,
    /// When the user was last online.
    pub last_seen: Option<Timestamp>,
    /// When the user last did something.
    pub last_activity: Option<Timestamp>,
}

/// What came of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportOutcome {
    /// It is there now.
    Made,
    /// It was there already, the same.
    Same,
    /// It was there already, with other content, which stays.
    Differs,
    /// It was imported before and has been deleted since: it stays so.
    Gone,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRecord {
    /// Which field.
    pub field: &'static str,
    /// What it is, and what would be right.
    pub message: String,
}

fn bad(field: &'static str, message: String) -> Result<(), BadRecord> {
    Err(BadRecord { field, message })
}

impl ImportRecord {
    /// Whether the state machine takes it.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), BadRecord> {
        match self {
            Self::User(user) => {
                check_name("username", &user.username)?;
                check_name("first_name", &user.first_name)?;
                check_name("last_name", &user.last_name)
            }
            Self::Notification(notification) => notification.check(),
            Self::Presence(_) => Ok(()),
        }
    }

    /// The record as the server API reads it, JSON text.
    pub fn to_json(&self) -> String {
        match self {
            Self::User(user) => json(&User {
                kind: "user",
                user_id: user.user.wire(),
                username: &user.username,
                first_name: &user.first_name,
                last_name: &user.last_name,
                is_active: user.is_active,
                is_staff: user.is_staff,
            }),
            Self::Notification(n) => json(&Notification {
                kind: "notification",
                key: n.key,
                user_id: n.user.wire(),
                title: &n.title,
                message: &n.message,
                level: &n.level,
                is_read: n.is_read,
                created_at: n.created_at.to_string(),
                data: n.raw_data(),
            }),
            Self::Presence(presence) => json(&Presence {
                kind: "presence",
                user_id: presence.user.wire(),
                last_seen: presence.last_seen.map(|at| at.to_string()),
                last_activity: presence.last_activity.map(|at| at.to_string()),
            }),
        }
    }

    /// Bytes that it takes, without what every row takes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::User(user) => user.username.len() + user.first_name.len() + user.last_name.len(),
            Self::Notification(n) => n.title.len() + n.message.len() + n.data.len(),
            Self::Presence(_) => 0,
        }
    }
}

impl ImportNotification {
    fn check(&self) -> Result<(), BadRecord> {
        if self.key == 0 || self.key > IMPORT_KEY_MAX {
            return bad("key", format!("the key must be an integer from 1 to {IMPORT_KEY_MAX}, not {}", self.key));
        }
        let chars = self.title.chars().count();
        if chars == 0 || chars > TITLE_CHARS_MAX {
            return bad("title", format!("the title must have 1 to {TITLE_CHARS_MAX} characters, not {chars}"));
        }
        if !LEVELS.contains(&self.level.as_str()) {
            return bad("level", format!("the level must be one of {}, not {:?}", LEVELS.join(", "), self.level));
        }
        self.check_data()?;
        let bytes = frames::longest_notification((&self.title, &self.message), &self.level, self.raw_data());
        if bytes > NOTIFICATION_BYTES_MAX {
            let message =
                format!("the notification has {bytes} bytes as sockets get it; it may have {NOTIFICATION_BYTES_MAX}");
            return bad(if self.data.len() > self.message.len() { "data" } else { "message" }, message);
        }
        Ok(())
    }

    fn check_data(&self) -> Result<(), BadRecord> {
        // Into values, so that what readers stumble over is found: halves of surrogate pairs, endless nesting.
        match serde_json::from_str::<Value>(&self.data) {
            Ok(data @ Value::Object(_)) if depth(&data) + DEPTH_OF_DATA <= JSON_DEPTH_MAX => Ok(()),
            Ok(Value::Object(_)) => bad("data", "data is nested too deep".into()),
            Ok(other) => {
                let shown: String = other.to_string().chars().take(60).collect();
                bad("data", format!("data must be a JSON object, not {shown}"))
            }
            Err(error) => bad("data", format!("data is not JSON that every reader takes: {error}")),
        }
    }

    fn raw_data(&self) -> &RawValue {
        serde_json::from_str(&self.data).unwrap_or(RawValue::NULL)
    }
}

fn check_name(field: &'static str, name: &str) -> Result<(), BadRecord> {
    let chars = name.chars().count();
    if chars <= NAME_CHARS_MAX {
        return Ok(());
    }
    bad(field, format!("{field} must have at most {NAME_CHARS_MAX} characters, not {chars}"))
}

/// Objects and arrays within each other; the reader stops at 128.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Plain values and checked JSON always encode.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[derive(Serialize)]
struct User<'a> {
    kind: &'a str,
    user_id: Value,
    username: &'a str,
    first_name: &'a str,
    last_name: &'a str,
    is_active: bool,
    is_staff: bool,
}

#[derive(Serialize)]
struct Notification<'a> {
    kind: &'a str,
    key: u64,
    user_id: Value,
    title: &'a str,
    message: &'a str,
    level: &'a str,
    is_read: bool,
    created_at: String,
    data: &'a RawValue,
}

#[derive(Serialize)]
struct Presence<'a> {
    kind: &'a str,
    user_id: Value,
    last_seen: Option<String>,
    last_activity: Option<String>,
}
