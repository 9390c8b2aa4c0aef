//! The steps of the recording that a "Mended" row of PROTOCOL.md changes.

/// What comes instead of what was recorded.
pub struct Mended {
    /// The scenario's name.
    pub scenario: &'static str,
    /// Which of its steps, from 0.
    pub step: usize,
    /// The row of PROTOCOL.md.
    #[allow(dead_code)] // for readers
    pub because: &'static str,
    /// JSON: frames by socket, all of them.
    pub received: &'static str,
}

const READ_ELSEWHERE: &str = "a notification read in one tab: other tabs hear";
const LIST: &str = "online_users: everyone online now";
const TABS: &str = "a user with two tabs: online until the last connection is gone, and the grace time over";

/// The table.
pub const MENDED: &[Mended] = &[
    Mended {
        scenario: "notifications",
        step: 6,
        because: READ_ELSEWHERE,
        received: r#"{"a": [{"type": "notification_marked_read", "notification_id": 1}],
            "a2": [{"type": "notification_read", "data": {"id": 1}}, {"type": "unread_count", "count": 1}]}"#,
    },
    Mended {
        scenario: "notifications",
        step: 12,
        because: READ_ELSEWHERE,
        received: r#"{"a": [{"type": "all_notifications_marked_read"}],
            "a2": [{"type": "notification_read", "data": {"all": true}}, {"type": "unread_count", "count": 0}]}"#,
    },
    Mended {
        scenario: "presence",
        step: 1,
        because: LIST,
        received: r#"{
            "a": [{"type": "user_online", "data": {"user_id": 2, "username": "bob", "first_name": "Bob", "last_name": ""}}],
            "b": [{"type": "online_users", "data":
                      [{"user_id": 1, "username": "alice", "first_name": "Alice", "last_name": "Archer"}]},
                  {"type": "user_online", "data": {"user_id": 2, "username": "bob", "first_name": "Bob", "last_name": ""}}]}"#,
    },
    Mended {
        scenario: "presence",
        step: 2,
        because: TABS,
        received: r#"{"b2": [{"type": "online_users", "data":
                [{"user_id": 1, "username": "alice", "first_name": "Alice", "last_name": "Archer"},
                 {"user_id": 2, "username": "bob", "first_name": "Bob", "last_name": ""}]},
            {"type": "user_online", "data": {"user_id": 2, "username": "bob", "first_name": "Bob", "last_name": ""}}]}"#,
    },
    Mended { scenario: "presence", step: 3, because: TABS, received: "{}" },
];
