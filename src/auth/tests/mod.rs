//! The door against hostile tokens and requests: one table each, every line a way in that must stay shut.
//!
//! Tokens are made by hand, as `jsonwebtoken` refuses to make most of them.

mod admitted;
mod requests;
mod tokens;

use super::{Admission, Door, Refusal};
use crate::{
    config::{Auth, JwtAlgorithm, JwtKey},
    protocol::{Endpoint, Tenant, Timestamp},
};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::http::request::{Builder, Parts};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const SECRET: &[u8] = b"an attacker does not know these 32+ bytes";
const OTHER: &[u8] = b"nor these, which belong to another key!!!";

fn key(id: &str, secret: &[u8], tenants: &[&str]) -> JwtKey {
    let tenants = tenants.iter().map(|name| Tenant::new(name).expect(name)).collect();
    JwtKey { tenants, ..JwtKey::secret(id, JwtAlgorithm::Hs256, secret) }
}

fn auth() -> Auth {
    Auth {
        jwt: vec![key("k1", SECRET, &["default", "acme"]), key("k2", OTHER, &["umbrella"])],
        allowed_origins: vec!["app.example.org".into()],
        ..Auth::default()
    }
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// A token of these very parts, with a signature that is right.
fn forge_raw(header: &str, payload: &str, secret: &[u8], hash: hmac::Algorithm) -> String {
    let message = format!("{header}.{payload}");
    let tag = hmac::sign(&hmac::Key::new(hash, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn forge(header: &Value, claims: &Value) -> String {
    forge_raw(&encode(header), &encode(claims), SECRET, hmac::HMAC_SHA256)
}

fn header() -> Value {
    json!({"alg": "HS256", "typ": "JWT", "kid": "k1"})
}

/// Good claims with one changed (`null`: left out).
fn claims(name: &str, value: Value) -> Value {
    let mut claims = json!({"sub": 42, "exp": 1_800_000_060});
    match value {
        Value::Null => claims.as_object_mut().expect("an object").remove(name),
        value => claims.as_object_mut().expect("an object").insert(name.into(), value),
    };
    claims
}

fn good() -> String {
    forge(&header(), &claims("x", json!(1)))
}

fn with(name: &str, value: Value) -> String {
    forge(&header(), &claims(name, value))
}

fn request() -> Builder {
    hyper::Request::builder().uri("/ws/dashboard/").header("host", "app.example.org")
}

fn head(builder: Builder) -> Parts {
    builder.body(()).expect("a request").into_parts().0
}

fn bearer(token: &str) -> Parts {
    head(request().header("authorization", format!("Bearer {token}")))
}

fn admit(auth: &Auth, head: &Parts) -> Result<Admission, Refusal> {
    Door::new(auth, false).admit(head, Endpoint::Dashboard, NOW)
}

/// Neither sentence, nor the debug form, has a part of the token in it.
fn assert_silent(refusal: &Refusal, token: &str) {
    let said = format!("{refusal} {refusal:?} {}", refusal.reason());
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!said.contains(part), "{said}");
    }
}
