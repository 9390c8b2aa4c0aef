//! Hostile tokens, each with the reason that it must be refused for.

use super::*;
use crate::auth::FetchedKeys;
use proptest::prelude::*;

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
fn no_hostile_token_is_let_in() {
    let at = |h: Value| forge(&h, &claims("x", json!(1)));
    let good = good();
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (head64, body64) = message.split_once('.').expect("three parts");
    let malformed = |part| Refusal::TokenMalformed { part };
    let body = malformed("payload or signature");
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
        ("alg none", format!("{}.{body64}.", encode(&json!({"alg": "none", "kid": "k1"}))), Refusal::Algorithm),
        ("alg None", format!("{}.{body64}.", encode(&json!({"alg": "None", "kid": "k1"}))), Refusal::Algorithm),
        ("alg nOnE, signed", at(json!({"alg": "nOnE", "kid": "k1"})), Refusal::Algorithm),
        ("alg empty", at(json!({"alg": "", "kid": "k1"})), Refusal::Algorithm),
        ("alg hs256", at(json!({"alg": "hs256", "kid": "k1"})), Refusal::Algorithm),
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
        ("b64", at(json!({"alg": "HS256", "kid": "k1", "b64": false})), Refusal::CriticalHeader),
        ("a compressed token", at(json!({"alg": "HS256", "kid": "k1", "zip": "DEF"})), Refusal::CriticalHeader),
        ("a kid of 257 bytes", at(json!({"alg": "HS256", "kid": "k".repeat(257)})), malformed("header")),
        // Type.
        ("a logout token", at(json!({"alg": "HS256", "kid": "k1", "typ": "logout+jwt"})), Refusal::Type),
        ("a type that is a number", at(json!({"alg": "HS256", "kid": "k1", "typ": 1})), malformed("header")),
        ("a token within a token", at(json!({"alg": "HS256", "kid": "k1", "cty": "JWT"})), Refusal::Type),
    ];
    assert!(table.len() >= 40);
    refused(table);
}

#[test]
fn no_hostile_claim_is_let_in() {
    let missing = |claim| Refusal::ClaimMissing { claim };
    let table = [
        // Times.
        ("no exp", with("exp", Value::Null), missing("exp")),
        ("exp null", forge(&header(), &json!({"sub": 42, "exp": null})), missing("exp")),
        ("exp a string", with("exp", json!("1800000060")), wrong("exp")),
        ("exp a list", with("exp", json!([1_800_000_060])), wrong("exp")),
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
        ("sub a list", with("sub", json!([42])), wrong("sub")),
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
    refused(table);
}

fn refused<const N: usize>(table: [(&str, String, Refusal); N]) {
    for (name, token, expected) in table {
        let refusal = admit(&auth(), &bearer(&token)).expect_err(name);
        assert!(same(&refusal, &expected), "{name}: {refusal:?}, expected {expected:?}");
        assert_silent(&refusal, &token);
    }
}

proptest! {
    #[test]
    fn a_good_token_with_any_one_character_changed_is_refused(at in 0_usize..1 << 16, by in any::<char>()) {
        let good = good();
        let at = at % good.len();
        let changed: String = good.chars().enumerate().map(|(nth, c)| if nth == at { by } else { c }).collect();
        prop_assume!(changed != good);
        let tokens = super::super::token::Tokens::new(&auth(), false, FetchedKeys::default());
        prop_assert!(tokens.verify(&good, NOW).is_ok());
        prop_assert!(tokens.verify(&changed, NOW).is_err());
    }
}
