//! Frames out: JSON texts as the old stack's pages read them. One function a frame.

use super::{BadFrame, Cursor, Endpoint, JSON_INTEGER_MAX, Timestamp, UserId, edition::with_field};
use serde::Serialize;
use serde_json::{json, value::RawValue};

/// A notification as frames and API answers show it.
#[derive(Clone, Debug, Serialize)]
pub struct NotificationView<'a> {
    /// Ascends per tenant, from 1.
    pub id: u64,
    /// At most 200 characters.
    pub title: &'a str,
    /// Free text.
    pub message: &'a str,
    /// `info`, `success`, `warning` or `error`.
    pub level: &'a str,
    /// Its read state now.
    pub is_read: bool,
    /// When it was committed.
    pub created_at: String,
    /// What the backend gave; `{}` if nothing.
    pub data: &'a RawValue,
}

/// Bytes of a notification with such content as frames show it: with the longest id, and unread.
pub fn longest_notification((title, message): (&str, &str), level: &str, data: &RawValue) -> usize {
    let created_at = Timestamp::default().to_string();
    let view = NotificationView { id: JSON_INTEGER_MAX, title, message, level, is_read: false, created_at, data };
    serde_json::to_string(&view).map_or(usize::MAX, |text| text.len())
}

/// The four fields by which presence shows a user.
#[derive(Clone, Debug, Serialize)]
pub struct Person<'a> {
    /// On the wire as [`UserId::wire`] says.
    pub user_id: serde_json::Value,
    /// May be empty.
    pub username: &'a str,
    /// May be empty.
    pub first_name: &'a str,
    /// May be empty.
    pub last_name: &'a str,
}

/// Serialising plain strings, numbers and validated raw JSON into memory cannot fail.
pub(crate) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[derive(Serialize)]
struct WithData<'a, T: Serialize> {
    r#type: &'a str,
    data: T,
}

/// `{type, data}`, the shape of most frames.
pub fn with_data(kind: &str, data: impl Serialize) -> String {
    text(&WithData { r#type: kind, data })
}

/// `{type, data}` around JSON that is already text.
pub fn with_raw_data(kind: &str, data: &str) -> String {
    format!(r#"{{"type":"{kind}","data":{data}}}"#)
}

/// The first frame of every endpoint but presence.
pub fn connection_established(endpoint: Endpoint, user: &UserId) -> String {
    let (kind, message) = match endpoint {
        Endpoint::Dashboard => ("connection_established", "Dashboard connection established"),
        Endpoint::AdminDashboard => ("admin_connection_established", "Admin dashboard connection established"),
        Endpoint::Subscriptions => ("connection_established", "Subscription updates connection established"),
        Endpoint::SubscriptionAdmin => ("admin_connection_established", "Subscription admin connection established"),
        Endpoint::Notifications => ("connection_established", "Notifications connection established"),
        Endpoint::Presence => ("connection_established", "Presence connection established"),
    };
    if endpoint.staff_only() {
        text(&json!({"type": kind, "message": message}))
    } else {
        text(&json!({"type": kind, "message": message, "user_id": user.wire()}))
    }
}

/// `unread_count`
pub fn unread_count(count: u64) -> String {
    format!(r#"{{"type":"unread_count","count":{count}}}"#)
}

/// `heartbeat_response` with the timestamp as it came (JSON text).
pub fn heartbeat_response(timestamp: &str) -> String {
    format!(r#"{{"type":"heartbeat_response","timestamp":{timestamp}}}"#)
}

/// `notification_marked_read` with the id as it came (JSON text).
pub fn notification_marked_read(echo: &str) -> String {
    format!(r#"{{"type":"notification_marked_read","notification_id":{echo}}}"#)
}

/// `all_notifications_marked_read`
pub fn all_notifications_marked_read() -> String {
    r#"{"type":"all_notifications_marked_read"}"#.into()
}

/// `notification_read` for one notification.
pub fn notification_read(id: u64) -> String {
    format!(r#"{{"type":"notification_read","data":{{"id":{id}}}}}"#)
}

/// `notification_read` for all of them.
pub fn all_notifications_read() -> String {
    r#"{"type":"notification_read","data":{"all":true}}"#.into()
}

/// `notification_deleted` for one that the backend deleted; v1 only.
pub fn notification_deleted(id: u64) -> String {
    format!(r#"{{"type":"notification_deleted","data":{{"id":{id}}}}}"#)
}

/// `notification_deleted` for those that retention took; v1 only.
pub fn notifications_deleted(ids: &[u64]) -> String {
    with_data("notification_deleted", json!({"ids": ids}))
}

/// `notification_unread`: it counts as unread again; v1 only.
pub fn notification_unread(id: u64) -> String {
    format!(r#"{{"type":"notification_unread","data":{{"id":{id}}}}}"#)
}

/// `notification`: a message that is not stored.
pub fn notification(message: &str, level: &str) -> String {
    text(&json!({"type": "notification", "message": message, "level": level}))
}

/// One entry of `online_users`, encoded once and joined into lists.
pub fn person(person: &Person<'_>) -> String {
    text(person)
}

/// `online_users` from entries made by [`person`].
pub fn online_users<'a>(people: impl Iterator<Item = &'a str>) -> String {
    list("online_users", people)
}

fn list<'a>(kind: &str, entries: impl Iterator<Item = &'a str>) -> String {
    let mut out = format!(r#"{{"type":"{kind}","data":["#);
    for (i, entry) in entries.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(entry);
    }
    out.push_str("]}");
    out
}

/// An entry of v1: one made by [`person`], and when that user was last seen.
pub fn person_seen(person: &str, last_seen: Option<Timestamp>) -> String {
    with_field(person, "last_seen", &optional_time(last_seen).to_string())
}

/// One page of `online_users` in v1, from entries made by [`person_seen`].
pub fn online_users_page(people: &[String], more: bool) -> String {
    with_field(&online_users(people.iter().map(String::as_str)), "more", if more { "true" } else { "false" })
}

/// An entry of `presence_changes`, from one made by [`person_seen`].
pub fn presence_change(entry: &str, online: bool) -> String {
    format!(r#"{{"online":{online},{}"#, entry.strip_prefix('{').unwrap_or(entry))
}

/// `presence_changes` from entries made by [`presence_change`].
pub fn presence_changes<'a>(changes: impl Iterator<Item = &'a str>) -> String {
    list("presence_changes", changes)
}

/// `resumed`: whether the way from the client's cursor to now is known, and where the socket stands.
pub fn resumed(recovered: bool, at: Cursor) -> String {
    format!(r#"{{"type":"resumed","recovered":{recovered},"pos":"{at}"}}"#)
}

/// `refreshed`: until when the socket may stay.
pub fn refreshed(expires_at: Timestamp) -> String {
    format!(r#"{{"type":"refreshed","expires_at":"{expires_at}"}}"#)
}

/// `user_offline`
pub fn user_offline(user: &UserId, username: &str) -> String {
    with_data("user_offline", json!({"user_id": user.wire(), "username": username}))
}

/// `error` with a code for machines and a message for people.
pub fn error(code: &str, message: &str) -> String {
    text(&json!({"type": "error", "code": code, "message": message}))
}

/// The `error` frame for a message that could not be read.
pub fn bad_frame(bad: &BadFrame) -> String {
    error(bad.code(), &bad.to_string())
}

/// `null` or a timestamp, as `last_updated` wants it.
pub fn optional_time(at: Option<Timestamp>) -> serde_json::Value {
    at.map_or(serde_json::Value::Null, |at| at.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_are_those_of_the_old_stack() {
        let user = UserId::new("1").expect("id");
        let value = |s: &str| serde_json::from_str::<serde_json::Value>(s).expect("json");
        assert_eq!(
            value(&connection_established(Endpoint::Subscriptions, &user)),
            json!({"type": "connection_established", "message": "Subscription updates connection established", "user_id": 1})
        );
        assert_eq!(
            value(&connection_established(Endpoint::AdminDashboard, &user)),
            json!({"type": "admin_connection_established", "message": "Admin dashboard connection established"})
        );
    }

    #[test]
    fn lists_are_joined_from_entries_that_were_encoded_before() {
        let user = UserId::new("2").expect("id");
        let bob = person(&Person { user_id: user.wire(), username: "b\"ob", first_name: "", last_name: "" });
        let list: serde_json::Value =
            serde_json::from_str(&online_users([bob.as_str(), bob.as_str()].into_iter())).expect("json");
        assert_eq!(list["data"][1]["username"], "b\"ob");
        assert_eq!(online_users(std::iter::empty()), r#"{"type":"online_users","data":[]}"#);
    }
}
