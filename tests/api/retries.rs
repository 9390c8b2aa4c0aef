//! `Idempotency-Key`: once, however often it is asked, and however much at once.

use crate::{
    http::{Caller, Got},
    support::{ALICE, Server},
};
use futures_util::future::join_all;
use serde_json::json;

#[tokio::test]
async fn a_retry_gets_the_first_answer_and_changes_nothing() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let mut socket = server.greeted("/ws/notifications/", ALICE).await;
    let body = json!({"user_id": 1, "title": "t", "message": "m"});
    let first = api.once("/notifications", "k", &body).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
    for _ in 0..3 {
        let again = api.once("/notifications", "k", &body).await;
        assert_eq!((again.status, &again.text), (201, &first.text));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    assert_eq!(socket.until_marker(&server.api()).await.len(), 2, "one notification and its count");
    let other = api.once("/notifications", "k", &json!({"user_id": 1, "title": "u", "message": "m"})).await;
    assert_eq!(other.error(), (409, "idempotency_key_reused".into(), None));
    assert_eq!(api.get("/users/1/notifications/unread-count").await.good_at_pos(), json!({"count": 1}));
}

#[tokio::test]
async fn a_key_counts_for_one_call_on_one_thing() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let body = json!({"data": {"a": 1}});
    for path in ["/users/1/dashboard", "/users/2/dashboard", "/users/1/payments", "/admin/dashboard"] {
        let first = api.once(path, "k", &body).await;
        assert_eq!((first.status, first.header("idempotency-replayed")), (202, None), "{path}");
        let again = api.once(path, "k", &body).await;
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{path}");
        assert_eq!(again.json(), json!({"recipients": 0}), "{path}: nobody is told again");
    }
}

#[tokio::test]
async fn many_at_once_with_one_key_make_one() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let body = json!({"user_id": 1, "title": "t", "message": "m"});
    let answers: Vec<Got> = join_all((0..50).map(|_| api.once("/notifications", "same", &body))).await;
    assert!(answers.iter().all(|got| got.status == 201 && got.text == answers[0].text), "{answers:?}");
    let replayed = answers.iter().filter(|got| got.header("idempotency-replayed").is_some()).count();
    assert_eq!(replayed, 49);
    assert_eq!(api.get("/users/1/notifications/unread-count").await.good_at_pos(), json!({"count": 1}));
}

#[tokio::test]
async fn what_was_refused_may_be_tried_again_with_the_same_key() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let wrong = json!({"data": {"status": "active"}});
    assert_eq!(api.once("/users/1/subscriptions", "k", &wrong).await.error().0, 422);
    let right = json!({"data": {"status": "active", "plan_name": "p"}});
    let got = api.once("/users/1/subscriptions", "k", &right).await;
    assert_eq!((got.status, got.header("idempotency-replayed")), (202, None));
}

#[tokio::test]
async fn keys_survive_a_kill() {
    let mut server = Server::dev();
    let body = json!({"user_id": 1, "title": "t", "message": "m"});
    let first = Caller::new(&server, "dev").once("/notifications", "k", &body).await;
    server.kill_and_restart();
    let again = Caller::new(&server, "dev").once("/notifications", "k", &body).await;
    assert_eq!((again.text.as_str(), again.header("idempotency-replayed")), (first.text.as_str(), Some("true")));
}

#[tokio::test]
async fn a_key_is_short_and_visible() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let body = json!({"user_id": 1, "title": "t", "message": "m"});
    for key in ["", "a b", "ü", &"x".repeat(256)] {
        let got = api.once("/notifications", key, &body).await;
        assert_eq!(got.error(), (422, "invalid".into(), Some("Idempotency-Key".into())), "{key:?}");
    }
    api.once("/notifications", &"x".repeat(255), &body).await.good();
    let twice = api.request("POST", "/notifications").header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    assert_eq!(twice.body(body.to_string()).send().await.expect("sent").status().as_u16(), 422);
}
