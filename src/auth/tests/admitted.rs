//! What is let in, and as whom; and how far configuration opens the door.

use super::*;
use crate::{
    auth::{Grant, sign},
    protocol::{Edition, UserId},
};

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
        (
            // Browsers send all cookies in one header, whatever other parts of the site have put there.
            head(
                request()
                    .header("cookie", format!("name=José; carillon_token={}", good()).as_bytes())
                    .header("origin", origin),
            ),
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
        assert_eq!(admission.selected.map(Edition::subprotocol), *subprotocol, "way {nth}");
    }
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
    let from = |host: &str| {
        let uri = format!("/?token={token}");
        head(hyper::Request::builder().uri(uri).header("host", host).header("origin", "http://localhost:8000"))
    };
    let page = from("localhost:8000");
    let empty = Auth::default();
    let admission = Door::new(&empty, true).admit(&page, Endpoint::Dashboard, NOW).expect("development");
    assert_eq!(admission.identity.username, "alice");
    let rebound = Door::new(&empty, true).admit(&from("evil.com:8000"), Endpoint::Dashboard, NOW);
    assert_eq!(rebound, Err(Refusal::HostForeign), "a page that bound its own name to this machine");
    assert!(Door::new(&empty, false).admit(&page, Endpoint::Dashboard, NOW).is_err());
    assert!(Door::new(&empty, false).admit(&bearer(&token), Endpoint::Dashboard, NOW).is_err());
    assert!(Door::new(&auth(), true).admit(&page, Endpoint::Dashboard, NOW).is_err(), "a configured key replaces it");
    assert!(sign(&JwtKey::development(), &Grant { tenant: Tenant::new("acme").expect("a name"), ..grant }).is_err());
}
