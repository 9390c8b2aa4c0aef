//! Coming in on the app's own word, staying in as long as it says yes, and what the app is told.

use crate::{
    ORIGIN,
    app::{App, Reply},
    forbidden, greeted, refused,
    support::{ALICE, BOB, ROOT, Socket, socket, until},
    with_cookie,
};
use serde_json::json;
use tokio::task::JoinSet;

const COOKIE: &str = "sessionid=alices-secret-session; theme=dark";
const OTHER: &str = "sessionid=bobs-secret-session";

#[tokio::test]
async fn a_session_of_the_app_opens_a_socket_as_its_user() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 300));
    app.answer(OTHER, Reply::user(ROOT, 300));
    let server = app.options().start();
    let mut alice = Socket::open(with_cookie(&server, "/ws/presence/", COOKIE), "/ws/presence/", ALICE)
        .await
        .expect("the app knows her");
    alice.expect(json!({"type": "online_users", "data": []})).await;
    alice.expect(json!({"type": "user_online", "data": ALICE.person()})).await;
    let mut request = with_cookie(&server, "/ws/dashboard/admin/?page=1", OTHER);
    for (name, value) in [("x-forwarded-for", "1.2.3.4"), ("accept-language", "de"), ("referer", "http://a/b?c")] {
        request.headers_mut().insert(name, value.parse().expect("ASCII"));
    }
    greeted(request, ROOT).await;
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/admin/", COOKIE)).await, forbidden(), "alice is no staff");
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", "sessionid=unknown")).await, forbidden());

    // What the app is told: the cookies as they came, and nothing else of the handshake.
    for head in app.heads() {
        let mut names: Vec<_> = head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
        names.sort_unstable();
        assert!(head.starts_with("GET /who/ HTTP/1.1\r\n"), "{head}");
        assert_eq!(names, ["accept", "cookie", "host", "user-agent"]);
    }
    assert_eq!(app.asked(COOKIE), 1, "an answer is good for more than one socket");
}

#[tokio::test]
async fn only_handshakes_of_our_pages_that_bring_no_token_are_asked_about() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 300));
    let server = app.options().start();
    let with = |headers: &[(&'static str, &str)]| {
        let mut request = socket::request(server.address(), "/ws/dashboard/", None);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("ASCII"));
        }
        request
    };
    let table: [(&str, &[(&'static str, &str)]); 6] = [
        ("no origin", &[("cookie", COOKIE)]),
        ("a foreign page", &[("cookie", COOKIE), ("origin", "https://evil.example.com")]),
        ("no page at all", &[("cookie", COOKIE), ("origin", "null")]),
        ("a bad token", &[("cookie", COOKIE), ("origin", ORIGIN), ("authorization", "Bearer a.b.c")]),
        ("a bad token as a cookie", &[("cookie", "sessionid=x; carillon_token=a.b.c"), ("origin", ORIGIN)]),
        ("no cookie", &[("origin", ORIGIN), ("authorization", "Basic YWxpY2U6cHc=")]),
    ];
    for (what, headers) in table {
        assert_eq!(refused(with(headers)).await, forbidden(), "{what}");
    }
    let token = format!("Bearer {}", ALICE.token());
    assert_eq!(socket::status(with(&[("cookie", COOKIE), ("origin", ORIGIN), ("authorization", &token)])).await, 101);
    assert_eq!(app.heads().len(), 0, "{:?}", app.heads());
}

#[tokio::test]
async fn a_bearer_token_that_is_no_jwt_is_the_apps_to_judge_if_it_may_see_it() {
    let app = App::start().await;
    app.answer("", Reply::user(ALICE, 300));
    let opaque = |server: &crate::support::Server| socket::request(server.address(), "/ws/dashboard/", Some("opaque"));
    let server = app.options().start();
    assert_eq!(refused(opaque(&server)).await, forbidden());
    assert_eq!(app.heads().len(), 0);
    let server = app.options().set("AUTH__WEBHOOK_HEADERS", "authorization, cookie").start();
    greeted(opaque(&server), ALICE).await;
    assert!(app.heads()[0].contains("authorization: Bearer opaque\r\n"));
    let jwt = socket::request(server.address(), "/ws/dashboard/", Some("not.a.token"));
    assert_eq!((refused(jwt).await, app.heads().len()), (forbidden(), 1), "what looks like a token is judged as one");
}

#[tokio::test]
async fn a_thousand_handshakes_at_once_make_one_call() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 300));
    app.hold(true);
    let server = app.options().set("LIMITS__CONNECTIONS_PER_USER", 2_000).start();
    let mut handshakes = JoinSet::new();
    for _ in 0..1_000 {
        handshakes.spawn(socket::status(with_cookie(&server, "/ws/dashboard/", COOKIE)));
    }
    until("the app is asked", || async { (app.asked(COOKIE) > 0).then_some(()) }).await;
    // A token's way in is free meanwhile, whoever waits for the app.
    server.greeted("/ws/dashboard/", BOB).await;
    app.hold(false);
    let statuses = handshakes.join_all().await;
    assert!(statuses.iter().all(|status| *status == 101), "{statuses:?}");
    assert_eq!(app.asked(COOKIE), 1);
}

#[tokio::test]
async fn who_signs_out_of_the_app_is_out_at_the_next_check_and_nobody_else_is() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 1));
    app.answer("sessionid=alices-phone", Reply::user(ALICE, 1));
    app.answer(OTHER, Reply::user(BOB, 1));
    let server = app.options().start();
    let mut alice = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    let mut phone = greeted(with_cookie(&server, "/ws/dashboard/", "sessionid=alices-phone"), ALICE).await;
    let mut bob = greeted(with_cookie(&server, "/ws/dashboard/", OTHER), BOB).await;
    until("the app is asked again", || async { (app.asked(COOKIE) >= 3).then_some(()) }).await;
    assert_eq!(alice.ask("heartbeat").await["type"], "heartbeat_response", "it was said yes again");
    app.answer(COOKIE, Reply::nobody());
    assert_eq!(alice.closed().await, (1006, serde_json::Value::Null));
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", COOKIE)).await, forbidden());
    for socket in [&mut phone, &mut bob] {
        assert_eq!(socket.ask("heartbeat").await["type"], "heartbeat_response");
    }
    // The same cookie, but somebody else's now.
    app.answer(OTHER, Reply::user(ROOT, 1));
    assert_eq!(bob.closed().await.0, 1006);
    greeted(with_cookie(&server, "/ws/dashboard/admin/", OTHER), ROOT).await;
}

#[tokio::test]
async fn who_is_no_longer_staff_says_the_app_loses_staff_endpoints_only() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ROOT, 1));
    let server = app.options().start();
    let mut admin = greeted(with_cookie(&server, "/ws/dashboard/admin/", COOKIE), ROOT).await;
    let mut own = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ROOT).await;
    app.answer(COOKIE, Reply::user(crate::support::User { is_staff: false, ..ROOT }, 1));
    assert_eq!(admin.closed().await, (4403, json!({"code": "disconnected"})));
    assert_eq!(own.ask("heartbeat").await["type"], "heartbeat_response");
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/admin/", COOKIE)).await, forbidden());
}

#[tokio::test]
async fn nothing_of_a_credential_is_in_logs_or_metrics() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 1));
    app.answer(OTHER, Reply::Json(200, json!({"user_id": [BOB.id], "secret": "bobs-secret-answer"})));
    let server = app
        .options()
        .set("LOG__LEVEL", "trace")
        .set("AUTH__WEBHOOK_URL", format!("http://{}/who/?key=secret-of-the-app", app.address()))
        .start();
    let mut alice = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", OTHER)).await.0, 503);
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", "sessionid=a-secret-nobody-knows")).await.0, 403);
    app.answer(COOKIE, Reply::nobody());
    alice.closed().await;
    let metrics = server.api().text("/metrics").await;
    for line in ["calls_total{outcome=\"yes\"}", "calls_total{outcome=\"no\"}", "calls_total{outcome=\"malformed\"}"] {
        assert!(metrics.contains(&format!("carillon_webhook_{line}")), "{line} is not in:\n{metrics}");
    }
    assert!(metrics.contains("carillon_webhook_seconds_count"), "{metrics}");
    let log = server.log();
    assert!(log.contains("`user_id` must be") && log.contains("DEBUG"), "{log}");
    for (what, text) in [("log", log), ("metrics", metrics)] {
        for line in text.lines() {
            assert!(!line.contains("secret"), "in the {what}: {line}");
        }
    }
}
