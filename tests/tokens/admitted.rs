//! Good tokens of every algorithm and key; what entries of the settings may ask of theirs; and how a token ends.

use crate::{
    forge::{Key, claims, claims_with, fixture, now},
    hostile::{head, knock},
    support::{ALICE, Options, Server, Socket, socket::request},
};
use serde_json::{Value, json};

fn start(keys: &Value) -> Server {
    Options::default().set("AUTH__JWT", keys).start()
}

#[tokio::test]
async fn a_good_token_of_every_algorithm_is_let_in() {
    let secret = "x".repeat(64);
    let public = |algorithm: &str, file: &str| json!({"id": algorithm, "algorithm": algorithm, "public_key_file": fixture(file)});
    let shared = |algorithm: &str| json!({"id": algorithm, "algorithm": algorithm, "secret": secret});
    let server = start(&json!([
        public("RS256", "rsa.pub.pem"),
        public("RS384", "rsa.pub.pem"),
        public("RS512", "rsa.pub.pem"),
        public("ES256", "p256.pub.pem"),
        public("ES384", "p384.pub.pem"),
        public("EdDSA", "ed25519.pub.pem"),
        shared("HS256"),
        shared("HS384"),
        shared("HS512"),
    ]));
    let (rsa, secret) = (Key::rsa(), Key::secret(&secret));
    for (algorithm, key) in [
        ("RS256", &rsa),
        ("RS384", &rsa),
        ("RS512", &rsa),
        ("ES256", &Key::p256()),
        ("ES384", &Key::p384()),
        ("EdDSA", &Key::ed25519()),
        ("HS256", &secret),
        ("HS384", &secret),
        ("HS512", &secret),
    ] {
        let token = key.token(&head(algorithm, algorithm), &claims());
        assert_eq!(knock(&server, token.as_bytes()).await, 101, "{algorithm}");
    }
}

#[tokio::test]
async fn while_keys_are_rotated_both_are_good_and_afterwards_one() {
    let (old, new) = ("the secret of last year, long enough", "the secret of this year, long enough");
    let entry = |id: &str, secret: &str| json!({"id": id, "secret": secret});
    let mut server = start(&json!([entry("2026", old), entry("2027", new)]));
    let of = |id: &str, secret: &str| Key::secret(secret).token(&head("HS256", id), &claims());
    for (id, secret) in [("2026", old), ("2027", new)] {
        assert_eq!(knock(&server, of(id, secret).as_bytes()).await, 101, "{id}");
    }
    server.set("AUTH__JWT", json!([entry("2027", new)]));
    server.kill_and_restart();
    assert_eq!(knock(&server, of("2026", old).as_bytes()).await, 403);
    assert_eq!(knock(&server, of("2027", new).as_bytes()).await, 101);
}

#[tokio::test]
async fn an_entry_says_what_its_tokens_must_say() {
    let secret = |id: &str| format!("the secret of {id}, as long as it must be");
    let server = Options::default()
        .set("AUTH__ISSUER", "https://app.example.org")
        .set("AUTH__JWT", json!([
            {"id": "app", "secret": secret("app")},
            {"id": "id", "secret": secret("id"), "issuer": "https://id.example.org", "audience": "carillon", "token_type": "at+jwt"},
        ]))
        .start();
    let good = [("iss", json!("https://id.example.org")), ("aud", json!(["billing", "carillon"]))];
    let status = async |id: &str, typ: Option<&str>, changes: &[(&str, Value)]| {
        let mut header = json!({"alg": "HS256", "kid": id});
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        let mut claims = claims();
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        knock(&server, Key::secret(secret(id)).token(&header, &claims).as_bytes()).await
    };
    let of_app = [("iss", json!("https://app.example.org"))];
    for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+jwt")] {
        assert_eq!(status("app", typ, &of_app).await, 101, "{typ:?}");
    }
    assert_eq!(status("app", None, &good).await, 403, "another entry's issuer");
    for typ in [Some("at+jwt"), Some("AT+JWT"), Some("application/at+jwt")] {
        assert_eq!(status("id", typ, &good).await, 101, "{typ:?}");
    }
    for typ in [None, Some("JWT"), Some("at+jwt2")] {
        assert_eq!(status("id", typ, &good).await, 403, "{typ:?}");
    }
    assert_eq!(status("id", Some("at+jwt"), &of_app).await, 403, "another entry's issuer");
    assert_eq!(
        status("id", Some("at+jwt"), &[good[0].clone(), ("aud", json!("billing"))]).await,
        403,
        "another audience"
    );
}

#[tokio::test]
async fn a_socket_ends_with_its_token() {
    let server = start(&json!([{"id": "es", "algorithm": "ES256", "public_key_file": fixture("p256.pub.pem")}]));
    let token = Key::p256().token(&head("ES256", "es"), &claims_with("exp", json!(now() + 2)));
    let path = "/ws/dashboard/";
    let mut socket = Socket::open(request(server.address(), path, Some(&token)), path, ALICE).await.expect("let in");
    socket.skip_greeting().await;
    assert_eq!(socket.closed().await, (1006, serde_json::Value::Null));
    // Five seconds after `exp` at the latest, says the promise; the sweep comes every second.
    assert!(now() <= token_end(&token) + 5);
    assert_eq!(knock(&server, token.as_bytes()).await, 403, "it does not come back with it");
}

fn token_end(token: &str) -> u64 {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims")).expect("base64");
    serde_json::from_slice::<Value>(&payload).expect("JSON")["exp"].as_u64().expect("seconds")
}
