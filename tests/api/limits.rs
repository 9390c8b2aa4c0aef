//! What the server refuses because it is too much, and what still works then.

use crate::{
    http::{Caller, Got},
    support::{ALICE, Options, Server},
};
use futures_util::future::join_all;
use serde_json::json;

#[tokio::test]
async fn a_key_that_calls_too_fast_is_told_when_to_come_back() {
    let server = Options::default().set("LIMITS__API_CALLS_PER_SECOND", 5).start();
    let api = Caller::new(&server, "dev");
    let answers: Vec<Got> = join_all((0..40).map(|_| api.get("/presence"))).await;
    let refused: Vec<_> = answers.iter().filter(|got| got.status == 429).collect();
    assert!(answers.iter().filter(|got| got.status == 200).count() >= 5, "the burst passes");
    assert!(!refused.is_empty());
    assert_eq!(refused[0].error().1, "too_fast");
    assert_eq!(refused[0].header("retry-after"), Some("1"));
    // Nobody else's pace.
    assert_eq!(Caller::new(&server, "x").get("/presence").await.status, 401);
    assert_eq!(api.get("//readyz").await.status, 200);
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_answers_questions() {
    let mut server = Server::dev();
    Caller::new(&server, "dev")
        .post("/notifications", &json!({"user_id": 1, "title": "t", "message": "m"}))
        .await
        .good();
    server.stop();
    server.set("STORAGE__RESERVE_BYTES", 1_u64 << 40);
    server.start();
    let api = Caller::new(&server, "dev");
    for (method, path, body) in [
        ("POST", "/notifications", r#"{"user_id":1,"title":"t","message":"m"}"#),
        ("POST", "/users/1/dashboard", r#"{"data":{}}"#),
        ("POST", "/admin/alerts", r#"{"alert_type":"new_subscription","data":{}}"#),
        ("POST", "/users/1/notifications/1/read", ""),
        ("PUT", "/users/9", r#"{"username":"u"}"#),
        ("DELETE", "/users/1", ""),
        ("POST", "/users/1/disconnect", r#"{"revoke":true}"#),
    ] {
        let got = api.call(method, path, body).await;
        assert_eq!(got.error(), (503, "disk_full".into(), None), "{method} {path}");
        assert_eq!(got.header("retry-after"), Some("1"), "{method} {path}");
    }
    let results = api
        .post(
            "/batch",
            &json!({"calls": [
                {"call": "send_dashboard_update", "args": {"user_id": 1, "data": {}}},
                {"call": "broadcast_system_message", "args": {"message": "m"}},
            ]}),
        )
        .await
        .good();
    assert_eq!((&results["results"][0]["status"], &results["results"][1]["status"]), (&json!(503), &json!(202)));
    assert_eq!(api.get("/users/1/notifications").await.good()["unread_count"], 1);
    for path in ["/users/1/presence", "/presence", "/stats", "/admin/alerts"] {
        api.get(path).await.good();
    }
    // What is not stored needs no disk.
    let mut socket = server.greeted("/ws/dashboard/", ALICE).await;
    let told = api.post("/groups/dashboard_user_1/send", &json!({"type": "dashboard_update", "data": 1})).await;
    assert_eq!(told.good(), json!({"recipients": 1}));
    socket.expect(json!({"type": "dashboard_update", "data": 1})).await;
}

#[tokio::test]
async fn large_calls_at_once_all_get_through() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let data = json!({"data": {"x": "y".repeat(47 << 10)}});
    let calls = (0..400).map(|n| {
        let (api, data, path) = (api.clone(), data.clone(), format!("/users/{n}/payments"));
        async move { api.post(&path, &data).await }
    });
    for got in join_all(calls).await {
        assert_eq!(got.status, 202, "{got:?}");
    }
    api.get("/stats").await.good();
}

#[tokio::test]
async fn the_largest_notifications_at_once_are_committed_each_whole() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let users: Vec<_> = (0..1_000).collect();
    let body = json!({"user_ids": users, "title": "t", "message": "m", "data": {"x": "y".repeat(4 << 10)}});
    for got in join_all((0..6).map(|_| api.post("/notifications", &body))).await {
        assert_eq!(got.status, 201, "{}", got.text.chars().take(200).collect::<String>());
        assert_eq!(got.json()["notifications"].as_array().map(Vec::len), Some(1_000));
    }
    for user in [0, 999] {
        assert_eq!(
            api.get(&format!("/users/{user}/notifications/unread-count")).await.good_at_pos(),
            json!({"count": 6})
        );
    }
}
