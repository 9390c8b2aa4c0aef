//! Frames in: what a client's text message asks for. A pure function from text to a request.
//!
//! It never fails a socket: whatever it cannot read becomes a [`BadFrame`], which the caller answers with an
//! `error` frame. A `type` that the endpoint does not know is [`Request::Unknown`] in v0, answered by silence.

use super::{Cursor, Edition, Endpoint, JSON_INTEGER_MAX};
use serde_json::value::RawValue;
use std::collections::HashMap;

/// What a client asks for. JSON that is only echoed stays as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `heartbeat`: the `timestamp` to echo, as it came; `null` if absent.
    Heartbeat(String),
    /// `request_dashboard_update`
    DashboardUpdate,
    /// `request_system_stats`
    SystemStats,
    /// `request_subscription_status`
    SubscriptionStatus,
    /// `request_subscription_history`
    SubscriptionHistory,
    /// `request_subscription_stats`
    SubscriptionStats,
    /// `mark_as_read`
    MarkAsRead(NotificationRef),
    /// `mark_all_as_read`
    MarkAllAsRead,
    /// `request_notifications`
    Notifications,
    /// `request_unread_count`
    UnreadCount,
    /// `resume`: everything durable after this cursor; `None` for a text that is no cursor of this server's.
    Resume(Option<Cursor>),
    /// `refresh`: a new token for this socket.
    Refresh(Token),
    /// Nothing that this endpoint answers.
    Unknown,
}

/// A token that came in a frame, unverified.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

// It stays out of debug output, and so out of every log.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// A text message as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The request's `id` as it came (JSON text), for the reply. Always `None` in v0.
    pub id: Option<String>,
    /// What is asked for.
    pub request: Result<Request, BadFrame>,
}

/// The `notification_id` of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationRef {
    /// As it came, for the echo.
    pub echo: String,
    /// The id, unless it is absent or no notification can have it.
    pub id: Option<u64>,
}

/// Why a text message is no frame of this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Not JSON, or JSON but no object.
    #[error("a frame must be a JSON object with a \"type\", for example {{\"type\": \"heartbeat\"}}")]
    NotAnObject,
    /// A binary message.
    #[error("binary frames are not part of this protocol: send JSON as text")]
    Binary,
    /// `notification_id` is neither an integer nor a decimal string.
    #[error("notification_id must be an integer or a string of decimal digits")]
    NotificationId,
    /// More messages than the limit allows.
    #[error("too many messages: this connection may send {0} a second")]
    TooFast(u32),
    /// The `id` of a request is neither a short string nor an integer.
    #[error("id must be an integer or a string of at most {ID_CHARS_MAX} characters")]
    RequestId,
    /// `after` of a `resume` is no position.
    #[error("after must be a \"pos\" that this server gave, as a string")]
    Pos,
    /// `token` of a `refresh` is no string.
    #[error("token must be a string: a new JWT of the same user")]
    Token,
    /// The endpoint does not know the `type`.
    #[error("this endpoint does not know the type {0:?}; \"type\" is a string like \"heartbeat\"")]
    UnknownType(String),
}

/// Longest `id` of a request that is a string.
const ID_CHARS_MAX: usize = 64;
/// So much of an unknown `type` is repeated to its sender.
const TYPE_CHARS_SHOWN: usize = 80;
/// Longest `pos` that is looked at.
const POS_BYTES_MAX: usize = 64;

impl BadFrame {
    /// The `code` of the error frame.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject => "bad_json",
            Self::Binary => "binary_frame",
            Self::NotificationId => "bad_notification_id",
            Self::TooFast(_) => "rate_limited",
            Self::RequestId => "bad_id",
            Self::Pos => "bad_pos",
            Self::Token => "bad_token",
            Self::UnknownType(_) => "unknown_type",
        }
    }
}

type Fields<'a> = HashMap<String, &'a RawValue>;

/// Reads a text message that arrived on `endpoint` from a client that speaks `edition`.
pub fn decode((endpoint, edition): (Endpoint, Edition), text: &str) -> Message {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(text) else {
        return Message { id: None, request: Err(BadFrame::NotAnObject) };
    };
    let kind: String = fields.get("type").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    match edition {
        Edition::V0 => Message { id: None, request: request(endpoint, &kind, &fields) },
        Edition::V1 => match request_id(&fields) {
            Ok(id) => Message { id, request: request_v1(endpoint, &kind, &fields) },
            Err(bad) => Message { id: None, request: Err(bad) },
        },
    }
}

fn request(endpoint: Endpoint, kind: &str, fields: &Fields<'_>) -> Result<Request, BadFrame> {
    Ok(match (endpoint, kind) {
        (Endpoint::Dashboard, "heartbeat") => Request::Heartbeat(echo(fields, "timestamp")),
        (Endpoint::Dashboard, "request_dashboard_update") => Request::DashboardUpdate,
        (Endpoint::AdminDashboard, "request_system_stats") => Request::SystemStats,
        (Endpoint::Subscriptions, "request_subscription_status") => Request::SubscriptionStatus,
        (Endpoint::Subscriptions, "request_subscription_history") => Request::SubscriptionHistory,
        (Endpoint::SubscriptionAdmin, "request_subscription_stats") => Request::SubscriptionStats,
        (Endpoint::Notifications, "mark_as_read") => Request::MarkAsRead(notification_ref(fields)?),
        (Endpoint::Notifications, "mark_all_as_read") => Request::MarkAllAsRead,
        (Endpoint::Notifications, "request_notifications") => Request::Notifications,
        (Endpoint::Notifications, "request_unread_count") => Request::UnreadCount,
        _ => Request::Unknown,
    })
}

fn request_v1(endpoint: Endpoint, kind: &str, fields: &Fields<'_>) -> Result<Request, BadFrame> {
    match kind {
        "heartbeat" => Ok(Request::Heartbeat(echo(fields, "timestamp"))),
        "resume" => {
            let after = string(fields, "after").filter(|after| after.len() <= POS_BYTES_MAX).ok_or(BadFrame::Pos)?;
            Ok(Request::Resume(Cursor::parse(&after)))
        }
        "refresh" => Ok(Request::Refresh(Token(string(fields, "token").ok_or(BadFrame::Token)?))),
        _ => match request(endpoint, kind, fields)? {
            Request::Unknown => Err(BadFrame::UnknownType(kind.chars().take(TYPE_CHARS_SHOWN).collect())),
            known => Ok(known),
        },
    }
}

fn request_id(fields: &Fields<'_>) -> Result<Option<String>, BadFrame> {
    let Some(raw) = fields.get("id") else { return Ok(None) };
    let is_good = match serde_json::from_str(raw.get()) {
        Ok(serde_json::Value::String(id)) => id.chars().count() <= ID_CHARS_MAX,
        Ok(serde_json::Value::Number(id)) => id.as_i64().is_some_and(|id| id.unsigned_abs() <= JSON_INTEGER_MAX),
        _ => false,
    };
    if is_good { Ok(Some(raw.get().into())) } else { Err(BadFrame::RequestId) }
}

fn string(fields: &Fields<'_>, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

fn echo(fields: &Fields<'_>, name: &str) -> String {
    fields.get(name).map_or_else(|| "null".into(), |raw| raw.get().into())
}

fn notification_ref(fields: &Fields<'_>) -> Result<NotificationRef, BadFrame> {
    let echo = echo(fields, "notification_id");
    let digits = match echo.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inside) => inside,
        None if echo == "null" => return Ok(NotificationRef { echo, id: None }),
        None => echo.strip_prefix('-').unwrap_or(&echo),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadFrame::NotificationId);
    }
    // A negative or enormous number is an id of the right kind that nothing has.
    let id = if echo.starts_with('-') { None } else { digits.parse().ok() };
    Ok(NotificationRef { echo, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v0(endpoint: Endpoint, text: &str) -> Result<Request, BadFrame> {
        let message = decode((endpoint, Edition::V0), text);
        assert_eq!(message.id, None);
        message.request
    }

    #[test]
    fn v1_reads_ids_and_answers_what_v0_passes_over() {
        let cursor = Cursor { history: 1, pos: crate::protocol::Pos(7) };
        let resume = format!(r#"{{"type":"resume","after":"{cursor}","id":"a"}}"#);
        let table = [
            (r#"{"type":"heartbeat","id":5}"#, Some("5"), Ok(Request::Heartbeat("null".into()))),
            (&resume, Some("\"a\""), Ok(Request::Resume(Some(cursor)))),
            (r#"{"type":"resume","after":"x"}"#, None, Ok(Request::Resume(None))),
            (r#"{"type":"resume"}"#, None, Err(BadFrame::Pos)),
            (r#"{"type":"resume","after":7}"#, None, Err(BadFrame::Pos)),
            (r#"{"type":"refresh","id":-1}"#, Some("-1"), Err(BadFrame::Token)),
            (r#"{"type":"refresh","token":"t"}"#, None, Ok(Request::Refresh(Token("t".into())))),
            (r#"{"type":"mark_all_as_read","id":1}"#, Some("1"), Err(BadFrame::UnknownType("mark_all_as_read".into()))),
            (r#"{"id":1}"#, Some("1"), Err(BadFrame::UnknownType(String::new()))),
            (r#"{"type":"heartbeat","id":1.5}"#, None, Err(BadFrame::RequestId)),
            (r#"{"type":"heartbeat","id":null}"#, None, Err(BadFrame::RequestId)),
            (r#"{"type":"heartbeat","id":9007199254740993}"#, None, Err(BadFrame::RequestId)),
            ("[]", None, Err(BadFrame::NotAnObject)),
        ];
        for (text, id, request) in table {
            let read = decode((Endpoint::Presence, Edition::V1), text);
            assert_eq!(read, Message { id: id.map(Into::into), request }, "{text}");
        }
        assert_eq!(format!("{:?}", Token("secret".into())), "Token");
    }

    #[test]
    fn each_endpoint_answers_its_own_requests_and_no_other() {
        let table = [
            (Endpoint::Dashboard, r#"{"type":"heartbeat","timestamp":12}"#, Request::Heartbeat("12".into())),
            (Endpoint::Dashboard, r#"{"type":"heartbeat"}"#, Request::Heartbeat("null".into())),
            (Endpoint::Notifications, r#"{"type":"heartbeat"}"#, Request::Unknown),
            (Endpoint::Dashboard, r#"{"type":"zzz"}"#, Request::Unknown),
            (Endpoint::Dashboard, "{}", Request::Unknown),
            (Endpoint::Dashboard, r#"{"type":["heartbeat"]}"#, Request::Unknown),
            (Endpoint::Dashboard, r#"{"type":"mark_all_as_read"}"#, Request::Unknown),
            (Endpoint::Notifications, r#" {"type":"mark_all_as_read"} "#, Request::MarkAllAsRead),
            (Endpoint::AdminDashboard, r#"{"type":"request_system_stats"}"#, Request::SystemStats),
            (Endpoint::SubscriptionAdmin, r#"{"type":"request_subscription_stats"}"#, Request::SubscriptionStats),
            (Endpoint::Dashboard, r#"{"type":"zzz","type":"request_dashboard_update"}"#, Request::DashboardUpdate),
        ];
        for (endpoint, text, request) in table {
            assert_eq!(v0(endpoint, text), Ok(request), "{endpoint:?} {text}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_a_bad_frame() {
        for text in ["", "nope", "[]", "1", "null", "\"x\"", "{", r#"{"type":}"#, &"[".repeat(500)] {
            assert_eq!(v0(Endpoint::Dashboard, text), Err(BadFrame::NotAnObject), "{text}");
        }
    }

    #[test]
    fn a_notification_id_is_an_integer_or_a_decimal_string_and_is_echoed_as_it_came() {
        let of =
            |id: &str| v0(Endpoint::Notifications, &format!(r#"{{"type":"mark_as_read","notification_id":{id}}}"#));
        let good = [
            ("7", Some(7)),
            ("\"7\"", Some(7)),
            ("\"007\"", Some(7)),
            ("null", None),
            ("-1", None),
            ("99999999999999999999999", None),
        ];
        for (echo, id) in good {
            assert_eq!(of(echo), Ok(Request::MarkAsRead(NotificationRef { echo: echo.into(), id })), "{echo}");
        }
        for bad in ["1.5", "1e3", "true", "{}", "[1]", "\"\"", "\"abc\"", "\"-1\"", "\"1 \""] {
            assert_eq!(of(bad), Err(BadFrame::NotificationId), "{bad}");
        }
    }
}
