//! The door against hostile tokens and requests: one table each, every line a way in that must stay shut.
//!
//! Tokens are made by hand, as `jsonwebtoken` refuses to make most of them.

use super::{Admission, Door, Grant, Refusal, sign};
use crate::{
    config::{Auth, JwtAlgorithm, JwtKey},
    protocol::{Endpoint, Tenant, Timestamp, UserId},
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
    JwtKey { id: id.into(), algorithm: JwtAlgorithm::Hs256, secret: secret.to_vec(), tenants }
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

const fn wrong(claim: &'static str) -> Refusal {
    Refusal::ClaimWrong { claim, expected: "" }
}

/// Equal but for the sentence that says what would be right.
fn same(found: &Refusal, expected: &Refusal) -> bool {
    match (found, expected) {
        (Refusal::ClaimWrong { claim: a, .. }, Refusal::ClaimWrong { claim: b, .. }) => a == b,
        _ => found == expected,
    }
}

#[test]
fn a_good_token_is_let_in_by_every_way() {
    let origin = "https://app.example.org";
    let mut auth = auth();
    auth.query_token = true;
    let table = [
        (bearer(&good()), None),
        (head(request().header("authorization", format!("bEaReR {}", good())).header("origin", origin)), None),
        (
            head(request().header("cookie", format!("a=b; carillon_token={}; c=d", good())).header("origin", origin)),
            None,
        ),
        (head(request().uri(format!("/ws/dashboard/?a=b&token={}", good())).header("origin", origin)), None),
        (
            head(
                request()
                    .header("sec-websocket-protocol", format!("carillon.v0, carillon.token.{}", good()))
                    .header("origin", origin),
            ),
            Some("carillon.v0"),
        ),
    ];
    for (nth, (head, subprotocol)) in table.iter().enumerate() {
        let admission = admit(&auth, head).unwrap_or_else(|refusal| panic!("way {nth}: {}", refusal.reason()));
        assert_eq!(admission.identity.user, UserId::new("42").expect("an id"), "way {nth}");
        assert_eq!(admission.subprotocol, *subprotocol, "way {nth}");
    }
}

#[test]
fn no_hostile_token_is_let_in() {
    let (ok, at) = (claims("x", json!(1)), |h: Value| forge(&h, &claims("x", json!(1))));
    let good = good();
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (head64, body64) = message.split_once('.').expect("three parts");
    let malformed = |part| Refusal::TokenMalformed { part };
    let body = malformed("payload or signature");
    let missing = |claim| Refusal::ClaimMissing { claim };
    let table = [
        // Shape.
        ("empty", String::new(), malformed("header")),
        ("no dots", "abc".into(), malformed("header")),
        ("dots only", "..".into(), malformed("header")),
        ("two parts", message.into(), malformed("header")),
        ("four parts", format!("{good}.{signature}"), malformed("header")),
        ("a header that is no base64", format!("!!.{body64}.{signature}"), malformed("header")),
        (
            "a header that is no JSON",
            format!("{}.{body64}.{signature}", URL_SAFE_NO_PAD.encode("{")),
            malformed("header"),
        ),
        ("a header that is an array", at(json!([])), malformed("header")),
        ("padding", format!("{good}="), body.clone()),
        ("9 KiB", with("x", json!("x".repeat(9 << 10))), Refusal::TokenTooLong),
        ("a payload that is no object", forge(&header(), &json!("x")), body.clone()),
        ("a payload that is no base64", forge_raw(head64, "!!", SECRET, hmac::HMAC_SHA256), body.clone()),
        (
            "a claim given twice",
            forge_raw(
                head64,
                &URL_SAFE_NO_PAD.encode(r#"{"sub":42,"exp":1800000060,"is_staff":false,"is_staff":true}"#),
                SECRET,
                hmac::HMAC_SHA256,
            ),
            body.clone(),
        ),
        // Signature and algorithm.
        ("no signature", format!("{message}."), Refusal::Signature),
        ("a short signature", format!("{message}.{}", &signature[..42]), body.clone()),
        ("zeros for a signature", format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 32])), Refusal::Signature),
        ("another payload", format!("{head64}.{}.{signature}", encode(&claims("sub", json!(1)))), Refusal::Signature),
        ("another secret", forge_raw(head64, body64, b"guessed", hmac::HMAC_SHA256), Refusal::Signature),
        ("an empty secret", forge_raw(head64, body64, b"", hmac::HMAC_SHA256), Refusal::Signature),
        ("another key's secret", forge_raw(head64, body64, OTHER, hmac::HMAC_SHA256), Refusal::Signature),
        ("alg none", format!("{}.{body64}.", encode(&json!({"alg": "none", "kid": "k1"}))), malformed("header")),
        ("alg None", format!("{}.{body64}.", encode(&json!({"alg": "None", "kid": "k1"}))), malformed("header")),
        ("alg nOnE, signed", at(json!({"alg": "nOnE", "kid": "k1"})), malformed("header")),
        ("alg empty", at(json!({"alg": "", "kid": "k1"})), malformed("header")),
        ("alg hs256", at(json!({"alg": "hs256", "kid": "k1"})), malformed("header")),
        ("no alg", at(json!({"kid": "k1"})), malformed("header")),
        ("alg a list", at(json!({"alg": ["HS256"], "kid": "k1"})), malformed("header")),
        (
            "HS384",
            forge_raw(&encode(&json!({"alg": "HS384", "kid": "k1"})), body64, SECRET, hmac::HMAC_SHA384),
            Refusal::Algorithm,
        ),
        (
            "HS512",
            forge_raw(&encode(&json!({"alg": "HS512", "kid": "k1"})), body64, SECRET, hmac::HMAC_SHA512),
            Refusal::Algorithm,
        ),
        ("RS256", at(json!({"alg": "RS256", "kid": "k1"})), Refusal::Algorithm),
        ("ES256", at(json!({"alg": "ES256", "kid": "k1"})), Refusal::Algorithm),
        ("EdDSA", at(json!({"alg": "EdDSA", "kid": "k1"})), Refusal::Algorithm),
        // Key.
        ("an unknown kid", at(json!({"alg": "HS256", "kid": "k9"})), Refusal::KeyUnknown),
        ("an empty kid", at(json!({"alg": "HS256", "kid": ""})), Refusal::KeyUnknown),
        ("a path for a kid", at(json!({"alg": "HS256", "kid": "../../dev/null"})), Refusal::KeyUnknown),
        ("another key's kid", at(json!({"alg": "HS256", "kid": "k2"})), Refusal::Signature),
        ("a number for a kid", at(json!({"alg": "HS256", "kid": 1})), malformed("header")),
        ("no kid, two keys", at(json!({"alg": "HS256"})), Refusal::KeyAmbiguous),
        ("crit", at(json!({"alg": "HS256", "kid": "k1", "crit": ["exp"]})), Refusal::CriticalHeader),
        ("crit, empty", at(json!({"alg": "HS256", "kid": "k1", "crit": []})), Refusal::CriticalHeader),
        // Times.
        ("no exp", with("exp", Value::Null), missing("exp")),
        ("exp null", forge(&header(), &json!({"sub": 42, "exp": null})), missing("exp")),
        ("exp a string", with("exp", json!("1800000060")), wrong("exp")),
        ("exp a list (the library stumbles over it first)", with("exp", json!([1_800_000_060])), body.clone()),
        ("exp true", with("exp", json!(true)), wrong("exp")),
        ("exp negative", with("exp", json!(-1)), wrong("exp")),
        ("exp in milliseconds", with("exp", json!(1_800_000_060_000_u64)), wrong("exp")),
        ("exp i64::MAX", with("exp", json!(i64::MAX)), wrong("exp")),
        ("exp u64::MAX", with("exp", json!(u64::MAX)), wrong("exp")),
        ("exp 1e300", with("exp", json!(1e300)), wrong("exp")),
        ("exp now", with("exp", json!(1_800_000_000)), Refusal::Expired),
        ("exp a second ago", with("exp", json!(1_799_999_999)), Refusal::Expired),
        ("exp half a second ago", with("exp", json!(1_799_999_999.5)), Refusal::Expired),
        ("exp 0", with("exp", json!(0)), Refusal::Expired),
        ("nbf in a second", with("nbf", json!(1_800_000_001)), Refusal::TooEarly { claim: "nbf" }),
        ("nbf a string", with("nbf", json!("0")), wrong("nbf")),
        ("iat in a second", with("iat", json!(1_800_000_001)), Refusal::TooEarly { claim: "iat" }),
        ("iat a string", with("iat", json!("0")), wrong("iat")),
        // Who.
        ("no sub", with("sub", Value::Null), missing("sub")),
        ("sub empty", with("sub", json!("")), wrong("sub")),
        ("sub negative", with("sub", json!(-1)), wrong("sub")),
        ("sub a float", with("sub", json!(1.5)), wrong("sub")),
        ("sub true", with("sub", json!(true)), wrong("sub")),
        ("sub a list (as above)", with("sub", json!([42])), body.clone()),
        ("sub with a slash", with("sub", json!("a/b")), wrong("sub")),
        ("sub too long", with("sub", json!("x".repeat(65))), wrong("sub")),
        ("is_staff a string", with("is_staff", json!("true")), wrong("is_staff")),
        ("is_staff 1", with("is_staff", json!(1)), wrong("is_staff")),
        ("username a number", with("username", json!(7)), wrong("username")),
        ("first_name too long", with("first_name", json!("é".repeat(151))), wrong("first_name")),
        ("last_name a list", with("last_name", json!(["x"])), wrong("last_name")),
        ("another tenant", with("tenant", json!("umbrella")), Refusal::Tenant),
        ("tenant with a slash", with("tenant", json!("a/b")), wrong("tenant")),
        ("tenant a number", with("tenant", json!(1)), wrong("tenant")),
        ("tenant empty", with("tenant", json!("")), wrong("tenant")),
    ];
    assert!(table.len() >= 40 && ok["exp"].is_number());
    for (name, token, expected) in table {
        let refusal = admit(&auth(), &bearer(&token)).expect_err(name);
        assert!(same(&refusal, &expected), "{name}: {refusal:?}, expected {expected:?}");
        assert_silent(&refusal, &token);
    }
}

/// Neither sentence, nor the debug form, has a part of the token in it.
fn assert_silent(refusal: &Refusal, token: &str) {
    let said = format!("{refusal} {refusal:?} {}", refusal.reason());
    for part in token.split('.').filter(|part| part.len() > 8) {
        assert!(!said.contains(part), "{said}");
    }
}

#[test]
fn no_hostile_request_is_let_in() {
    let (good, origin) = (good(), "https://app.example.org");
    let from = || request().header("origin", origin);
    let cookie = format!("carillon_token={good}");
    let offer = format!("carillon.v0, carillon.token.{good}");
    let query = format!("/ws/dashboard/?token={good}");
    let foreign = |host: &str| Refusal::OriginForeign { host: host.into() };
    let repeated = |place| Refusal::CredentialRepeated { place };
    let malformed = |part| Refusal::TokenMalformed { part };
    let table = [
        ("nothing at all", request(), Refusal::CredentialMissing),
        ("an origin and nothing else", from(), Refusal::CredentialMissing),
        ("a cookie without an origin", request().header("cookie", &cookie), Refusal::OriginMissing),
        (
            "a subprotocol token without an origin",
            request().header("sec-websocket-protocol", &offer),
            Refusal::OriginMissing,
        ),
        (
            "a cookie from a foreign page",
            request().header("origin", "https://evil.com").header("cookie", &cookie),
            foreign("evil.com"),
        ),
        (
            "a bearer token from a foreign page",
            request().header("origin", "https://evil.com").header("authorization", format!("Bearer {good}")),
            foreign("evil.com"),
        ),
        (
            "the request's own host, which is not listed",
            request().header("host", "evil.com").header("origin", "https://evil.com").header("cookie", &cookie),
            foreign("evil.com"),
        ),
        ("a null origin", request().header("origin", "null").header("cookie", &cookie), Refusal::OriginMalformed),
        ("two origins", from().header("origin", origin).header("cookie", &cookie), Refusal::OriginRepeated),
        (
            "two Authorization headers",
            from().header("authorization", format!("Bearer {good}")).header("authorization", format!("Bearer {good}")),
            Refusal::AuthorizationRepeated,
        ),
        ("an empty bearer token", from().header("authorization", "Bearer "), malformed("header")),
        ("Bearer alone", from().header("authorization", "Bearer"), malformed("header")),
        ("another scheme", from().header("authorization", format!("Token {good}")), Refusal::CredentialMissing),
        ("a bare token", from().header("authorization", &good), Refusal::CredentialMissing),
        (
            "a bad bearer token beside a good cookie",
            from().header("authorization", "Bearer x.y.z").header("cookie", &cookie),
            malformed("header"),
        ),
        (
            "a bad subprotocol token beside a good cookie",
            from().header("sec-websocket-protocol", "carillon.v0, carillon.token.x").header("cookie", &cookie),
            malformed("header"),
        ),
        ("the cookie twice", from().header("cookie", format!("{cookie}; {cookie}")), repeated("cookies")),
        ("the cookie in two headers", from().header("cookie", &cookie).header("cookie", &cookie), repeated("cookies")),
        ("another cookie", from().header("cookie", format!("xcarillon_token={good}")), Refusal::CredentialMissing),
        ("a query token that is off", from().uri(&query), Refusal::QueryTokenOff),
        ("only v1", from().header("sec-websocket-protocol", "carillon.v1"), Refusal::ProtocolUnsupported),
        (
            "a token alone among the subprotocols",
            from().header("sec-websocket-protocol", format!("carillon.token.{good}")),
            Refusal::ProtocolMissing,
        ),
    ];
    for (name, builder, expected) in table {
        let refusal = admit(&auth(), &head(builder)).expect_err(name);
        assert_eq!(refusal, expected, "{name}");
        assert_silent(&refusal, &good);
    }
    let on = Auth { query_token: true, ..auth() };
    let twice = format!("{query}&token={good}");
    assert_eq!(admit(&on, &head(from().uri(twice))), Err(repeated("query")));
    assert_eq!(admit(&on, &head(request().uri(&query))), Err(Refusal::OriginMissing));
}

#[test]
fn staff_endpoints_are_for_staff() {
    let door = Door::new(&auth(), false);
    for endpoint in Endpoint::ALL {
        let user = door.admit(&bearer(&good()), endpoint, NOW);
        assert_eq!(user.is_err(), endpoint.staff_only(), "{endpoint:?}");
        assert!(door.admit(&bearer(&with("is_staff", json!(true))), endpoint, NOW).is_ok(), "{endpoint:?}");
    }
    assert_eq!(door.admit(&bearer(&good()), Endpoint::AdminDashboard, NOW), Err(Refusal::NotStaff));
}

#[test]
fn claims_become_the_identity() {
    let claims = json!({
        "sub": "ada", "exp": 1_800_000_060.9, "iat": 1_800_000_000, "nbf": 1_799_999_999.5, "username": "ada",
        "first_name": "Ada", "last_name": "Lovelace", "is_staff": true, "tenant": "acme", "jti": ["ignored"],
    });
    let identity = admit(&auth(), &bearer(&forge(&header(), &claims))).expect("a good token").identity;
    assert_eq!((identity.tenant.as_str(), identity.user.as_str()), ("acme", "ada"));
    assert_eq!((&*identity.username, &*identity.first_name, &*identity.last_name), ("ada", "Ada", "Lovelace"));
    assert!(identity.is_staff);
    assert_eq!(identity.issued_at, Some(NOW));
    assert_eq!(identity.expires_at, NOW.plus_seconds(60));
}

#[test]
fn a_key_signs_for_its_tenants_and_no_others() {
    let token = |kid: &str, secret: &[u8], tenant: Value| {
        let header = encode(&json!({"alg": "HS256", "kid": kid}));
        forge_raw(&header, &encode(&claims("tenant", tenant)), secret, hmac::HMAC_SHA256)
    };
    let tenant_of = |token: &str| admit(&auth(), &bearer(token)).map(|a| a.identity.tenant.to_string());
    assert_eq!(tenant_of(&token("k1", SECRET, Value::Null)), Ok("default".into()), "default, as it is in the list");
    assert_eq!(tenant_of(&token("k2", OTHER, Value::Null)), Ok("umbrella".into()), "the key's only one");
    assert_eq!(tenant_of(&token("k1", SECRET, json!("acme"))), Ok("acme".into()));
    assert_eq!(tenant_of(&token("k2", OTHER, json!("default"))), Err(Refusal::Tenant));
    let both = Auth { jwt: vec![key("k1", SECRET, &["acme", "umbrella"])], ..auth() };
    let silent = admit(&both, &bearer(&token("k1", SECRET, Value::Null)));
    assert_eq!(silent, Err(Refusal::Tenant), "two tenants, none of them default");
}

#[test]
fn issuer_and_audience_are_checked_when_configured() {
    let strict = Auth { issuer: Some("app".into()), audience: Some("carillon".into()), ..auth() };
    let token =
        |iss: Value, aud: Value| forge(&header(), &json!({"sub": 42, "exp": 1_800_000_060, "iss": iss, "aud": aud}));
    let table = [
        (json!("app"), json!("carillon"), Ok(())),
        (json!("app"), json!(["x", "carillon"]), Ok(())),
        (json!("other"), json!("carillon"), Err(Refusal::Issuer)),
        (json!(["app"]), json!("carillon"), Err(Refusal::Issuer)),
        (Value::Null, json!("carillon"), Err(Refusal::Issuer)),
        (json!("app"), json!("other"), Err(Refusal::Audience)),
        (json!("app"), json!([]), Err(Refusal::Audience)),
        (json!("app"), json!([["carillon"]]), Err(Refusal::Audience)),
        (json!("app"), json!({"carillon": true}), Err(Refusal::Audience)),
        (json!("app"), Value::Null, Err(Refusal::Audience)),
    ];
    for (iss, aud, expected) in table {
        let token = token(iss.clone(), aud.clone());
        assert_eq!(admit(&strict, &bearer(&token)).map(|_| ()), expected, "{iss} {aud}");
        assert!(admit(&auth(), &bearer(&token)).is_ok(), "not configured, not checked: {iss} {aud}");
    }
}

#[test]
fn leeway_forgives_as_much_as_configured_and_no_more() {
    let lenient = Auth { leeway_seconds: 5, ..auth() };
    let verdict = |auth: &Auth, name, at: i64| admit(auth, &bearer(&with(name, json!(1_800_000_000 + at)))).is_ok();
    for (name, last_good) in [("exp", -4), ("nbf", 5), ("iat", 5)] {
        let first_bad = if name == "exp" { -5 } else { 6 };
        assert!(verdict(&lenient, name, last_good), "{name}");
        assert!(!verdict(&lenient, name, first_bad), "{name}");
        assert!(!verdict(&auth(), name, last_good), "{name} without leeway");
    }
    let admission = admit(&lenient, &bearer(&with("exp", json!(1_799_999_999)))).expect("within the leeway");
    assert!(admission.identity.expires_at > NOW, "a session that was let in is not over at once");
}

#[test]
fn a_single_key_needs_no_kid_and_no_key_lets_nobody_in() {
    let token = forge(&json!({"alg": "HS256"}), &claims("x", json!(1)));
    let single = Auth { jwt: vec![key("k1", SECRET, &["default"])], ..auth() };
    assert!(admit(&single, &bearer(&token)).is_ok());
    let none = Auth { jwt: Vec::new(), ..auth() };
    assert_eq!(admit(&none, &bearer(&token)), Err(Refusal::KeyAmbiguous));
    assert_eq!(admit(&none, &bearer(&good())), Err(Refusal::KeyUnknown));
}

#[test]
fn the_development_key_opens_only_a_development_door() {
    let grant = Grant {
        user: UserId::new("1").expect("an id"),
        tenant: Tenant::default(),
        username: "alice".into(),
        first_name: String::new(),
        last_name: String::new(),
        is_staff: false,
        issuer: None,
        audience: None,
        issued_at: NOW,
        ttl_seconds: 60,
    };
    let token = sign(&JwtKey::development(), &grant).expect("signed");
    let page = head(request().uri(format!("/?token={token}")).header("origin", "http://localhost:8000"));
    let empty = Auth::default();
    let admission = Door::new(&empty, true).admit(&page, Endpoint::Dashboard, NOW).expect("development");
    assert_eq!(admission.identity.username, "alice");
    assert!(Door::new(&empty, false).admit(&page, Endpoint::Dashboard, NOW).is_err());
    assert!(Door::new(&empty, false).admit(&bearer(&token), Endpoint::Dashboard, NOW).is_err());
    assert!(Door::new(&auth(), true).admit(&page, Endpoint::Dashboard, NOW).is_err(), "a configured key replaces it");
    assert!(sign(&JwtKey::development(), &Grant { tenant: Tenant::new("acme").expect("a name"), ..grant }).is_err());
}
