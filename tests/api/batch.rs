//! Many calls in one: in order, each for itself.

use crate::{
    http::Caller,
    support::{ALICE, Server},
};
use serde_json::{Value, json};

fn notify(title: &str) -> Value {
    json!({"call": "send_notification", "args": {"user_id": 1, "title": title, "message": "m"}})
}

#[tokio::test]
async fn every_function_of_the_backend_can_be_called_by_its_name() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let plan = json!({"status": "active", "plan_name": "p"});
    let calls = [
        (
            "send_notification",
            json!({"user_id": 1, "title": "t", "message": "m", "level": "error", "data": {"a": 1}}),
            201,
        ),
        ("send_notification", json!({"user_ids": [1, "bob"], "title": "t", "message": "m"}), 201),
        ("send_dashboard_update", json!({"user_id": 1, "data": {}}), 202),
        ("send_subscription_update", json!({"user_id": 1, "subscription_data": plan}), 202),
        ("send_payment_confirmation", json!({"user_id": 1, "payment_data": {}}), 202),
        ("send_subscription_expiry_warning", json!({"user_id": 1, "subscription_data": {}}), 202),
        ("send_admin_dashboard_update", json!({"data": {}}), 202),
        ("send_admin_subscription_alert", json!({"alert_type": "new_subscription", "data": {}}), 202),
        ("broadcast_system_message", json!({"message": "m", "level": "info", "target_groups": null}), 202),
        ("broadcast_system_message", json!({"message": "m", "target_groups": ["admin_dashboard"]}), 202),
        ("send_to_multiple_users", json!({"user_ids": [1, 2], "message_data": {"message": "m"}}), 202),
        (
            "send_to_multiple_users",
            json!({"user_ids": [1], "message_data": {"data": {}}, "message_type": "dashboard_update"}),
            202,
        ),
        ("group_send", json!({"group": "admin_dashboard", "event": {"type": "system_update", "data": 1}}), 202),
    ];
    let body: Vec<_> = calls.iter().map(|(call, args, _)| json!({"call": call, "args": args})).collect();
    let results = api.post("/batch", &json!({"calls": body})).await.good();
    let statuses: Vec<_> =
        results["results"].as_array().expect("results").iter().map(|r| r["status"].clone()).collect();
    let expected: Vec<_> = calls.iter().map(|(_, _, status)| json!(status)).collect();
    assert_eq!(statuses, expected, "{results:#}");
    let first = &results["results"][0]["body"];
    assert_eq!((&first["level"], &first["data"], &first["user_id"]), (&json!("error"), &json!({"a": 1}), &json!(1)));
}

#[tokio::test]
async fn a_wrong_call_fails_alone_and_the_order_stays() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let calls = json!({"calls": [
        notify("one"),
        {"call": "send_notification", "args": {"user_id": 1, "title": "", "message": "m"}},
        {"call": "nope"},
        {"call": "send_dashboard_update"},
        {"call": "send_dashboard_update", "args": {"user_id": 1, "data": {}, "more": 1}},
        {"call": "send_dashboard_update", "args": [], "user_id": 1},
        "text",
        {"call": "group_send", "args": {"group": "zzz", "event": {}}},
        notify("two"),
    ]});
    let results = api.post("/batch", &calls).await.good();
    let brief: Vec<_> = results["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|r| {
            (r["status"].as_u64().expect("a status"), r["body"]["error"]["field"].as_str().unwrap_or("").to_owned())
        })
        .collect();
    let expected = [
        (201, ""),
        (422, "title"),
        (422, "call"),
        (422, "user_id"),
        (422, "more"),
        (422, "args"),
        (422, ""),
        (404, ""),
        (201, ""),
    ];
    assert_eq!(brief, expected.map(|(status, field)| (status, field.to_owned())), "{results:#}");
    let titles: Vec<_> = api.get("/users/1/notifications").await.good()["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|n| n["title"].clone())
        .collect();
    assert_eq!(titles, ["two", "one"]);
}

#[tokio::test]
async fn a_thousand_calls_share_a_few_waits_for_the_disk_and_one_more_is_too_many() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let calls: Vec<_> = (0..1_000).map(|n| notify(&n.to_string())).collect();
    let fsyncs = |stats: Value| stats["log"]["fsyncs"].as_u64().expect("a count");
    let before = fsyncs(api.get("/stats").await.good());
    let results = api.post("/batch", &json!({"calls": calls})).await.good();
    let ids: Vec<_> = results["results"].as_array().expect("results").iter().map(|r| r["body"]["id"].clone()).collect();
    assert_eq!(ids, (1..=1_000).map(|id| json!(id)).collect::<Vec<_>>());
    let waits = fsyncs(api.get("/stats").await.good()) - before;
    assert!(waits <= 50, "{waits} waits for 1,000 calls");
    let calls: Vec<_> = (0..1_001).map(|n| notify(&n.to_string())).collect();
    let refused = api.post("/batch", &json!({"calls": calls})).await;
    assert_eq!(refused.error(), (422, "invalid".into(), Some("calls".into())));
    assert_eq!(api.get("/users/1/notifications/unread-count").await.good_at_pos(), json!({"count": 1_000}));
    assert_eq!(api.post("/batch", &json!({"calls": []})).await.good(), json!({"results": []}));
}

#[tokio::test]
async fn a_repeated_batch_does_nothing_twice() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let mut socket = server.greeted("/ws/notifications/", ALICE).await;
    let calls = json!({"calls": [notify("one"), {"call": "nope"}, notify("two")]});
    let first = api.once("/batch", "k", &calls).await.good();
    let again = api.once("/batch", "k", &calls).await.good();
    assert_eq!(first["results"][0]["body"], again["results"][0]["body"]);
    assert_eq!(first["results"][2]["body"], again["results"][2]["body"]);
    assert_eq!((&first["results"][0]["replayed"], &again["results"][0]["replayed"]), (&Value::Null, &json!(true)));
    assert_eq!(again["results"][1]["status"], 422);
    assert_eq!(socket.until_marker(&server.api()).await.len(), 4, "two notifications, each with a count");
    let other = api.once("/batch", "k", &json!({"calls": [notify("three")]})).await.good();
    assert_eq!(other["results"][0]["status"], 409);
}
