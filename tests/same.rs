//! The rules of PROTOCOL.md, "Same", that the recording does not show.

mod support;

use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use support::{ALICE, BOB, PATHS, ROOT, Server, User, frames, socket};
use tokio_tungstenite::tungstenite::handshake::client::Request;

#[tokio::test]
async fn every_path_is_there_with_and_without_its_trailing_slash() {
    let server = Server::dev();
    for path in PATHS {
        let with = server.greeted(path, ROOT).await;
        let without = server.greeted(path.trim_end_matches('/'), ROOT).await;
        drop((with, without));
    }
}

#[tokio::test]
async fn without_a_valid_identity_a_socket_is_refused_with_403_before_the_upgrade() {
    let server = Server::dev();
    let token = ALICE.token();
    let (head, _) = token.rsplit_once('.').expect("three parts");
    let tokens = [None, Some("nonsense".to_owned()), Some(format!("{head}.AAAA")), Some(ALICE.token_for(0))];
    for path in PATHS {
        for token in &tokens {
            let handshake = socket::request(server.address(), path, token.as_deref());
            assert_eq!(socket::status(handshake).await, 403, "{path} with {token:?}");
        }
    }
    for path in ["/ws/dashboard/admin/", "/ws/subscriptions/admin"] {
        let handshake = socket::request(server.address(), path, Some(&BOB.token()));
        assert_eq!(socket::status(handshake).await, 403, "{path} for a user who is no staff");
    }
}

fn with_origin(mut request: Request, origin: &str) -> Request {
    request.headers_mut().insert("origin", HeaderValue::from_str(origin).expect("ASCII"));
    request
}

#[tokio::test]
async fn a_page_of_a_foreign_host_is_refused_with_403() {
    let server = Server::dev();
    let own = format!("http://{}", server.address());
    for (origin, status) in [("http://evil.example", 403), ("null", 403), (own.as_str(), 101)] {
        let handshake = socket::request(server.address(), "/ws/dashboard/", Some(&ALICE.token()));
        assert_eq!(socket::status(with_origin(handshake, origin)).await, status, "{origin}");
    }
}

#[tokio::test]
async fn a_user_id_is_an_integer_only_when_it_is_one_exactly() {
    let server = Server::dev();
    let table = [
        ("9007199254740991", json!(9_007_199_254_740_991_u64)),
        ("9007199254740992", json!("9007199254740992")),
        ("007", json!("007")),
        ("ada", json!("ada")),
    ];
    for (id, wire) in table {
        let mut socket = server.connect("/ws/dashboard/", User::named(id)).await;
        assert_eq!(socket.next().await["user_id"], wire);
        let mut socket = server.connect("/ws/presence/", User::named(id)).await;
        assert_eq!(socket.skip_greeting().await[1]["data"]["user_id"], wire);
    }
}

#[tokio::test]
async fn only_the_dashboard_answers_a_heartbeat_and_nobody_minds_an_unknown_type() {
    let server = Server::dev();
    let api = server.api();
    for path in PATHS {
        let mut socket = server.greeted(path, ROOT).await;
        socket.until_marker(&api).await;
        socket.send(&json!({"type": "heartbeat", "timestamp": {"deep": [1.50]}})).await;
        if path == "/ws/dashboard/" {
            socket.expect(json!({"type": "heartbeat_response", "timestamp": {"deep": [1.50]}})).await;
        }
        // More than the ten bad frames that would close it.
        for _ in 0..12 {
            socket.send(&json!({"type": "zzz"})).await;
            socket.send(&json!({"type": 7})).await;
            socket.send(&json!({})).await;
        }
        socket.expect_nothing(&api).await;
    }
}

#[tokio::test]
async fn an_id_that_comes_as_a_string_is_taken_and_echoed_as_it_came() {
    let server = Server::dev();
    let api = server.api();
    let id = api.notify("1", "t").await;
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    for echo in [json!("99"), json!("0"), json!(-1), json!(18_446_744_073_709_551_615_u64)] {
        alice.send(&json!({"type": "mark_as_read", "notification_id": echo})).await;
        alice.expect(json!({"type": "notification_marked_read", "notification_id": echo})).await;
        assert_eq!(alice.ask("request_unread_count").await["count"], 1);
    }
    let echo = id.to_string();
    alice.send(&json!({"type": "mark_as_read", "notification_id": echo})).await;
    alice.expect(json!({"type": "notification_marked_read", "notification_id": echo})).await;
    assert_eq!(alice.ask("request_unread_count").await["count"], 0);
}

#[tokio::test]
async fn nobody_but_the_owner_changes_a_notification() {
    let server = Server::dev();
    let api = server.api();
    let id = api.notify("1", "t").await;
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    let mut bob = server.greeted("/ws/notifications/", BOB).await;
    bob.send(&json!({"type": "mark_as_read", "notification_id": id})).await;
    bob.expect(json!({"type": "notification_marked_read", "notification_id": id})).await;
    bob.send(&json!({"type": "mark_all_as_read"})).await;
    bob.expect(json!({"type": "all_notifications_marked_read"})).await;
    bob.expect_nothing(&api).await;
    alice.expect_nothing(&api).await;
    assert_eq!(alice.ask("request_unread_count").await["count"], 1);
}

#[tokio::test]
async fn what_changes_nothing_announces_nothing() {
    let server = Server::dev();
    let api = server.api();
    let id = api.notify("1", "t").await;
    let mut acting = server.greeted("/ws/notifications/", ALICE).await;
    let mut other = server.greeted("/ws/notifications/", ALICE).await;
    let read = json!({"type": "mark_as_read", "notification_id": id});
    for announced in [2, 0] {
        acting.send(&read).await;
        acting.expect(json!({"type": "notification_marked_read", "notification_id": id})).await;
        assert_eq!(other.until_marker(&api).await.len(), announced);
    }
    api.post(&format!("/users/1/notifications/{id}/read"), &Value::Null).await.ok();
    api.post("/users/1/notifications/read-all", &Value::Null).await.ok();
    acting.send(&json!({"type": "mark_all_as_read"})).await;
    acting.expect(json!({"type": "all_notifications_marked_read"})).await;
    acting.expect_nothing(&api).await;
    other.expect_nothing(&api).await;
}

#[tokio::test]
async fn the_list_has_the_newest_twenty_newest_first() {
    let server = Server::dev();
    let api = server.api();
    for n in 0..25 {
        api.notify("1", &format!("n{n}")).await;
    }
    api.post("/users/1/notifications/25/read", &Value::Null).await.ok();
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    let list = alice.ask("request_notifications").await;
    let ids: Vec<_> = list["data"].as_array().expect("a list").iter().map(|item| item["id"].as_u64()).collect();
    assert_eq!(ids, (6..=25).rev().map(Some).collect::<Vec<_>>());
    let newest = json!({"id": 25, "title": "n24", "message": "m", "level": "info", "is_read": true,
        "created_at": frames::TIME, "data": {}});
    assert_eq!(frames::masked(list["data"][0].clone()), newest);
}

#[tokio::test]
async fn a_title_has_two_hundred_characters_however_many_bytes() {
    let server = Server::dev();
    let api = server.api();
    api.notify("1", &"ü".repeat(200)).await;
    let body = json!({"user_id": 1, "title": "ü".repeat(201), "message": "m"});
    let refused = api.post("/notifications", &body).await;
    assert_eq!((refused.status, &refused.body["error"]["field"]), (422, &json!("title")), "{refused:?}");
    let body = json!({"user_id": 1, "title": "t", "message": "m", "level": "loud"});
    assert_eq!(api.post("/notifications", &body).await.body["error"]["field"], "level");
}

#[tokio::test]
async fn a_dashboard_merges_top_level_keys_and_frames_carry_what_was_sent() {
    let server = Server::dev();
    let api = server.api();
    let mut alice = server.greeted("/ws/dashboard/", ALICE).await;
    for data in
        [json!({"total_subscriptions": 5, "deep": {"a": 1}}), json!({"total_revenue": "9.50", "deep": {"b": 2}})]
    {
        let answer = api.post("/users/1/dashboard", &json!({"data": data})).await;
        assert_eq!((answer.status, &answer.body["recipients"]), (202, &json!(1)));
        alice.expect(json!({"type": "dashboard_update", "data": data})).await;
    }
    // Shown, and not stored.
    let event = json!({"type": "dashboard_update", "data": {"total_subscriptions": 99}});
    api.group_send("dashboard_user_1", &event).await;
    alice.expect(event).await;
    let merged = json!({"total_subscriptions": 5, "active_subscriptions": 0, "total_revenue": "9.50",
        "deep": {"b": 2}, "last_updated": frames::TIME});
    let stored = alice.ask("request_dashboard_update").await;
    assert_eq!(frames::masked(stored), json!({"type": "dashboard_update", "data": merged}));
    api.post("/users/1/dashboard", &json!({"data": {"last_updated": "yesterday"}})).await.ok();
    alice.next().await;
    assert_eq!(alice.ask("request_dashboard_update").await["data"]["last_updated"], "yesterday");
}

#[tokio::test]
async fn payments_and_warnings_and_group_sends_change_no_subscription() {
    let server = Server::dev();
    let api = server.api();
    let mut alice = server.greeted("/ws/subscriptions/", ALICE).await;
    let active = json!({"plan_name": "A", "status": "active"});
    for (path, kind) in [("payments", "payment_confirmation"), ("expiry-warnings", "subscription_expiry_warning")] {
        api.post(&format!("/users/1/{path}"), &json!({"data": active})).await.ok();
        alice.expect(json!({"type": kind, "data": active})).await;
    }
    let event = json!({"type": "subscription_status_update", "data": active});
    api.group_send("subscriptions_user_1", &event).await;
    alice.expect(event).await;
    let status = alice.ask("request_subscription_status").await;
    assert_eq!(status["data"], json!({"active_subscriptions": [], "total_active_count": 0}));
    assert_eq!(alice.ask("request_subscription_history").await["data"], json!([]));
}

#[tokio::test]
async fn an_alert_reaches_admins_and_is_kept() {
    let server = Server::dev();
    let api = server.api();
    let mut root = server.greeted("/ws/subscriptions/admin/", ROOT).await;
    for kind in ["new_subscription", "subscription_cancellation"] {
        let answer = api.post("/admin/alerts", &json!({"alert_type": kind, "data": {"plan": "A"}})).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        root.expect(json!({"type": format!("{kind}_alert"), "data": {"plan": "A"}})).await;
    }
    let kept = api.get("/admin/alerts").await.ok();
    let list = kept.as_object().and_then(|body| body.values().find_map(Value::as_array)).expect("a list");
    assert_eq!(list.len(), 2);
    assert_eq!(list[0]["alert_type"], "subscription_cancellation", "newest first: {kept}");
    assert_eq!(api.post("/admin/alerts", &json!({"alert_type": "fire", "data": {}})).await.status, 422);
}

#[tokio::test]
async fn a_multicast_goes_where_its_type_says_and_stores_nothing() {
    let server = Server::dev();
    let api = server.api();
    let mut dashboard = server.greeted("/ws/dashboard/", ALICE).await;
    let mut subscriptions = server.greeted("/ws/subscriptions/", ALICE).await;
    let mut notifications = server.greeted("/ws/notifications/", ALICE).await;
    let mut bob = server.greeted("/ws/notifications/", BOB).await;
    let multicast = async |kind: Option<&str>, users: Value, data: Value| {
        let mut body = json!({"user_ids": users, "message_data": data});
        if let Some(kind) = kind {
            body["type"] = json!(kind);
        }
        api.post("/multicast", &body).await
    };
    assert_eq!(multicast(None, json!([1, "2"]), json!({"message": "hi"})).await.status, 202);
    for socket in [&mut notifications, &mut bob] {
        socket.expect(json!({"type": "notification", "message": "hi", "level": "info"})).await;
    }
    multicast(Some("dashboard_update"), json!([1]), json!({"data": {"a": 1}})).await.ok();
    dashboard.expect(json!({"type": "dashboard_update", "data": {"a": 1}})).await;
    for kind in ["subscription_status_update", "payment_confirmation", "subscription_expiry_warning"] {
        multicast(Some(kind), json!([1]), json!({"data": {"status": "active", "plan_name": "A"}})).await.ok();
        assert_eq!(subscriptions.next().await["type"], kind);
    }
    assert_eq!(multicast(Some("zzz"), json!([1]), json!({"data": {}})).await.status, 422);
    for socket in [&mut dashboard, &mut subscriptions, &mut notifications, &mut bob] {
        socket.expect_nothing(&api).await;
    }
    assert_eq!(dashboard.ask("request_dashboard_update").await["data"]["last_updated"], Value::Null);
    assert_eq!(subscriptions.ask("request_subscription_status").await["data"]["total_active_count"], 0);
}

#[tokio::test]
async fn a_broadcast_goes_to_the_admin_groups_unless_told_otherwise() {
    let server = Server::dev();
    let api = server.api();
    let mut admin = server.greeted("/ws/dashboard/admin/", ROOT).await;
    let mut subscription_admin = server.greeted("/ws/subscriptions/admin/", ROOT).await;
    let mut alice = server.greeted("/ws/dashboard/", ALICE).await;
    let frame = |message: &str, level: &str| json!({"type": "notification", "message": message, "level": level});
    api.post("/broadcasts", &json!({"message": "all"})).await.ok();
    admin.expect(frame("all", "info")).await;
    subscription_admin.expect(frame("all", "info")).await;
    let body = json!({"message": "one", "level": "warning", "groups": ["dashboard_user_1"]});
    api.post("/broadcasts", &body).await.ok();
    alice.expect(frame("one", "warning")).await;
    for socket in [&mut admin, &mut subscription_admin, &mut alice] {
        socket.expect_nothing(&api).await;
    }
}

#[tokio::test]
async fn a_group_send_of_a_new_notification_is_followed_by_the_unread_count() {
    let server = Server::dev();
    let api = server.api();
    api.notify("1", "stored").await;
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    let event = json!({"type": "new_notification", "data": {"id": 77, "title": "t"}});
    api.group_send("notifications_user_1", &event).await;
    alice.expect(event).await;
    alice.expect(json!({"type": "unread_count", "count": 1})).await;
    let refused = api.post("/groups/notifications_user_1/send", &json!({"type": "system_update", "data": 1})).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.to_string().contains("notification_read"), "it lists what the group knows: {refused:?}");
    alice.expect_nothing(&api).await;
}

#[tokio::test]
async fn one_notification_to_many_users_gives_each_an_id_of_their_own_and_is_all_or_nothing() {
    let server = Server::dev();
    let api = server.api();
    let body = json!({"user_ids": [1, "2", 3], "title": "t", "message": "m"});
    let answer = api.post("/notifications", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let expected = json!([{"id": 1, "user_id": 1}, {"id": 2, "user_id": 2}, {"id": 3, "user_id": 3}]);
    assert_eq!(answer.body["notifications"], expected);
    let body = json!({"user_ids": [1, "no id"], "title": "t", "message": "m"});
    assert_eq!(api.post("/notifications", &body).await.status, 422);
    assert_eq!(api.notify("1", "next").await, 4);
}
