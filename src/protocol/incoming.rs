//! Frames in: what a client's text message asks for. A pure function from text to a request.
//!
//! It never fails a socket: whatever it cannot read becomes a [`BadFrame`], which the caller answers with an
//! `error` frame. A `type` that the endpoint does not know is [`Request::Unknown`], answered by silence.

use super::Endpoint;
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
    /// Nothing that this endpoint answers.
    Unknown,
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
}

impl BadFrame {
    /// The `code` of the error frame.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject => "bad_json",
            Self::Binary => "binary_frame",
            Self::NotificationId => "bad_notification_id",
            Self::TooFast(_) => "rate_limited",
        }
    }
}

type Fields<'a> = HashMap<String, &'a RawValue>;

/// Reads a text message that arrived on `endpoint`.
///
/// # Errors
/// See [`BadFrame`].
pub fn decode(endpoint: Endpoint, text: &str) -> Result<Request, BadFrame> {
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|_| BadFrame::NotAnObject)?;
    let kind: String = fields.get("type").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    Ok(match (endpoint, kind.as_str()) {
        (Endpoint::Dashboard, "heartbeat") => Request::Heartbeat(echo(&fields, "timestamp")),
        (Endpoint::Dashboard, "request_dashboard_update") => Request::DashboardUpdate,
        (Endpoint::AdminDashboard, "request_system_stats") => Request::SystemStats,
        (Endpoint::Subscriptions, "request_subscription_status") => Request::SubscriptionStatus,
        (Endpoint::Subscriptions, "request_subscription_history") => Request::SubscriptionHistory,
        (Endpoint::SubscriptionAdmin, "request_subscription_stats") => Request::SubscriptionStats,
        (Endpoint::Notifications, "mark_as_read") => Request::MarkAsRead(notification_ref(&fields)?),
        (Endpoint::Notifications, "mark_all_as_read") => Request::MarkAllAsRead,
        (Endpoint::Notifications, "request_notifications") => Request::Notifications,
        (Endpoint::Notifications, "request_unread_count") => Request::UnreadCount,
        _ => Request::Unknown,
    })
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
            assert_eq!(decode(endpoint, text), Ok(request), "{endpoint:?} {text}");
        }
    }

    #[test]
    fn what_is_no_json_object_is_a_bad_frame() {
        for text in ["", "nope", "[]", "1", "null", "\"x\"", "{", r#"{"type":}"#, &"[".repeat(500)] {
            assert_eq!(decode(Endpoint::Dashboard, text), Err(BadFrame::NotAnObject), "{text}");
        }
    }

    #[test]
    fn a_notification_id_is_an_integer_or_a_decimal_string_and_is_echoed_as_it_came() {
        let of =
            |id: &str| decode(Endpoint::Notifications, &format!(r#"{{"type":"mark_as_read","notification_id":{id}}}"#));
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
