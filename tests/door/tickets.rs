//! One-time tickets: once is once, whoever races, whatever crashes, and only for what they are bound to.

use crate::{
    ORIGIN, forbidden, greeted, refused,
    support::{ALICE, Answer, BOB, Options, PATIENCE, ROOT, Server, Socket, User, socket},
    with_cookie, with_ticket,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::task::JoinSet;

async fn ticket(server: &Server, body: &Value) -> String {
    let issued = server.api().post("/tickets", body).await;
    assert_eq!((issued.status, &issued.body["expires_in"]), (201, &json!(30)), "{issued:?}");
    issued.body["ticket"].as_str().expect("a ticket").to_owned()
}

async fn alices(server: &Server) -> String {
    ticket(server, &json!({"user_id": 1, "username": "alice", "first_name": "Alice", "last_name": "Archer"})).await
}

#[tokio::test]
async fn a_ticket_opens_one_socket_as_the_user_that_it_was_issued_for() {
    let server = Server::dev();
    let one = alices(&server).await;
    assert!(one.starts_with("ct_") && one.len() == 46, "{one}");
    let mut alice =
        Socket::open(with_ticket(&server, "/ws/presence/", &one), "/ws/presence/", ALICE).await.expect("let in");
    alice.expect(json!({"type": "online_users", "data": []})).await;
    alice.expect(json!({"type": "user_online", "data": ALICE.person()})).await;
    assert_eq!(refused(with_ticket(&server, "/ws/presence/", &one)).await, forbidden(), "it was used");
    assert_eq!(alice.until_pong().await, [] as [Value; 0], "the socket that it opened stays");

    // Without claims the user comes in as the directory knows them.
    server.api().put("/users/2", &BOB.profile()).await.ok();
    let bob = ticket(&server, &json!({"user_id": "2"})).await;
    greeted(with_ticket(&server, "/ws/presence/", &bob), BOB).await;
    alice.expect(json!({"type": "user_online", "data": BOB.person()})).await;

    // From a page, too, and beside a token or a session that would be somebody else's, or nobody's.
    let mut request = with_cookie(&server, "/ws/presence/", "carillon_token=a.b.c; sessionid=x");
    *request.uri_mut() = with_ticket(&server, "/ws/presence/", &alices(&server).await).uri().clone();
    greeted(request, ALICE).await;
}

#[tokio::test]
async fn of_sixty_four_who_race_with_one_ticket_one_gets_in() {
    let server = Server::dev();
    for _ in 0..5 {
        let ticket = alices(&server).await;
        let mut racers = JoinSet::new();
        for _ in 0..64 {
            racers.spawn(socket::status(with_ticket(&server, "/ws/dashboard/", &ticket)));
        }
        let mut statuses = BTreeMap::new();
        for status in racers.join_all().await {
            *statuses.entry(status).or_insert(0) += 1;
        }
        assert_eq!(statuses, BTreeMap::from([(101, 1), (403, 63)]));
    }
}

#[tokio::test]
async fn a_crash_neither_loses_a_ticket_nor_brings_one_back() {
    let mut server = Server::dev();
    let (used, unused) = (alices(&server).await, alices(&server).await);
    let mut alice = greeted(with_ticket(&server, "/ws/dashboard/", &used), ALICE).await;
    assert_eq!(alice.ask("heartbeat").await["type"], "heartbeat_response");
    server.kill_and_restart();
    assert_eq!(refused(with_ticket(&server, "/ws/dashboard/", &used)).await, forbidden());
    greeted(with_ticket(&server, "/ws/dashboard/", &unused), ALICE).await;
    server.kill_and_restart();
    assert_eq!(refused(with_ticket(&server, "/ws/dashboard/", &unused)).await, forbidden());
}

#[tokio::test]
async fn a_ticket_expires() {
    let server = Server::dev();
    let ticket = alices(&server).await;
    // Time itself is what is tested here; nothing announces it.
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(refused(with_ticket(&server, "/ws/dashboard/", &ticket)).await, forbidden());
}

#[tokio::test]
async fn a_ticket_is_good_for_what_it_is_bound_to_and_a_refusal_does_not_spend_it() {
    let server = Server::dev();
    let from = |path: &str, ticket: &str, origin: &str| {
        let mut request = with_ticket(&server, path, ticket);
        request.headers_mut().insert("origin", origin.parse().expect("ASCII"));
        request
    };
    let bound =
        ticket(&server, &json!({"user_id": 1, "endpoint": "/ws/notifications", "origin": "HTTP://Localhost:3000"}))
            .await;
    let path = "/ws/notifications/";
    assert_eq!(refused(from("/ws/dashboard/", &bound, ORIGIN)).await, forbidden(), "another path");
    assert_eq!(refused(from(path, &bound, "http://localhost:3001")).await, forbidden(), "another page");
    assert_eq!(refused(from(path, &bound, "https://evil.example.com")).await, forbidden(), "a foreign page");
    assert_eq!(refused(with_ticket(&server, path, &bound)).await, forbidden(), "no page");
    greeted(from(path, &bound, ORIGIN), ALICE).await;

    // Staff endpoints open only for a ticket that says so, whoever the user is.
    server.api().put("/users/3", &ROOT.profile()).await.ok();
    let plain = ticket(&server, &json!({"user_id": 3})).await;
    assert_eq!(refused(with_ticket(&server, "/ws/dashboard/admin/", &plain)).await, forbidden());
    let mut admin = greeted(
        with_ticket(&server, "/ws/dashboard/admin/", &ticket(&server, &json!({"user_id": 3, "is_staff": true})).await),
        ROOT,
    )
    .await;
    greeted(with_ticket(&server, "/ws/dashboard/", &plain), ROOT).await;
    assert_eq!(admin.until_pong().await, [] as [Value; 0], "a plain ticket takes no staff rights away");
    assert_eq!(server.api().get("/users/3").await.ok()["is_staff"], true);
}

#[tokio::test]
async fn a_session_lasts_as_long_as_its_ticket_says() {
    let server = Server::dev();
    // A number without a fraction is an integer, however it is written.
    let short = ticket(&server, &json!({"user_id": 1, "session_seconds": 1.0})).await;
    let mut alice = greeted(with_ticket(&server, "/ws/dashboard/", &short), ALICE).await;
    assert_eq!(alice.closed().await, (1006, serde_json::Value::Null));
}

/// A server with these API keys: `name` → scopes, tenant.
fn with_keys(keys: &[(&str, &str, &str)]) -> Server {
    let hash =
        |key: &str| -> String { carillon::auth::hash_api_key(key).iter().map(|byte| format!("{byte:02x}")).collect() };
    let tables: Vec<_> = keys
        .iter()
        .map(|(name, scopes, tenant)| {
            json!({"id": name, "hash": hash(name), "scopes": scopes.split(' ').collect::<Vec<_>>(), "tenant": tenant})
        })
        .collect();
    Options::default().set("AUTH__API_KEYS", Value::from(tables)).start()
}

async fn post(server: &Server, key: &str, body: &str, idempotency_key: Option<&str>) -> Answer {
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client");
    let url = format!("http://{}/api/v1/tickets", server.address());
    let mut request = client.post(url).bearer_auth(key).body(body.to_owned());
    if let Some(key) = idempotency_key {
        request = request.header("Idempotency-Key", key);
    }
    let response = request.send().await.expect("answered");
    let status = response.status().as_u16();
    let body = serde_json::from_str(&response.text().await.expect("text")).expect("JSON");
    Answer { status, body, retry_after: None, position: None }
}

#[tokio::test]
async fn who_may_mint_for_whom_is_decided_by_the_key() {
    let server = with_keys(&[
        ("pages", "tickets", "default"),
        ("backend", "publish read admin", "default"),
        ("both", "tickets admin", "default"),
        ("other", "tickets", "acme"),
    ]);
    for (key, body, expected) in [
        ("pages", r#"{"user_id": 1}"#, (201, "")),
        ("pages", r#"{"user_id": 1, "is_staff": true}"#, (403, "scope")),
        ("pages", r#"{"user_id": 1, "is_staff": false}"#, (403, "scope")),
        ("both", r#"{"user_id": 1, "is_staff": true}"#, (201, "")),
        ("backend", r#"{"user_id": 1}"#, (403, "scope")),
        ("nobody", r#"{"user_id": 1}"#, (401, "unauthorized")),
    ] {
        let answer = post(&server, key, body, None).await;
        assert_eq!((answer.status, answer.code()), expected, "{key} {body}: {answer:?}");
    }
    // Another tenant's ticket opens that tenant's sockets: nothing that is sent here arrives there.
    let ticket =
        post(&server, "other", r#"{"user_id": 1}"#, None).await.body["ticket"].as_str().expect("one").to_owned();
    let mut theirs = greeted(with_ticket(&server, "/ws/notifications/", &ticket), ALICE).await;
    let api = server.api();
    api.notify("1", "not for them").await;
    assert_eq!(api.post("/users/1/disconnect", &Value::Null).await.ok(), json!({"closed": 0}));
    assert!(theirs.until_pong().await.is_empty());
}

#[tokio::test]
async fn a_wrong_call_is_told_what_is_wrong_with_it() {
    let server = Server::dev();
    for (body, field) in [
        (r#"{}"#, "user_id"),
        (r#"{"user_id": []}"#, "user_id"),
        (r#"{"user_id": 1, "username": ""}"#, "username"),
        (r#"{"user_id": 1, "first_name": 5}"#, "first_name"),
        (r#"{"user_id": 1, "is_staff": "true"}"#, "is_staff"),
        (r#"{"user_id": 1, "endpoint": "/ws/chat/"}"#, "endpoint"),
        (r#"{"user_id": 1, "endpoint": 1}"#, "endpoint"),
        (r#"{"user_id": 1, "origin": "app.example.org"}"#, "origin"),
        (r#"{"user_id": 1, "origin": "https://app.example.org/page"}"#, "origin"),
        (r#"{"user_id": 1, "origin": "null"}"#, "origin"),
        (r#"{"user_id": 1, "session_seconds": 0}"#, "session_seconds"),
        (r#"{"user_id": 1, "session_seconds": 43201}"#, "session_seconds"),
        (r#"{"user_id": 1, "session_seconds": "60"}"#, "session_seconds"),
        (r#"{"user_id": 1, "tenant": "acme"}"#, "tenant"),
        (r#"{"user_id": 1, "email": "a@b"}"#, "email"),
    ] {
        let answer = post(&server, "dev", body, None).await;
        assert_eq!(
            (answer.status, answer.code(), &answer.body["error"]["field"]),
            (422, "invalid", &json!(field)),
            "{body}"
        );
    }
    // A ticket can't be answered twice, so an idempotency key is not passed over in silence.
    let again = post(&server, "dev", r#"{"user_id": 1}"#, Some("k")).await;
    assert_eq!((again.status, &again.body["error"]["field"]), (422, &json!("Idempotency-Key")), "{again:?}");
}

#[tokio::test]
async fn what_is_no_ticket_lets_nobody_in() {
    let server = Server::dev();
    let good = alices(&server).await;
    let other = good.replace("ct_", "ct_x");
    for bad in ["", "x", "ct_", &good[..45], &other[..46], &format!("{good}="), &good.to_lowercase(), &ALICE.token()] {
        assert_eq!(refused(with_ticket(&server, "/ws/dashboard/", bad)).await, forbidden(), "{bad}");
    }
    let twice = format!("{good}&ticket={good}");
    assert_eq!(refused(with_ticket(&server, "/ws/dashboard/", &twice)).await, forbidden());
    // Neither is made good by a good token beside it.
    let mut request = socket::request(server.address(), "/ws/dashboard/?ticket=ct_bad", Some(&ALICE.token()));
    assert_eq!(refused(request.clone()).await, forbidden());
    *request.uri_mut() = with_ticket(&server, "/ws/dashboard/", &good).uri().clone();
    greeted(request, ALICE).await;
}

#[tokio::test]
async fn a_ticket_is_in_no_log_no_metric_and_not_on_the_disk() {
    let server = Options::default().set("LOG__LEVEL", "trace").start();
    let (used, unused) = (alices(&server).await, alices(&server).await);
    greeted(with_ticket(&server, "/ws/dashboard/", &used), ALICE).await;
    refused(with_ticket(&server, "/ws/dashboard/", &used)).await;
    refused(with_ticket(&server, "/ws/dashboard/admin/", &unused)).await;
    let metrics = server.api().text("/metrics").await;
    let log = server.log();
    assert!(log.contains("this ticket is not valid"), "{log}");
    let mut disk = Vec::new();
    let mut waiting = vec![server.data_dir().to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(std::fs::read_dir(path).expect("readable").map(|entry| entry.expect("an entry").path()));
        } else {
            disk.extend(std::fs::read(path).expect("readable"));
        }
    }
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(&disk, "alice"), "the search finds nothing at all");
    for ticket in [used, unused] {
        let secret = &ticket[3..];
        for (what, bytes) in [("log", log.as_bytes()), ("metrics", metrics.as_bytes()), ("data directory", &disk)] {
            assert!(!has(bytes, secret), "a ticket is in the {what}");
        }
    }
}

#[tokio::test]
async fn a_cap_that_refuses_does_not_spend_the_ticket() {
    let server = Options::default().set("LIMITS__CONNECTIONS_PER_USER", 1).start();
    let (first, second) = (alices(&server).await, alices(&server).await);
    let open = greeted(with_ticket(&server, "/ws/dashboard/", &first), User::named("1")).await;
    assert_eq!(refused(with_ticket(&server, "/ws/dashboard/", &second)).await.0, 429);
    open.close().await;
    crate::support::until("the place is free", || async {
        (socket::status(with_ticket(&server, "/ws/dashboard/", &second)).await == 101).then_some(())
    })
    .await;
}
