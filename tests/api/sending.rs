//! Sending, and who hears it.

use crate::{
    http::Caller,
    support::{ALICE, BOB, ROOT, Server, Socket, User},
};
use serde_json::{Value, json};

async fn open(server: &Server, path: &str, user: User<'_>) -> Socket {
    server.greeted(path, user).await
}

fn told(n: u64) -> Value {
    json!({"recipients": n})
}

#[tokio::test]
async fn what_is_said_of_a_user_reaches_the_users_sockets_and_is_kept() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let mut dashboard = open(&server, "/ws/dashboard/", ALICE).await;
    let mut second = open(&server, "/ws/dashboard/", ALICE).await;
    let mut subscriptions = open(&server, "/ws/subscriptions/", ALICE).await;
    let mut bobs = open(&server, "/ws/dashboard/", BOB).await;

    let data = json!({"total_revenue": "9.90"});
    let got = api.post("/users/1/dashboard", &json!({"data": data})).await;
    assert_eq!((got.status, got.json()), (202, told(2)));
    for socket in [&mut dashboard, &mut second] {
        socket.expect(json!({"type": "dashboard_update", "data": data})).await;
    }
    assert_eq!(dashboard.ask("request_dashboard_update").await["data"]["total_revenue"], "9.90");
    bobs.expect_nothing(&server.api()).await;

    let plan = json!({"id": 7, "status": "active", "plan_name": "p", "amount": "5.00"});
    for (path, kind) in [
        ("subscriptions", "subscription_status_update"),
        ("payments", "payment_confirmation"),
        ("expiry-warnings", "subscription_expiry_warning"),
    ] {
        assert_eq!(api.post(&format!("/users/1/{path}"), &json!({"data": plan})).await.good(), told(1), "{path}");
        subscriptions.expect(json!({"type": kind, "data": plan})).await;
    }
    let payments = api.get("/users/1/payments").await.good();
    assert_eq!((&payments["data"][0]["data"], &payments["data"][1]), (&plan, &Value::Null));
    assert_eq!(api.get("/users/2/payments").await.good(), json!({"data": []}));
    let status = subscriptions.ask("request_subscription_status").await;
    assert_eq!(status["data"]["active_subscriptions"][0]["id"], 7);
}

#[tokio::test]
async fn admins_hear_of_their_dashboard_alerts_and_broadcasts() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let mut dashboard = open(&server, "/ws/dashboard/admin/", ROOT).await;
    let mut alerts = open(&server, "/ws/subscriptions/admin/", ROOT).await;
    assert_eq!(api.post("/admin/dashboard", &json!({"data": [1, null]})).await.good(), told(1));
    dashboard.expect(json!({"type": "system_update", "data": [1, null]})).await;
    for (n, kind) in ["new_subscription", "subscription_cancellation"].into_iter().enumerate() {
        let body = json!({"alert_type": kind, "data": {"n": n}});
        assert_eq!(api.post("/admin/alerts", &body).await.good(), told(1));
        alerts.expect(json!({"type": format!("{kind}_alert"), "data": {"n": n}})).await;
    }
    let kept = api.get("/admin/alerts?limit=1").await.good();
    assert_eq!(
        (&kept["data"][0]["alert_type"], &kept["next_before"]),
        (&json!("subscription_cancellation"), &json!(2))
    );
    let older = api.get("/admin/alerts?before=2").await.good();
    assert_eq!((&older["data"][0]["data"]["n"], &older["next_before"]), (&json!(0), &Value::Null));
    assert_eq!(api.post("/broadcasts", &json!({"message": "m", "level": "warning"})).await.good(), told(2));
    for socket in [&mut dashboard, &mut alerts] {
        socket.expect(json!({"type": "notification", "message": "m", "level": "warning"})).await;
    }
    let some = json!({"message": "m", "groups": ["admin_dashboard", "dashboard_user_1"]});
    assert_eq!(api.post("/broadcasts", &some).await.good(), told(1));
}

#[tokio::test]
async fn a_multicast_finds_each_users_group_by_its_type() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let mut sockets = Vec::new();
    for user in [ALICE, BOB] {
        for path in ["/ws/dashboard/", "/ws/subscriptions/", "/ws/notifications/"] {
            sockets.push(open(&server, path, user).await);
        }
    }
    let table = [
        (
            json!({"user_ids": [1, 2], "message_data": {"message": "m"}}),
            2,
            json!({"type": "notification", "message": "m", "level": "info"}),
        ),
        (
            json!({"user_ids": [1, 2], "type": "dashboard_update", "message_data": {"data": 1}}),
            0,
            json!({"type": "dashboard_update", "data": 1}),
        ),
        (
            json!({"user_ids": [1, 2], "type": "payment_confirmation", "message_data": {"data": 1}}),
            1,
            json!({"type": "payment_confirmation", "data": 1}),
        ),
    ];
    for (body, nth, frame) in table {
        assert_eq!(api.post("/multicast", &body).await.good(), told(2), "{body}");
        sockets[nth].expect(frame.clone()).await;
        sockets[nth + 3].expect(frame).await;
    }
    // The count of each follows, not that of the first.
    api.post("/notifications", &json!({"user_id": 2, "title": "t", "message": "m"})).await.good();
    sockets[5].next().await;
    sockets[5].next().await;
    api.post("/multicast", &json!({"user_ids": [1, 2], "type": "new_notification", "message_data": {"data": {}}}))
        .await
        .good();
    for (nth, unread) in [(2, 0), (5, 1)] {
        sockets[nth].expect(json!({"type": "new_notification", "data": {}})).await;
        sockets[nth].expect(json!({"type": "unread_count", "count": unread})).await;
    }
    for socket in &mut sockets {
        socket.expect_nothing(&server.api()).await;
    }
}

#[tokio::test]
async fn a_group_is_sent_to_by_its_name() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let mut socket = open(&server, "/ws/notifications/", ALICE).await;
    let event = json!({"type": "new_notification", "data": {"id": 9}, "extra": 1});
    let got = api.post("/groups/notifications_user_1/send", &event).await;
    assert_eq!((got.status, got.json()), (202, told(1)));
    socket.expect(json!({"type": "new_notification", "data": {"id": 9}})).await;
    socket.expect(json!({"type": "unread_count", "count": 0})).await;
    assert_eq!(api.get("/users/1/notifications").await.good()["data"], json!([]), "nothing is stored");
    let unknown = api.post("/groups/notifications_user_1/send", &json!({"type": "zzz"})).await;
    assert!(unknown.text.contains("new_notification, notification_read, notification_message"), "{unknown:?}");
}
