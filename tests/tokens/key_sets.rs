//! Key sets of an identity provider: what of them is used, how they change, and what happens while nobody answers.
//!
//! Two threads: the issuer must answer while a test waits for its server to start.

use crate::{
    forge::{Key, claims},
    hostile::{head, knock},
    issuer::Issuer,
    support::{Options, Server, socket::request, until, v1::V1Socket},
};
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Error};

fn options(url: &str) -> Options {
    let level = "info,carillon::transport=debug";
    Options::default().set("AUTH__JWT", json!([{"id": "idp", "jwks_url": url}])).set("LOG__LEVEL", level)
}

async fn status(server: &Server, key: &Key, alg: &str, kid: &str) -> u16 {
    knock(server, key.token(&head(alg, kid), &claims()).as_bytes()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_set_are_used_as_their_kind_says_and_the_others_are_said() {
    let (rsa, other, p256, p384, ed) = (Key::rsa(), Key::new_rsa(), Key::p256(), Key::p384(), Key::ed25519());
    let secret = Key::secret("a secret that everybody can read, long enough");
    let with = |mut jwk: Value, name: &str, value: Value| {
        jwk[name] = value;
        jwk
    };
    let without_alg = with(rsa.jwk("rsa"), "alg", Value::Null);
    let rsa512 = with(other.jwk("rsa512"), "alg", json!("RS512"));
    let weak = json!({"kty": "RSA", "kid": "weak", "alg": "RS256", "e": "AQAB", "n": "x".repeat(170)});
    let off_curve = with(p256.jwk("off-curve"), "x", p256.jwk("")["y"].clone());
    let issuer = Issuer::start(json!({"keys": [
        without_alg, rsa512, p256.jwk("p256"), p384.jwk("p384"), ed.jwk("ed"),
        secret.jwk("oct"),
        with(other.jwk("enc"), "use", json!("enc")),
        with(other.jwk("ops"), "key_ops", json!(["sign"])),
        with(other.jwk("pss"), "alg", json!("PS256")),
        with(p256.jwk("confused"), "alg", json!("HS256")),
        with(p256.jwk("mismatched"), "alg", json!("ES384")),
        with(p256.jwk("k1"), "crv", json!("secp256k1")),
        weak, off_curve,
        {"kty": "EC", "kid": "bare", "crv": "P-256"},
        {"kid": "nothing"},
    ]}))
    .await;
    let server = options(&issuer.url()).start();
    for (key, alg, kid) in [
        (&rsa, "RS256", "rsa"),
        (&other, "RS512", "rsa512"),
        (&p256, "ES256", "p256"),
        (&p384, "ES384", "p384"),
        (&ed, "EdDSA", "ed"),
    ] {
        assert_eq!(status(&server, key, alg, kid).await, 101, "{kid}");
    }
    for (key, alg, kid) in [
        (&rsa, "RS384", "rsa"),
        (&other, "RS256", "rsa512"),
        (&secret, "HS256", "oct"),
        (&other, "RS256", "enc"),
        (&other, "RS256", "ops"),
        (&other, "PS256", "pss"),
        (&p256, "ES256", "mismatched"),
        (&p256, "ES256", "k1"),
        (&p256, "ES256", "off-curve"),
    ] {
        assert_eq!(status(&server, key, alg, kid).await, 403, "{kid}");
    }
    let log = server.log();
    for kid in ["oct", "enc", "ops", "pss", "confused", "mismatched", "k1", "weak", "off-curve", "bare", "nothing"] {
        assert!(log.contains(&format!("key \"{kid}\": ")), "{kid} is skipped without a word: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_is_fetched_when_a_token_names_it_and_a_thousand_wrong_names_fetch_nothing_more() {
    let (old, new) = (Key::new_p256(), Key::new_p256());
    let issuer = Issuer::start(json!({"keys": [old.jwk("old")]})).await;
    let server = options(&issuer.url()).start();
    assert_eq!((status(&server, &old, "ES256", "old").await, issuer.asked()), (101, 1));
    issuer.publish(&json!({"keys": [new.jwk("new")]}));
    // All at once: each waits for the one fetch.
    let knocks = (0..20).map(|_| status(&server, &new, "ES256", "new"));
    assert_eq!(futures_util::future::join_all(knocks).await, [101; 20]);
    assert_eq!(issuer.asked(), 2);
    assert_eq!(status(&server, &old, "ES256", "old").await, 403, "its key is published no more");
    for nth in 0..40 {
        assert_eq!(status(&server, &new, "ES256", &format!("guess {nth}")).await, 403);
    }
    assert_eq!(issuer.asked(), 2, "unknown keys made the server ask again and again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_session_renews_itself_with_a_key_that_nobody_knew_yet() {
    let (old, new) = (Key::new_p256(), Key::new_p256());
    let issuer = Issuer::start(json!({"keys": [old.jwk("old")]})).await;
    let server = options(&issuer.url()).start();
    let token = old.token(&head("ES256", "old"), &claims());
    let mut session = V1Socket::connect_with(&server, "/ws/dashboard/", &token).await;
    session.skip_greeting().await;
    issuer.publish(&json!({"keys": [old.jwk("old"), new.jwk("new")]}));
    let renewed = new.token(&head("ES256", "new"), &claims());
    session.send(&json!({"type": "refresh", "token": renewed, "id": 1})).await;
    assert_eq!(session.next().await["type"], "refreshed");
    let forged = old.token(&head("ES256", "new"), &claims());
    session.send(&json!({"type": "refresh", "token": forged, "id": 2})).await;
    assert_eq!(session.next().await["code"], "bad_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_published_no_more_is_forgotten_without_being_asked_for() {
    let (old, new) = (Key::new_p256(), Key::new_p256());
    let issuer = Issuer::start(json!({"keys": [old.jwk("old")]})).await;
    let server = options(&issuer.url()).set("AUTH__JWKS_REFRESH_SECONDS", 5).start();
    assert_eq!(status(&server, &old, "ES256", "old").await, 101);
    issuer.publish(&json!({"keys": [new.jwk("new")]}));
    until("the old key is refused", async || (status(&server, &old, "ES256", "old").await == 403).then_some(())).await;
    assert_eq!(status(&server, &new, "ES256", "new").await, 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_fetched_is_kept_while_the_issuer_answers_nonsense_or_nothing() {
    let key = Key::new_p256();
    let issuer = Issuer::start(json!({"keys": [key.jwk("k")]})).await;
    let trap = Issuer::start(json!({"keys": []})).await;
    let server = options(&issuer.url()).start();
    let text =
        |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let many: Vec<_> = (0..65).map(|nth| key.jwk(&nth.to_string())).collect();
    let nonsense = [
        ("status", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()),
        (
            "status",
            format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", trap.url()),
        ),
        ("no_keys", text("<html>login</html>")),
        ("no_keys", text(r#"{"keys": []}"#)),
        ("no_keys", text(&json!({"keys": [Key::secret("x".repeat(64)).jwk("k")]}).to_string())),
        ("no_keys", text(&json!({"keys": many}).to_string())),
        ("too_large", text(&format!(r#"{{"keys": [], "x": "{}"}}"#, "x".repeat(300 << 10)))),
        ("broken", "hello".to_owned()),
    ];
    for (result, answer) in &nonsense {
        issuer.answer(answer);
        server.reload().await;
        assert_eq!(status(&server, &key, "ES256", "k").await, 101, "{answer}");
        let metrics = server.api().text("/metrics").await;
        assert!(
            metrics.contains(&format!("carillon_jwks_fetches_total{{result=\"{result}\"}}")),
            "{result}: {metrics}"
        );
    }
    assert_eq!(trap.asked(), 0, "a redirect was followed");
    issuer.stop().await;
    server.reload().await;
    assert_eq!(status(&server, &key, "ES256", "k").await, 101, "nobody listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_starts_without_its_issuer_says_come_back_later_and_has_the_keys_once_they_are_there() {
    let key = Key::new_p256();
    let issuer = Issuer::start(json!({"keys": [key.jwk("k")]})).await;
    let url = issuer.url();
    let address = issuer.stop().await;
    let server = options(&url).set("AUTH__JWKS_REFRESH_SECONDS", 5).start();
    let token = key.token(&head("ES256", "k"), &claims());
    match connect_async(request(server.address(), "/ws/dashboard/", Some(&token))).await {
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
        }
        other => panic!("{other:?}"),
    }
    let _issuer = Issuer::start_at(address, None, json!({"keys": [key.jwk("k")]})).await;
    until("the keys have come", async || (knock(&server, token.as_bytes()).await == 101).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_behind_tls_must_be_who_it_is() {
    let key = Key::new_p256();
    let issuer = Issuer::start_tls(json!({"keys": [key.jwk("k")]})).await;
    let entry = |ca: Value| {
        let mut entry = json!({"id": "idp", "jwks_url": issuer.url()});
        if !ca.is_null() {
            entry["jwks_ca_file"] = ca;
        }
        Options::default().set("AUTH__JWT", json!([entry])).start()
    };
    let trusting = entry(json!(Issuer::certificate()));
    assert_eq!(status(&trusting, &key, "ES256", "k").await, 101);
    let strict = entry(Value::Null);
    assert_eq!(status(&strict, &key, "ES256", "k").await, 503);
    assert!(strict.log().contains("no TLS"), "{}", strict.log());
}
