//! Claims under good signatures that must not pass: times, addressees, tenants, types.

use crate::{
    forge::{Key, claims_with, encode_text, now},
    hostile::{Case, MALFORMED_BODY, SECRET, all_are_refused, head, server},
};
use serde_json::{Value, json};

#[tokio::test]
async fn no_claim_of_a_wrong_type_time_or_addressee_passes() {
    let server = server(&Key::new_rsa().jwk("set-rsa"));
    let (p256, ed, secret) = (Key::p256(), Key::ed25519(), Key::secret(SECRET));
    let es = |name: &str, value: Value| p256.token(&head("ES256", "es"), &claims_with(name, value)).into_bytes();
    let hs = |value: Value| secret.token(&head("HS256", "hs"), &claims_with("tenant", value)).into_bytes();
    let twice =
        |text: &str| ed.token_of(&crate::forge::encode(&head("EdDSA", "ed")), &encode_text(text), "EdDSA").into_bytes();
    let foreign = "may not sign for its tenant";
    let table: Vec<Case> = vec![
        ("no exp", es("exp", json!(null)), "lacks the claim `exp`"),
        ("exp a string", es("exp", json!((now() + 60).to_string())), "the claim `exp` must be"),
        ("exp a list", es("exp", json!([now() + 60])), "the claim `exp` must be"),
        ("exp an object", es("exp", json!({"$gt": 0})), "the claim `exp` must be"),
        ("exp true", es("exp", json!(true)), "the claim `exp` must be"),
        ("exp in milliseconds", es("exp", json!((now() + 60) * 1_000)), "the claim `exp` must be"),
        ("exp for ever", es("exp", json!(u64::MAX)), "the claim `exp` must be"),
        ("exp beyond all numbers", es("exp", json!(1e308)), "the claim `exp` must be"),
        ("exp negative", es("exp", json!(-1)), "the claim `exp` must be"),
        ("exp a minute ago", es("exp", json!(now() - 60)), "has expired"),
        ("exp 0", es("exp", json!(0)), "has expired"),
        ("nbf in an hour", es("nbf", json!(now() + 3_600)), "`nbf` lies in the future"),
        ("nbf a string", es("nbf", json!("0")), "the claim `nbf` must be"),
        ("iat in an hour", es("iat", json!(now() + 3_600)), "`iat` lies in the future"),
        ("no iss", es("iss", json!(null)), "`iss` is not"),
        ("another iss", es("iss", json!("https://evil.example")), "`iss` is not"),
        ("an iss that begins alike", es("iss", json!("https://id.example.org.evil.example")), "`iss` is not"),
        ("iss a list", es("iss", json!(["https://id.example.org"])), "`iss` is not"),
        ("no aud", es("aud", json!(null)), "`aud` does not contain"),
        ("another aud", es("aud", json!("billing")), "`aud` does not contain"),
        ("a list of other auds", es("aud", json!(["billing", "mail"])), "`aud` does not contain"),
        ("an empty list of auds", es("aud", json!([])), "`aud` does not contain"),
        ("a list in a list of auds", es("aud", json!([["carillon"]])), "`aud` does not contain"),
        ("an aud that begins alike", es("aud", json!("carillon.evil.example")), "`aud` does not contain"),
        ("aud an object", es("aud", json!({"carillon": true})), "`aud` does not contain"),
        ("a tenant of another key", es("tenant", json!("acme")), foreign),
        ("a tenant of nobody", hs(json!("initech")), foreign),
        ("no tenant from a key of several without the default one", hs(json!(null)), foreign),
        ("tenant a list", hs(json!(["acme"])), "the claim `tenant` must be"),
        ("no sub", es("sub", json!(null)), "lacks the claim `sub`"),
        ("sub an object", es("sub", json!({"id": 42})), "the claim `sub` must be"),
        ("sub a path", es("sub", json!("../1")), "the claim `sub` must be"),
        ("is_staff a string", es("is_staff", json!("true")), "the claim `is_staff` must be"),
        ("is_staff 1", es("is_staff", json!(1)), "the claim `is_staff` must be"),
        ("sub given twice", twice(r#"{"sub":"42","sub":"1","exp":9999999999}"#), MALFORMED_BODY),
        ("exp given twice", twice(r#"{"sub":"42","exp":1,"exp":9999999999}"#), MALFORMED_BODY),
    ];
    all_are_refused(&server, table).await;
}
