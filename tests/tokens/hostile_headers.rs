//! Headers that try to bring a key, name one that isn't the signer's, or change how a token is read.

use crate::{
    forge::{Key, claims, encode},
    hostile::{
        ALGORITHM, AMBIGUOUS, CRITICAL, Case, MALFORMED_HEADER, SIGNATURE, TYPE, UNKNOWN_KEY, all_are_refused, head,
        server,
    },
    issuer::Issuer,
};
use serde_json::{Value, json};

fn with(name: &str, value: Value) -> Value {
    let mut header = head("ES256", "es");
    header[name] = value;
    header
}

#[tokio::test]
async fn a_header_brings_no_key_of_its_own() {
    let set = Key::new_rsa();
    let server = server(&set.jwk("set-rsa"));
    let mallory = Key::new_p256();
    let jwk = mallory.jwk("es");
    // Somewhere the attacker's keys are to be had: nobody must ask.
    let trap = Issuer::start(json!({"keys": [jwk]})).await;
    let url = trap.url();
    let signed = |header: Value| mallory.token(&header, &claims()).into_bytes();
    let without_kid = json!({"alg": "ES256", "jwk": jwk});
    all_are_refused(
        &server,
        vec![
            ("jwk without kid", signed(without_kid), AMBIGUOUS),
            ("jwk under a good kid", signed(with("jwk", jwk.clone())), SIGNATURE),
            ("jwk under its own kid", signed(json!({"alg": "ES256", "kid": "mallory", "jwk": jwk})), UNKNOWN_KEY),
            ("jku", signed(with("jku", json!(url))), SIGNATURE),
            ("jku under its own kid", signed(json!({"alg": "ES256", "kid": "mallory", "jku": url})), UNKNOWN_KEY),
            ("x5u", signed(with("x5u", json!(url))), SIGNATURE),
            ("x5c", signed(with("x5c", json!(["MIIB"]))), SIGNATURE),
            ("x5t", signed(with("x5t", json!("AAAA"))), SIGNATURE),
            (
                "a secret of its own",
                {
                    let secret = Key::secret("mallory's secret, as long as it must be");
                    let header = json!({"alg": "HS256", "kid": "hs", "jwk": secret.jwk("hs")});
                    secret.token(&header, &claims()).into_bytes()
                },
                SIGNATURE,
            ),
        ],
    )
    .await;
    assert_eq!(trap.asked(), 0, "somebody asked the attacker for keys");
}

#[tokio::test]
async fn a_kid_names_the_signers_key_and_nothing_else() {
    let set = Key::new_rsa();
    let server = server(&set.jwk("set-rsa"));
    let (rsa, p256) = (Key::rsa(), Key::p256());
    let kid = |kid: Value| p256.token(&json!({"alg": "ES256", "kid": kid}), &claims()).into_bytes();
    let table: Vec<Case> = vec![
        ("no kid", p256.token(&json!({"alg": "ES256"}), &claims()).into_bytes(), AMBIGUOUS),
        ("kid null", kid(json!(null)), AMBIGUOUS),
        ("an empty kid", kid(json!("")), UNKNOWN_KEY),
        ("a kid in capitals", kid(json!("ES")), UNKNOWN_KEY),
        ("a kid with a space", kid(json!("es ")), UNKNOWN_KEY),
        ("a kid with a zero byte", kid(json!("es\u{0}")), UNKNOWN_KEY),
        ("a path", kid(json!("../../../../dev/null")), UNKNOWN_KEY),
        ("an address", kid(json!("https://evil.example/key.pem")), UNKNOWN_KEY),
        ("SQL", kid(json!("' UNION SELECT 'secret' --")), UNKNOWN_KEY),
        ("a command", kid(json!("es|curl evil.example")), UNKNOWN_KEY),
        ("the name of a key set", kid(json!("set")), UNKNOWN_KEY),
        ("a kid that is a number", kid(json!(1)), MALFORMED_HEADER),
        ("a kid that is a list", kid(json!(["es"])), MALFORMED_HEADER),
        ("a kid of 300 bytes", kid(json!("e".repeat(300))), MALFORMED_HEADER),
        ("another kind of key's kid", kid(json!("rs")), ALGORITHM),
        (
            "the set's key under another RSA key's kid",
            set.token(&head("RS256", "rs"), &claims()).into_bytes(),
            SIGNATURE,
        ),
        (
            "an RSA key under the kid of the set's",
            rsa.token(&head("RS256", "set-rsa"), &claims()).into_bytes(),
            SIGNATURE,
        ),
    ];
    all_are_refused(&server, table).await;
}

#[tokio::test]
async fn no_extension_changes_how_a_token_is_read() {
    let server = server(&Key::new_rsa().jwk("set-rsa"));
    let p256 = Key::p256();
    let signed = |header: Value| p256.token(&header, &claims()).into_bytes();
    let unencoded = |mut header: Value| {
        header["b64"] = json!(false);
        // RFC 7797: the payload stands there as it is, and so it is signed.
        p256.token_of(&encode(&header), &claims().to_string().replace('.', ""), "ES256").into_bytes()
    };
    all_are_refused(
        &server,
        vec![
            ("crit", signed(with("crit", json!(["exp"]))), CRITICAL),
            ("crit with b64", unencoded(with("crit", json!(["b64"]))), CRITICAL),
            ("crit, empty", signed(with("crit", json!([]))), CRITICAL),
            ("crit, a string", signed(with("crit", json!("exp"))), CRITICAL),
            ("b64 without crit", unencoded(head("ES256", "es")), CRITICAL),
            ("b64 true", signed(with("b64", json!(true))), CRITICAL),
            ("zip", signed(with("zip", json!("DEF"))), CRITICAL),
            ("enc", signed(with("enc", json!("A256GCM"))), CRITICAL),
            ("cty", signed(with("cty", json!("JWT"))), TYPE),
            ("a logout token", signed(with("typ", json!("logout+jwt"))), TYPE),
            ("a security event", signed(with("typ", json!("secevent+jwt"))), TYPE),
            ("a proof of possession", signed(with("typ", json!("application/dpop+jwt"))), TYPE),
            ("an empty typ", signed(with("typ", json!(""))), TYPE),
            ("a typ that is a list", signed(with("typ", json!(["JWT"]))), MALFORMED_HEADER),
        ],
    )
    .await;
}
