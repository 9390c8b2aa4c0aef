//! What the old stack did wrong and this one does right: a test for each "Mended" row of PROTOCOL.md.

mod support;

use serde_json::{Value, json};
use support::{ALICE, Api, BOB, Options, ROOT, Server, frames, socket, until};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn what_is_no_frame_gets_an_error_and_the_socket_stays() {
    let server = Server::dev();
    let mut socket = server.greeted("/ws/notifications/", ALICE).await;
    let bad_id = json!({"type": "mark_as_read", "notification_id": {"x": 1}}).to_string();
    let table = [
        (Message::text("nope"), "bad_json"),
        (Message::text("[1]"), "bad_json"),
        (Message::text("null"), "bad_json"),
        (Message::binary(vec![1, 2]), "binary_frame"),
        (Message::text(bad_id), "bad_notification_id"),
    ];
    for (message, code) in table {
        socket.send_message(message).await;
        let error = socket.next().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{error}");
    }
    assert_eq!(socket.ask("request_unread_count").await, json!({"type": "unread_count", "count": 0}));
}

#[tokio::test]
async fn ten_bad_frames_in_a_row_close_with_1008_and_a_good_one_starts_the_count_anew() {
    let server = Server::dev();
    let mut socket = server.greeted("/ws/dashboard/", ALICE).await;
    for bad_ones in [9, 9, 10] {
        if bad_ones == 9 {
            for _ in 0..bad_ones {
                socket.send_text("nope").await;
                assert_eq!(socket.next().await["type"], "error");
            }
            assert_eq!(socket.ask("heartbeat").await["type"], "heartbeat_response");
        } else {
            for _ in 0..bad_ones {
                socket.send_text("nope").await;
            }
        }
    }
    assert_eq!(socket.closed().await, (1008, json!({"code": "bad_frames"})));
}

#[tokio::test]
async fn online_users_names_everyone_who_is_online_now() {
    let server = Server::dev();
    let mut alice = server.connect("/ws/presence/", ALICE).await;
    alice.expect(json!({"type": "online_users", "data": []})).await;
    alice.expect(json!({"type": "user_online", "data": ALICE.person()})).await;
    let mut bob = server.connect("/ws/presence/", BOB).await;
    bob.expect(json!({"type": "online_users", "data": [ALICE.person()]})).await;
    bob.expect(json!({"type": "user_online", "data": BOB.person()})).await;
    alice.expect(json!({"type": "user_online", "data": BOB.person()})).await;
}

#[tokio::test]
async fn a_user_with_two_tabs_who_closes_one_stays_online() {
    let server = Options::default().set("PRESENCE__GRACE_SECONDS", 0).start();
    let mut alice = server.greeted("/ws/presence/", ALICE).await;
    let one = server.greeted("/ws/presence/", BOB).await;
    let other = server.greeted("/ws/presence/", BOB).await;
    alice.expect(json!({"type": "user_online", "data": BOB.person()})).await;
    one.close().await;
    // Root goes after Bob's first tab: once Root is gone, Bob would have been, too.
    server.greeted("/ws/presence/", ROOT).await.close().await;
    alice.expect(json!({"type": "user_online", "data": ROOT.person()})).await;
    alice.expect(json!({"type": "user_offline", "data": {"user_id": 3, "username": "root"}})).await;
    other.close().await;
    alice.expect(json!({"type": "user_offline", "data": {"user_id": 2, "username": "bob"}})).await;
}

#[tokio::test]
async fn a_message_to_an_admin_group_becomes_a_notification_frame() {
    let server = Server::dev();
    let api = server.api();
    for (path, group) in
        [("/ws/dashboard/admin/", "admin_dashboard"), ("/ws/subscriptions/admin/", "subscription_admin")]
    {
        let mut root = server.greeted(path, ROOT).await;
        api.group_send(group, &json!({"type": "notification_message", "message": "hi", "level": "error"})).await;
        root.expect(json!({"type": "notification", "message": "hi", "level": "error"})).await;
    }
}

#[tokio::test]
async fn a_message_to_a_users_notifications_is_shown_and_not_stored() {
    let server = Server::dev();
    let api = server.api();
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    api.group_send("notifications_user_1", &json!({"type": "notification_message", "message": "hi"})).await;
    alice.expect(json!({"type": "notification", "message": "hi", "level": "info"})).await;
    alice.expect_nothing(&api).await;
    assert_eq!(alice.ask("request_notifications").await["data"], json!([]));
}

#[tokio::test]
async fn what_is_read_in_one_tab_the_others_hear() {
    let server = Server::dev();
    let api = server.api();
    let mut acting = server.greeted("/ws/notifications/", ALICE).await;
    let mut other = server.greeted("/ws/notifications/", ALICE).await;
    let mut bob = server.greeted("/ws/notifications/", BOB).await;
    let ids = [api.notify("1", "one").await, api.notify("1", "two").await];
    assert_eq!((acting.until_marker(&api).await.len(), other.until_marker(&api).await.len()), (4, 4));
    acting.send(&json!({"type": "mark_as_read", "notification_id": ids[0]})).await;
    acting.expect(json!({"type": "notification_marked_read", "notification_id": ids[0]})).await;
    other.expect(json!({"type": "notification_read", "data": {"id": ids[0]}})).await;
    other.expect(json!({"type": "unread_count", "count": 1})).await;
    acting.send(&json!({"type": "mark_all_as_read"})).await;
    acting.expect(json!({"type": "all_notifications_marked_read"})).await;
    other.expect(json!({"type": "notification_read", "data": {"all": true}})).await;
    other.expect(json!({"type": "unread_count", "count": 0})).await;
    for socket in [&mut acting, &mut other, &mut bob] {
        socket.expect_nothing(&api).await;
    }
}

#[tokio::test]
async fn status_history_and_stats_answer_with_what_the_backend_sent_and_survive_a_crash() {
    let mut server = Server::dev();
    server.api().put("/users/1", &ALICE.profile()).await.ok();
    subscribe(&server.api(), "1").await;
    for crash in [false, true] {
        if crash {
            server.kill_and_restart();
        }
        let mut alice = server.greeted("/ws/subscriptions/", ALICE).await;
        let status = alice.ask("request_subscription_status").await;
        let row = json!({"id": 7, "plan_name": "Premium", "status": "active", "start_date": "2026-01-01",
            "end_date": null, "amount": "29.99", "currency": "USD"});
        let expected = json!({"type": "subscription_status",
            "data": {"active_subscriptions": [row], "total_active_count": 1}});
        assert_eq!(status, expected);
        let history = alice.ask("request_subscription_history").await;
        let step = |id: u64, plan: &str, status: &str, amount: Value, currency: Value| {
            json!({"id": id, "plan_name": plan, "status": status, "created_at": frames::TIME, "amount": amount,
                "currency": currency})
        };
        let expected = json!({"type": "subscription_history", "data": [
            step(8, "Basic", "cancelled", Value::Null, Value::Null),
            step(7, "Premium", "active", json!("29.99"), json!("USD")),
            step(7, "Premium", "trial", json!("29.99"), Value::Null),
        ]});
        assert_eq!(frames::masked(history), expected);
        let mut root = server.greeted("/ws/subscriptions/admin/", ROOT).await;
        let stats = root.ask("request_subscription_stats").await;
        let expected = json!({"type": "subscription_stats", "data": {"total_subscriptions": 2,
            "active_subscriptions": 1, "inactive_subscriptions": 1, "last_updated": frames::TIME}});
        assert_eq!(frames::masked(stats), expected);
        let mut admin = server.greeted("/ws/dashboard/admin/", ROOT).await;
        let stats = frames::masked(admin.ask("request_system_stats").await);
        assert_eq!(stats["data"]["last_updated"], frames::TIME);
    }
}

async fn subscribe(api: &Api, user: &str) {
    let updates = [
        json!({"id": 7, "plan_name": "Premium", "status": "trial", "amount": "29.99", "start_date": "2026-01-01"}),
        json!({"plan_name": "Premium", "status": "active", "currency": "USD"}),
        json!({"plan_name": "Basic", "status": "cancelled"}),
    ];
    for data in updates {
        api.post(&format!("/users/{user}/subscriptions"), &json!({"data": data})).await.ok();
    }
    let payment = json!({"data": {"amount": "29.99", "currency": "EUR"}});
    api.post(&format!("/users/{user}/payments"), &payment).await.ok();
    api.post("/admin/dashboard", &json!({"data": {"cpu": 1}})).await.ok();
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    let server = Server::dev();
    for path in ["/ws/chat/", "/ws/", "/ws/dashboard/x/", "/ws/dashboard//"] {
        let handshake = socket::request(server.address(), path, Some(&ALICE.token()));
        assert_eq!(socket::status(handshake).await, 404, "{path}");
    }
    assert_eq!(server.api().get_root("/nothing").await.status, 404);
}

#[tokio::test]
async fn a_slow_reader_loses_ephemeral_frames_and_hinders_nobody() {
    let server = Options::default().set("LIMITS__OUTBOX_FRAMES", 16).start();
    let api = server.api();
    let mut slow = socket::Socket::connect_slow(server.address(), "/ws/dashboard/", ALICE).await;
    let mut fast = server.greeted("/ws/dashboard/", ALICE).await;
    let padding = "x".repeat(40_000);
    const EVENTS: u64 = 400;
    for n in 0..EVENTS {
        let event = json!({"type": "dashboard_update", "data": {"n": n, "padding": padding}});
        api.group_send("dashboard_user_1", &event).await;
        assert_eq!(fast.next().await["data"]["n"], n, "the fast reader misses nothing");
    }
    let counted = until("a count of dropped frames", || async { dropped(&api).await.filter(|count| *count > 0) }).await;
    assert!(counted < EVENTS, "{counted}");
    let mut got = Vec::new();
    for _ in counted..EVENTS {
        got.push(slow.next().await["data"]["n"].as_u64().expect("a number"));
    }
    assert!(got.is_sorted(), "in order, with gaps: {got:?}");
    assert!(slow.until_marker(&api).await.is_empty(), "what is missing is counted, and nothing else is");
}

/// The counter of dropped frames.
async fn dropped(api: &Api) -> Option<u64> {
    let text = api.text("/metrics").await;
    let lines = text.lines().filter(|line| !line.starts_with('#') && line.starts_with("carillon_drops_total"));
    let counts: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (!counts.is_empty()).then(|| counts.iter().sum::<f64>() as u64)
}

#[tokio::test]
async fn a_slow_reader_is_closed_rather_than_denied_a_durable_frame() {
    let server = Options::default().set("LIMITS__OUTBOX_FRAMES", 16).start();
    let api = server.api();
    let mut slow = socket::Socket::connect_slow(server.address(), "/ws/subscriptions/", ALICE).await;
    let data = json!({"data": {"amount": "1.00", "padding": "x".repeat(40_000)}});
    let mut sent = 0;
    loop {
        let reached = api.post("/users/1/payments", &data).await.ok()["recipients"].as_u64();
        if reached == Some(0) {
            break;
        }
        sent += 1;
        assert!(sent < 2_000, "it takes in everything");
    }
    assert_eq!(
        slow.closed().await,
        (1006, serde_json::Value::Null),
        "a page of the old stack comes back after that alone"
    );
}
