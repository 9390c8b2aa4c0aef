//! `/metrics` tells numbers that are right: what was done here is counted, each under its own name, and nothing else is.

mod support;

use reqwest::header::HeaderValue;
use serde_json::json;
use std::collections::BTreeMap;
use support::{ALICE, Api, BOB, Options, ROOT, Server, socket};

/// Every line of `/metrics` with its value.
async fn read(api: &Api) -> BTreeMap<String, f64> {
    let text = api.text("/metrics").await;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let parsed = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    parsed.collect()
}

fn of(values: &BTreeMap<String, f64>, name: &str) -> f64 {
    values.get(name).copied().unwrap_or(0.0)
}

/// The named lines have grown by exactly so much since `before`. Some are counted right after the client has seen what
/// they count, so it may take a moment; what is counted too often stays wrong.
async fn assert_grown(api: &Api, before: &BTreeMap<String, f64>, wanted: &[(&str, f64)]) {
    let mut last = Vec::new();
    let look = tokio::time::timeout(support::PATIENCE / 6, async {
        loop {
            let now = read(api).await;
            last = wanted.iter().map(|(name, _)| (*name, of(&now, name) - of(before, name))).collect();
            if last == wanted {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let is_right = look.await.is_ok();
    assert!(is_right, "counted: {last:#?}, right: {wanted:#?}");
}

#[tokio::test]
async fn sessions_are_counted_by_endpoint_and_by_how_they_end() {
    let server = Server::dev();
    let api = server.api();
    let before = read(&api).await;
    let mut dashboard = server.greeted("/ws/dashboard/", ALICE).await;
    let second = server.greeted("/ws/dashboard/", BOB).await;
    let subscriptions = server.greeted("/ws/subscriptions/", ALICE).await;
    let mut notifications = server.greeted("/ws/notifications/", ALICE).await;
    let _admin = server.greeted("/ws/dashboard/admin/", ROOT).await;
    let mut presence = server.greeted("/ws/presence/", BOB).await;
    let open = |endpoint: &str| format!("carillon_sessions{{endpoint=\"{endpoint}\"}}");
    let levels = [
        ("dashboard", 2.0),
        ("subscriptions", 1.0),
        ("notifications", 1.0),
        ("dashboard_admin", 1.0),
        ("subscriptions_admin", 0.0),
        ("presence", 1.0),
    ];
    let names: Vec<_> = levels.iter().map(|(endpoint, count)| (open(endpoint), *count)).collect();
    let mut wanted: Vec<(&str, f64)> = names.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    // Greetings: one frame each, two of notifications and of presence.
    wanted.extend([
        ("carillon_connects_total", 6.0),
        ("carillon_frames_out_total", 8.0),
        ("carillon_connect_seconds_count", 6.0),
    ]);
    wanted.extend([("carillon_presence_users_online", 1.0), ("carillon_frames_in_total", 0.0)]);
    assert_grown(&api, &before, &wanted).await;

    let before = read(&api).await;
    for _ in 0..3 {
        dashboard.ask("heartbeat").await;
        notifications.ask("request_unread_count").await;
    }
    presence.send(&json!({"type": "heartbeat"})).await;
    presence.until_pong().await; // one message and a ping in, a pong out
    let wanted =
        [("carillon_frames_in_total", 8.0), ("carillon_frames_out_total", 7.0), ("carillon_outbox_bytes", 0.0)];
    assert_grown(&api, &before, &wanted).await;

    let before = read(&api).await;
    second.close().await;
    drop(subscriptions);
    for _ in 0..10 {
        dashboard.send_text("no JSON").await;
    }
    assert_eq!(dashboard.closed().await.0, 1008);
    api.post("/users/2/disconnect", &json!({})).await.ok();
    assert_eq!(presence.closed().await.0, 4403);
    let (dashboards, subscriptions) = (open("dashboard"), open("subscriptions"));
    let wanted = [
        (r#"carillon_closes_total{code="peer"}"#, 1.0),
        (r#"carillon_closes_total{code="gone"}"#, 1.0),
        (r#"carillon_closes_total{code="bad_frames"}"#, 1.0),
        (r#"carillon_closes_total{code="disconnected"}"#, 1.0),
        (dashboards.as_str(), -2.0),
        (subscriptions.as_str(), -1.0),
        ("carillon_connects_total", 0.0),
    ];
    assert_grown(&api, &before, &wanted).await;
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let server = Options::default().set("LIMITS__CONNECTIONS_PER_USER", 1).start();
    let api = server.api();
    let before = read(&api).await;
    let _only = server.greeted("/ws/dashboard/", ALICE).await;
    let request = |path: &str, token: Option<String>| socket::request(server.address(), path, token.as_deref());
    let mut foreign = request("/ws/dashboard/", Some(BOB.token()));
    foreign.headers_mut().insert("origin", HeaderValue::from_static("https://evil.example"));
    let table = [
        (request("/ws/dashboard/", None), 403),
        (request("/ws/dashboard/", None), 403),
        (request("/ws/dashboard/", Some("no.token.this".into())), 403),
        (request("/ws/dashboard/", Some(BOB.token_for(0))), 403),
        (request("/ws/dashboard/admin/", Some(BOB.token())), 403),
        (request("/ws/nowhere/", Some(BOB.token())), 404),
        (request("/ws/dashboard/", Some(ALICE.token())), 429),
        (foreign, 403),
    ];
    for (request, status) in table {
        assert_eq!(socket::status(request).await, status);
    }
    let wanted = [
        (r#"carillon_refusals_total{reason="credential"}"#, 2.0),
        (r#"carillon_refusals_total{reason="token"}"#, 1.0),
        (r#"carillon_refusals_total{reason="expired"}"#, 1.0),
        (r#"carillon_refusals_total{reason="staff"}"#, 1.0),
        (r#"carillon_refusals_total{reason="not_found"}"#, 1.0),
        (r#"carillon_refusals_total{reason="user_full"}"#, 1.0),
        (r#"carillon_refusals_total{reason="origin"}"#, 1.0),
        ("carillon_connects_total", 1.0),
    ];
    assert_grown(&api, &before, &wanted).await;
}

#[tokio::test]
async fn publishes_proposals_and_waits_for_the_disk_are_counted_and_the_files_have_a_size() {
    let server = Server::dev();
    let api = server.api();
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    let before = read(&api).await;
    for nth in 1..=5 {
        api.notify("1", "t").await;
        alice.next().await;
        assert_eq!(alice.next().await["count"], nth);
    }
    for _ in 0..3 {
        api.group_send("notifications_user_1", &json!({"type": "notification_message", "message": "m"})).await;
        alice.next().await;
    }
    let refused = json!({"user_id": 1, "title": "t", "message": "m", "level": "loud"});
    assert_eq!(api.post("/notifications", &refused).await.status, 422);
    let wanted = [
        (r#"carillon_publishes_total{kind="durable"}"#, 5.0),
        (r#"carillon_publishes_total{kind="ephemeral"}"#, 3.0),
        ("carillon_frames_out_total", 13.0),
        ("carillon_proposals_total", 5.0),
        ("carillon_proposal_batches_total", 5.0),
        ("carillon_proposal_seconds_count", 5.0),
        // One after the other: each waits for the disk once.
        ("carillon_fsync_seconds_count", 5.0),
        ("carillon_log_entries", 5.0),
        (r#"carillon_api_calls_total{route="POST /notifications",status="201"}"#, 5.0),
        (r#"carillon_api_calls_total{route="POST /notifications",status="422"}"#, 1.0),
        (r#"carillon_api_calls_total{route="POST /groups/{group}/send",status="202"}"#, 3.0),
        (r#"carillon_api_seconds_count{route="POST /notifications"}"#, 6.0),
        (r#"carillon_drops_total{reason="slow_reader"}"#, 0.0),
    ];
    assert_grown(&api, &before, &wanted).await;

    // Many at once share entries and waits.
    let before = read(&api).await;
    let calls = (0..40).map(|nth| {
        let api = api.clone();
        tokio::spawn(async move { api.notify("2", &nth.to_string()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("answered");
    }
    let now = read(&api).await;
    let grown = |name: &str| of(&now, name) - of(&before, name);
    assert!((grown("carillon_proposals_total") - 40.0).abs() < 0.5);
    let batches = grown("carillon_proposal_batches_total");
    assert!((1.0..=40.0).contains(&batches), "{batches}");
    assert!((grown("carillon_log_entries") - batches).abs() < 0.5 && grown("carillon_fsync_seconds_sum") > 0.0);
    for name in ["carillon_log_bytes", "carillon_tables_bytes", "carillon_process_resident_memory_bytes"] {
        assert!(of(&now, name) > 1_000.0, "{name} is {}", of(&now, name));
    }
}

#[tokio::test]
async fn what_a_slow_reader_loses_is_counted_and_what_it_gets_is_too() {
    let server = Options::default().set("LIMITS__OUTBOX_FRAMES", 16).start();
    let api = server.api();
    let mut slow = socket::Socket::connect_slow(server.address(), "/ws/dashboard/", ALICE).await;
    let before = read(&api).await;
    let (mut sent, mut reached) = (0, 0);
    while of(&read(&api).await, r#"carillon_drops_total{reason="slow_reader"}"#) < 10.0 {
        let event = json!({"type": "dashboard_update", "data": {"n": sent, "padding": "x".repeat(40_000)}});
        reached += api.group_send("dashboard_user_1", &event).await;
        sent += 1;
    }
    for _ in 0..reached {
        assert_eq!(slow.next().await["type"], "dashboard_update");
    }
    let wanted = [
        (r#"carillon_drops_total{reason="slow_reader"}"#, 10.0),
        (r#"carillon_publishes_total{kind="ephemeral"}"#, reached as f64 + 10.0),
        ("carillon_frames_out_total", reached as f64),
    ];
    assert_grown(&api, &before, &wanted).await;
    assert_eq!(sent, reached + 10);
}
