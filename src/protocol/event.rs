//! Group events: what a backend may send to a group, and the frames that its members get.
//!
//! Nothing here is stored; the durable calls make their frames in `records`.

use super::{GroupName, frames};
use serde_json::value::RawValue;
use std::collections::HashMap;

/// Levels of a message.
pub const LEVELS: [&str; 4] = ["info", "success", "warning", "error"];

/// The alert types of [`crate::protocol::GroupName::SubscriptionAdmin`]; with `_alert` they are event types.
pub const ALERT_TYPES: [&str; 2] = ["new_subscription", "subscription_cancellation"];

/// Why an event cannot go to a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The event has no string `type`.
    #[error("an event is an object with a string \"type\"; {group} knows {known}")]
    NoType {
        /// The group it was for.
        group: String,
        /// The types that group knows.
        known: String,
    },
    /// The group does not know the type.
    #[error("{group} does not know the event type {got:?}; it knows {known}")]
    UnknownType {
        /// The group it was for.
        group: String,
        /// The type that came.
        got: String,
        /// The types that group knows.
        known: String,
    },
    /// A field is missing or of the wrong kind.
    #[error("{field} of a {kind} event {must}")]
    Field {
        /// The type of the event.
        kind: String,
        /// Which field.
        field: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

impl EventError {
    /// The field that an API answer names.
    pub fn field(&self) -> &'static str {
        match self {
            Self::NoType { .. } | Self::UnknownType { .. } => "type",
            Self::Field { field, .. } => field,
        }
    }
}

/// Fields of an event, each as it came.
pub type Fields = HashMap<String, Box<RawValue>>;

/// What a group event becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFrames {
    /// JSON texts, in order.
    pub frames: Vec<String>,
    /// Whether the user's current `unread_count` follows (only `new_notification`).
    pub then_unread_count: bool,
}

/// The event types that a group knows.
pub fn known_types(group: &GroupName) -> &'static [&'static str] {
    match group {
        GroupName::DashboardUser(_) => &["dashboard_update", "notification_message"],
        GroupName::AdminDashboard => &["system_update", "notification_message"],
        GroupName::SubscriptionsUser(_) => {
            &["subscription_status_update", "payment_confirmation", "subscription_expiry_warning"]
        }
        GroupName::SubscriptionAdmin => {
            &["new_subscription_alert", "subscription_cancellation_alert", "notification_message"]
        }
        GroupName::NotificationsUser(_) => &["new_notification", "notification_read", "notification_message"],
        GroupName::Presence => &["user_online", "user_offline"],
    }
}

/// The user's group that a multicast of this type goes to.
///
/// # Errors
/// When that group does not know the type.
pub fn multicast_group(user: super::UserId, kind: &str) -> Result<GroupName, EventError> {
    let subscriptions = GroupName::SubscriptionsUser(user.clone());
    let group = if kind.contains("dashboard") {
        GroupName::DashboardUser(user)
    } else if kind.contains("subscription") || known_types(&subscriptions).contains(&kind) {
        subscriptions
    } else {
        GroupName::NotificationsUser(user)
    };
    if known_types(&group).contains(&kind) { Ok(group) } else { Err(unknown(&group, kind)) }
}

/// Makes the frames that members of `group` get for an event with these fields.
///
/// # Errors
/// See [`EventError`].
pub fn encode(group: &GroupName, fields: &Fields) -> Result<EventFrames, EventError> {
    let kind = string(fields, "type")
        .ok_or_else(|| EventError::NoType { group: group.to_string(), known: known_types(group).join(", ") })?;
    if !known_types(group).contains(&kind.as_str()) {
        return Err(unknown(group, &kind));
    }
    let frame = match kind.as_str() {
        "notification_message" => {
            let message = string(fields, "message").ok_or_else(|| field(&kind, "message", "must be a string"))?;
            frames::notification(&message, &level(&kind, fields)?)
        }
        "user_online" => person(&kind, fields, &["user_id", "username", "first_name", "last_name"])?,
        "user_offline" => person(&kind, fields, &["user_id", "username"])?,
        _ => {
            let data = fields.get("data").ok_or_else(|| field(&kind, "data", "is missing"))?;
            frames::with_data(&kind, data)
        }
    };
    Ok(EventFrames { frames: vec![frame], then_unread_count: kind == "new_notification" })
}

fn unknown(group: &GroupName, kind: &str) -> EventError {
    let got = kind.chars().take(80).collect();
    EventError::UnknownType { group: group.to_string(), got, known: known_types(group).join(", ") }
}

fn field(kind: &str, field: &'static str, must: &'static str) -> EventError {
    EventError::Field { kind: kind.into(), field, must }
}

fn string(fields: &Fields, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

fn level(kind: &str, fields: &Fields) -> Result<String, EventError> {
    if !fields.contains_key("level") {
        return Ok("info".into());
    }
    string(fields, "level")
        .filter(|l| LEVELS.contains(&l.as_str()))
        .ok_or_else(|| field(kind, "level", "must be info, success, warning or error"))
}

fn person(kind: &str, fields: &Fields, names: &[&'static str]) -> Result<String, EventError> {
    let mut data = Vec::with_capacity(names.len());
    for name in names {
        let value = fields.get(*name).ok_or_else(|| field(kind, name, "is missing"))?;
        data.push(format!("\"{name}\":{}", value.get()));
    }
    Ok(frames::with_raw_data(kind, &format!("{{{}}}", data.join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::UserId;

    fn send(group: &str, event: &str) -> Result<EventFrames, EventError> {
        encode(&GroupName::parse(group).expect(group), &serde_json::from_str(event).expect(event))
    }

    #[test]
    fn each_event_becomes_its_frame() {
        let table = [
            (
                "dashboard_user_1",
                r#"{"type":"dashboard_update","data":{"a":1.50}}"#,
                r#"{"type":"dashboard_update","data":{"a":1.50}}"#,
            ),
            (
                "admin_dashboard",
                r#"{"type":"notification_message","message":"hi"}"#,
                r#"{"level":"info","message":"hi","type":"notification"}"#,
            ),
            (
                "notifications_user_1",
                r#"{"type":"notification_message","message":"hi","level":"error"}"#,
                r#"{"level":"error","message":"hi","type":"notification"}"#,
            ),
            (
                "presence",
                r#"{"type":"user_offline","user_id":7,"username":"x","z":1}"#,
                r#"{"type":"user_offline","data":{"user_id":7,"username":"x"}}"#,
            ),
            (
                "subscription_admin",
                r#"{"type":"new_subscription_alert","data":null}"#,
                r#"{"type":"new_subscription_alert","data":null}"#,
            ),
        ];
        for (group, event, frame) in table {
            assert_eq!(send(group, event).expect(event).frames, [frame]);
        }
        assert!(
            send("notifications_user_1", r#"{"type":"new_notification","data":{}}"#).expect("known").then_unread_count
        );
    }

    #[test]
    fn what_a_group_does_not_know_is_refused_with_what_it_knows() {
        let table = [
            ("presence", r#"{"type":"dashboard_update","data":{}}"#, "user_online, user_offline"),
            ("dashboard_user_1", r#"{"data":{}}"#, "dashboard_update, notification_message"),
            ("dashboard_user_1", r#"{"type":"dashboard_update"}"#, "data of a dashboard_update event is missing"),
            ("dashboard_user_1", r#"{"type":"notification_message","message":1}"#, "must be a string"),
            ("dashboard_user_1", r#"{"type":"notification_message","message":"m","level":"loud"}"#, "info, success"),
            ("presence", r#"{"type":"user_online","user_id":1}"#, "username of a user_online event is missing"),
        ];
        for (group, event, says) in table {
            let error = send(group, event).expect_err(event).to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_multicast_finds_the_group_by_its_type() {
        let user = || UserId::new("1").expect("id");
        let table = [
            ("dashboard_update", "dashboard_user_1"),
            ("subscription_status_update", "subscriptions_user_1"),
            ("payment_confirmation", "subscriptions_user_1"),
            ("notification_message", "notifications_user_1"),
        ];
        for (kind, group) in table {
            assert_eq!(multicast_group(user(), kind).expect(kind).to_string(), group);
        }
        for kind in ["dashboard_zzz", "system_update", "", "user_online"] {
            assert!(multicast_group(user(), kind).is_err(), "{kind}");
        }
    }
}
