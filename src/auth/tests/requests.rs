//! Hostile requests around tokens that are good.

use super::*;

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
