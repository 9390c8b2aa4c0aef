//! Notifications as their sender and as inbox queries see them.

use crate::{
    http::Caller,
    support::{ALICE, BOB, Server},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_notification_is_answered_whole_and_reaches_the_socket_as_it_was_sent() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let mut socket = server.greeted("/ws/notifications/", ALICE).await;
    let body = r#"{"user_id": 1, "title": "Tüte", "message": "a \"b\" \u2028 c", "data": {"price": 1.50, "n": 12345678901234567890123}}"#;
    let got = api.call("POST", "/notifications", body).await;
    assert_eq!(got.status, 201);
    assert!(got.text.contains(r#""data":{"price": 1.50, "n": 12345678901234567890123}"#), "{got:?}");
    let sent = got.json();
    assert_eq!(
        (&sent["id"], &sent["user_id"], &sent["is_read"], &sent["level"]),
        (&json!(1), &json!(1), &json!(false), &json!("info"))
    );
    assert!(sent["created_at"].as_str().is_some_and(|at| at.ends_with("+00:00") && at.len() == 32), "{sent}");
    let frame = socket.next().await;
    assert_eq!(
        (&frame["type"], &frame["data"]["title"], &frame["data"]["created_at"]),
        (&json!("new_notification"), &sent["title"], &sent["created_at"])
    );
    socket.expect(json!({"type": "unread_count", "count": 1})).await;
    let listed = api.get("/users/1/notifications").await;
    assert!(listed.text.contains("1.50, \"n\": 12345678901234567890123"), "{listed:?}");
}

#[tokio::test]
async fn ids_are_integers_on_the_wire_when_they_are_canonical() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let table = [
        (json!(7), json!(7)),
        (json!("7"), json!(7)),
        (json!("007"), json!("007")),
        (json!("ada@x.org"), json!("ada@x.org")),
    ];
    for (sent, shown) in table {
        let body = json!({"user_id": sent, "title": "t", "message": ""});
        assert_eq!(api.post("/notifications", &body).await.good()["user_id"], shown);
    }
    let many = api.post("/notifications", &json!({"user_ids": [2, "ada", "007"], "title": "t", "message": "m"})).await;
    assert_eq!(
        (many.status, many.json()),
        (
            201,
            json!({"notifications": [{"id": 5, "user_id": 2}, {"id": 6, "user_id": "ada"}, {"id": 7, "user_id": "007"}]})
        )
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let levels = ["info", "success", "warning", "error"];
    let calls: Vec<_> = (0..60)
        .map(|n| json!({"call": "send_notification", "args": {"user_id": 1, "title": n.to_string(), "message": "m", "level": levels[n % 4]}}))
        .collect();
    api.post("/batch", &json!({"calls": calls})).await.good();
    for id in [1, 5, 60] {
        api.call("POST", &format!("/users/1/notifications/{id}/read"), "").await.good();
    }
    assert_eq!(
        api.get("/users/1/notifications").await.good()["data"].as_array().map(Vec::len),
        Some(50),
        "the default"
    );
    let even_levels = (1..=60_u64).rev().filter(|id| (id - 1) % 4 == 0);
    let table: [(&str, Vec<u64>); 4] = [
        ("limit=7", (1..=60).rev().collect()),
        ("limit=7&unread=true", (1..=60).rev().filter(|id| ![1, 5, 60].contains(id)).collect()),
        ("limit=2&unread=false", vec![60, 5, 1]),
        ("limit=4&level=info", even_levels.collect()),
    ];
    for (query, expected) in table {
        let (mut ids, mut before) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("/users/1/notifications?{query}{before}")).await.good();
            assert_eq!(page["unread_count"], 57);
            let items = page["data"].as_array().expect("a list");
            ids.extend(items.iter().map(|item| item["id"].as_u64().expect("an id")));
            match &page["next_before"] {
                Value::Null => break,
                next => before = format!("&before={next}"),
            }
        }
        assert_eq!(ids, expected, "{query}");
    }
}

#[tokio::test]
async fn read_states_change_and_the_sockets_hear_of_it() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    for _ in 0..3 {
        api.post("/notifications", &json!({"user_id": 1, "title": "t", "message": "m"})).await.good();
    }
    let mut socket = server.greeted("/ws/notifications/", ALICE).await;
    let count = |n: u64| json!({"type": "unread_count", "count": n});
    let inbox = "/users/1/notifications";
    assert_eq!(api.call("POST", &format!("{inbox}/2/read"), "").await.good(), json!({"unread_count": 2}));
    socket.expect(json!({"type": "notification_read", "data": {"id": 2}})).await;
    socket.expect(count(2)).await;
    assert_eq!(api.call("POST", &format!("{inbox}/2/read"), "{}").await.good(), json!({"unread_count": 2}));
    socket.expect_nothing(&server.api()).await;
    assert_eq!(api.call("POST", &format!("{inbox}/2/unread"), "").await.good(), json!({"unread_count": 3}));
    socket.expect(count(3)).await;
    assert_eq!(api.call("POST", &format!("{inbox}/read-all"), "").await.good(), json!({"unread_count": 0}));
    socket.expect(json!({"type": "notification_read", "data": {"all": true}})).await;
    socket.expect(count(0)).await;
    assert_eq!(api.call("DELETE", &format!("{inbox}/2"), "").await.good(), json!({"unread_count": 0}));
    assert_eq!(api.call("DELETE", &format!("{inbox}/2"), "").await.status, 404);
    // Somebody else's is nobody's.
    let mut bobs = server.greeted("/ws/notifications/", BOB).await;
    for change in ["read", "unread"] {
        assert_eq!(api.call("POST", &format!("/users/2/notifications/1/{change}"), "").await.status, 404);
    }
    bobs.expect_nothing(&server.api()).await;
    socket.expect_nothing(&server.api()).await;
    let left = api.get(inbox).await.good();
    assert_eq!(left["data"].as_array().map(Vec::len), Some(2));
}
