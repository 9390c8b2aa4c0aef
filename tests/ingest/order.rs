//! Answers and effects have the order of the calls, and what is under way together shares its waits for the disk.

use crate::{
    client::{Stream, brief, notify, tell},
    support::{ALICE, Random, Server},
};
use serde_json::{Value, json};

#[tokio::test]
async fn answers_come_in_order_with_their_ids_however_lines_are_packed() {
    let server = Server::dev();
    let mut stream = Stream::open(&server).await;
    let mut random = Random::from_env("INGEST_SEED");
    let calls: Vec<Value> =
        (0..3_000).map(|nth| if nth % 3 == 0 { tell(nth % 7, nth) } else { notify(nth % 7, nth) }).collect();
    let mut rest = calls.as_slice();
    while !rest.is_empty() {
        let size = usize::try_from(random.next() % 50 + 1).expect("small").min(rest.len());
        stream.send(&rest[..size]).await;
        rest = &rest[size..];
    }
    for (nth, answer) in stream.answers(calls.len()).await.into_iter().enumerate() {
        let status = if nth % 3 == 0 { 202 } else { 201 };
        assert_eq!((&answer["id"], &answer["status"]), (&json!(nth), &json!(status)), "{answer}");
        assert_eq!(answer["position"].is_string(), status == 201, "what is stored has a position: {answer}");
    }
    let fsyncs = server.api().get("/stats").await.ok()["log"]["fsyncs"].as_u64().expect("a count");
    assert!(fsyncs < 1_000, "{fsyncs} waits for 2,000 stored calls");
}

#[tokio::test]
async fn a_window_sees_what_is_stored_and_what_is_told_in_the_order_of_the_calls() {
    let server = Server::dev();
    let mut window = server.greeted("/ws/notifications/", ALICE).await;
    let mut stream = Stream::open(&server).await;
    let mut random = Random::from_env("INGEST_SEED");
    let calls: Vec<Value> = (0..400)
        .map(|nth| {
            // Others in between, whom nothing waits for.
            match random.next() % 4 {
                0 => tell(1, nth),
                1 => notify(1, nth),
                2 => tell(2, nth),
                _ => notify(2, nth),
            }
        })
        .collect();
    stream.send(&calls).await;
    let sent: Vec<String> = calls
        .iter()
        .filter(|call| call["args"]["user_id"] == 1 || call["args"]["group"] == "notifications_user_1")
        .map(|call| call["id"].to_string())
        .collect();
    assert!(sent.len() > 100);
    let mut seen = Vec::new();
    while seen.len() < sent.len() {
        let frame = window.next().await;
        match frame["type"].as_str() {
            Some("notification") => seen.push(frame["message"].as_str().expect("text").to_owned()),
            Some("new_notification") => seen.push(frame["data"]["title"].as_str().expect("text").to_owned()),
            _ => {}
        }
    }
    assert_eq!(seen, sent);
    let answers = stream.answers(calls.len()).await;
    assert!(answers.iter().all(|answer| answer["status"] == 201 || answer["status"] == 202));
}

#[tokio::test]
async fn a_call_is_answered_as_it_is_alone() {
    let server = Server::dev();
    let mut stream = Stream::open(&server).await;
    let plan = json!({"status": "active", "plan_name": "p"});
    let table = [
        ("send_notification", json!({"user_id": 1, "title": "t", "message": "m"}), (201, "", "")),
        ("send_notification", json!({"user_ids": [1, "bob"], "title": "t", "message": "m"}), (201, "", "")),
        ("send_dashboard_update", json!({"user_id": 1, "data": {}}), (202, "", "")),
        ("send_subscription_update", json!({"user_id": 1, "subscription_data": plan}), (202, "", "")),
        ("send_payment_confirmation", json!({"user_id": 1, "payment_data": {}}), (202, "", "")),
        ("send_subscription_expiry_warning", json!({"user_id": 1, "subscription_data": {}}), (202, "", "")),
        ("send_admin_dashboard_update", json!({"data": {}}), (202, "", "")),
        ("send_admin_subscription_alert", json!({"alert_type": "new_subscription", "data": {}}), (202, "", "")),
        ("broadcast_system_message", json!({"message": "m"}), (202, "", "")),
        ("send_to_multiple_users", json!({"user_ids": [1], "message_data": {"message": "m"}}), (202, "", "")),
        ("group_send", json!({"group": "zzz", "event": {}}), (404, "unknown_group", "")),
        ("group_send", json!({"group": "presence", "event": {"type": "zzz"}}), (422, "invalid", "type")),
        ("send_notification", json!({"user_id": 1, "title": "", "message": "m"}), (422, "invalid", "title")),
        (
            "send_notification",
            json!({"user_id": 1, "title": "t", "message": "m".repeat(20_000)}),
            (413, "too_large", "message"),
        ),
        (
            "send_subscription_update",
            json!({"user_id": 1, "subscription_data": {"status": "active"}}),
            (422, "invalid", "subscription_data"),
        ),
        ("batch", json!({"calls": []}), (422, "invalid", "call")),
    ];
    let calls: Vec<_> = table.iter().map(|(call, args, _)| json!({"id": call, "call": call, "args": args})).collect();
    stream.send(&calls).await;
    for (call, args, expected) in &table {
        let answer = stream.answer().await;
        assert_eq!((brief(&answer), &answer["id"]), (*expected, &json!(call)), "{args}");
    }
}

#[tokio::test]
async fn a_repeated_call_is_answered_again_and_another_under_its_key_refused() {
    let server = Server::dev();
    let mut window = server.greeted("/ws/notifications/", ALICE).await;
    let (mut stream, mut other) = (Stream::open(&server).await, Stream::open(&server).await);
    stream.send(&[notify(1, 1), notify(1, 1)]).await;
    let (first, again) = (stream.answer().await, stream.answer().await);
    other.send(&[notify(1, 1)]).await;
    let elsewhere = other.answer().await;
    assert_eq!((&first["body"], &first["body"]), (&again["body"], &elsewhere["body"]));
    assert_eq!([&first, &again, &elsewhere].map(|a| a["replayed"].clone()), [Value::Null, json!(true), json!(true)]);
    let mut changed = notify(1, 1);
    changed["args"]["message"] = json!("another");
    other.send(&[changed]).await;
    assert_eq!(brief(&other.answer().await), (409, "idempotency_key_reused", ""));
    assert_eq!(window.until_marker(&server.api()).await.len(), 2, "one notification and its count");
}
