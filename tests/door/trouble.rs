//! A webhook that is slow, broken, away, lying or flapping: nobody new is let in on it, and nobody is thrown out for
//! what the app has not said.

use crate::{
    app::{App, Reply},
    forbidden, greeted, refused,
    support::{ALICE, socket, until},
    with_cookie,
};
use serde_json::{Value, json};

const COOKIE: &str = "sessionid=alice";
const OTHER: &str = "sessionid=other";

fn unavailable() -> (u16, String, Option<String>) {
    (503, "unavailable".into(), Some("5".into()))
}

#[tokio::test]
async fn whatever_is_no_answer_lets_nobody_in() {
    let (app, elsewhere) = (App::start().await, App::start().await);
    app.answer(COOKIE, Reply::user(ALICE, 300));
    elsewhere.answer(OTHER, Reply::user(ALICE, 300));
    let server = app.options().set("AUTH__WEBHOOK_TIMEOUT_MS", 500).start();
    let raw = |text: String| Reply::Raw(text.into_bytes());
    let ok = |body: Value| Reply::Json(200, body);
    let redirect = |status: u16| {
        raw(format!(
            "HTTP/1.1 {status} X\r\nlocation: http://{}/who/\r\ncontent-length: 0\r\n\r\n",
            elsewhere.address()
        ))
    };
    let long = json!({"user_id": 1, "padding": "x".repeat(16 << 10)});
    let table = [
        ("an error", Reply::broken()),
        ("another error", Reply::Json(404, json!({"user_id": 1}))),
        ("success without an answer", Reply::Json(204, json!({"user_id": 1}))),
        ("a redirect to a page that would say yes", redirect(302)),
        ("a lasting redirect", redirect(308)),
        ("too long", ok(long)),
        ("endless", raw("HTTP/1.1 200 OK\r\n\r\n".to_owned() + &" ".repeat(1 << 20))),
        ("cut off in the middle", Reply::Cut),
        ("no HTTP", raw("220 mail.example.org ESMTP\r\n".into())),
        ("nothing, then closed", raw(String::new())),
        ("nothing for ever", Reply::Silence),
        ("a login page", raw("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>".into())),
        ("no object", ok(json!([1]))),
        ("nobody", ok(json!({}))),
        ("a user of no kind", ok(json!({"user_id": {"id": 1}}))),
        ("a user who is true", ok(json!({"user_id": true}))),
        ("staff as a string", ok(json!({"user_id": 1, "is_staff": "true"}))),
        ("a name that is none", ok(json!({"user_id": 1, "username": 7}))),
        ("a tenant that it may not name", ok(json!({"user_id": 1, "tenant": "acme"}))),
        ("good for ever", ok(json!({"user_id": 1, "expires_in": 1_000_000_000}))),
        ("good for no time", ok(json!({"user_id": 1, "expires_in": 0}))),
        ("two users", raw("HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{\"user_id\":1,\"user_id\":\"2\"}".into())),
    ];
    for (nth, (what, reply)) in table.into_iter().enumerate() {
        app.answer(OTHER, reply);
        assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", OTHER)).await, unavailable(), "{what}");
        // It is back each time, so the next trouble is not taken for a lasting one.
        let cookie = format!("sessionid=good-{nth}");
        app.answer(&cookie, Reply::user(ALICE, 300));
        greeted(with_cookie(&server, "/ws/dashboard/", &cookie), ALICE).await;
    }
    for status in [401, 403] {
        app.answer(OTHER, Reply::Json(status, json!({"user_id": 1})));
        assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", OTHER)).await, forbidden(), "{status}");
    }
    assert_eq!(elsewhere.heads().len(), 0, "a redirect was followed");
    let log = server.log();
    assert!(log.contains("redirects are not followed: answer 401 or 403"), "{log}");
}

#[tokio::test]
async fn what_is_wrong_with_one_request_is_held_against_nobody_else() {
    let app = App::start().await;
    let server = app.options().start();
    // More than the circuit breaker takes, were they failures of the app.
    for (nth, status) in [400, 413, 414, 422, 431].into_iter().cycle().take(20).enumerate() {
        let cookie = format!("sessionid=odd-{nth}");
        app.answer(&cookie, Reply::Json(status, json!({})));
        assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", &cookie)).await, forbidden(), "{status}");
        let honest = format!("sessionid=honest-{nth}");
        app.answer(&honest, Reply::user(ALICE, 300));
        greeted(with_cookie(&server, "/ws/dashboard/", &honest), ALICE).await;
    }
    // What no app would take is not sent to it.
    let asked = app.heads().len();
    let fat = format!("sessionid={}", "x".repeat(9 << 10));
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", &fat)).await, forbidden());
    assert_eq!(app.heads().len(), asked, "the app was asked");
}

#[tokio::test]
async fn an_app_that_is_away_is_left_alone_and_found_again() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 300));
    let server = app.options().start();
    for nth in 0..5 {
        app.answer(&format!("s={nth}"), Reply::broken());
        assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", &format!("s={nth}"))).await, unavailable());
    }
    let calls = app.heads().len();
    for _ in 0..20 {
        assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", COOKIE)).await, unavailable());
    }
    assert_eq!(app.heads().len(), calls, "it was called all the same");
    until("it is tried again", || async {
        (socket::status(with_cookie(&server, "/ws/dashboard/", COOKIE)).await == 101).then_some(())
    })
    .await;
    assert_eq!(app.heads().len(), calls + 1);
}

#[tokio::test]
async fn while_the_app_is_away_who_is_in_stays_and_nobody_new_comes_in() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 1));
    let server = app.options().set("AUTH__WEBHOOK_GRACE_SECONDS", 3_600).start();
    let mut alice = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    app.answer(COOKIE, Reply::broken());
    // The kept answer runs out, too: from then on nobody comes in with the same cookie.
    until("nobody is let in", || async {
        match tokio_tungstenite::connect_async(with_cookie(&server, "/ws/dashboard/", COOKIE)).await {
            Ok(_) => None,
            Err(_) => Some(()),
        }
    })
    .await;
    let calls = app.asked(COOKIE);
    until("it is asked about her again", || async { (app.asked(COOKIE) > calls).then_some(()) }).await;
    assert_eq!(alice.ask("heartbeat").await["type"], "heartbeat_response", "what the app has not said ends nothing");
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", COOKIE)).await, unavailable());
    app.answer(COOKIE, Reply::user(ALICE, 1));
    until("the app is back", || async {
        (socket::status(with_cookie(&server, "/ws/dashboard/", COOKIE)).await == 101).then_some(())
    })
    .await;
    // Gone for good, it is as if it were broken.
    let address = app.address();
    app.stop().await;
    assert!(std::net::TcpStream::connect(address).is_err(), "its port is closed");
    until("nobody is let in", || async {
        let refused = tokio_tungstenite::connect_async(with_cookie(&server, "/ws/dashboard/", COOKIE)).await.is_err();
        refused.then_some(())
    })
    .await;
    assert_eq!(alice.ask("heartbeat").await["type"], "heartbeat_response");
}

#[tokio::test]
async fn when_the_grace_time_ends_so_do_sockets_that_nobody_vouches_for() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 1));
    let server = app.options().set("AUTH__WEBHOOK_GRACE_SECONDS", 1).start();
    let mut alice = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    app.answer(COOKIE, Reply::broken());
    assert_eq!(alice.closed().await, (1006, serde_json::Value::Null));
}

#[tokio::test]
async fn an_app_that_finds_fault_with_every_request_throws_nobody_out_at_once() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 1));
    let server = app.options().set("AUTH__WEBHOOK_GRACE_SECONDS", 3_600).start();
    let mut alice = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    app.answer(COOKIE, Reply::Json(400, json!({})));
    let calls = app.asked(COOKIE);
    // It is asked for the second time only when the first answer has been dealt with.
    until("it is asked twice", || async { (app.asked(COOKIE) > calls + 1).then_some(()) }).await;
    assert_eq!(alice.ask("heartbeat").await["type"], "heartbeat_response");
}

#[tokio::test]
async fn an_app_that_flaps_ends_a_socket_when_it_says_no_and_not_when_it_says_nothing() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 1));
    let server = app.options().set("AUTH__WEBHOOK_GRACE_SECONDS", 3_600).start();
    let mut alice = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    for reply in [Reply::broken(), Reply::user(ALICE, 1), Reply::Cut, Reply::user(ALICE, 1)] {
        app.answer(COOKIE, reply);
        let calls = app.asked(COOKIE);
        until("it is asked", || async { (app.asked(COOKIE) > calls).then_some(()) }).await;
        assert_eq!(alice.ask("heartbeat").await["type"], "heartbeat_response");
    }
    app.answer(COOKIE, Reply::nobody());
    assert_eq!(alice.closed().await.0, 1006);
    app.answer(COOKIE, Reply::user(ALICE, 1));
    // The refusal is kept for a moment.
    until("let in again", || async {
        (socket::status(with_cookie(&server, "/ws/dashboard/", COOKIE)).await == 101).then_some(())
    })
    .await;
}
