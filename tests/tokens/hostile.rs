//! Signatures and shapes that must not pass (RFC 8725), each at a real handshake, each for its own reason.

use crate::{
    forge::{Key, claims, encode, encode_text, fixture, fixture_text},
    support::{Options, PATIENCE, Server, socket::request},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, http::HeaderValue},
};

/// A name, what is sent as the token, and a part of the reason that the log must give.
pub type Case = (&'static str, Vec<u8>, &'static str);

pub const MALFORMED_HEADER: &str = "the token's header cannot be read";
pub const MALFORMED_BODY: &str = "payload or signature cannot be read";
pub const ALGORITHM: &str = "`alg` is not the one its key is for";
pub const SIGNATURE: &str = "signature was not made with its key";
pub const UNKNOWN_KEY: &str = "`kid` is the id of no key";
pub const AMBIGUOUS: &str = "the token has no `kid`";
pub const CRITICAL: &str = "none of which is understood";
pub const TYPE: &str = "`typ` is not";

pub const SECRET: &str = "a secret that the attacker does not have, of enough bytes";

/// A server with a key of every kind: `rs`, `es`, `es384`, `ed`, `hs`, and `set-rsa` in a key set.
pub fn server(set: &Value) -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    let jwks = dir.path().join("jwks.json");
    std::fs::write(&jwks, json!({"keys": [set]}).to_string()).expect("written");
    let public = |id: &str, algorithm: &str, file: &str| json!({"id": id, "algorithm": algorithm, "public_key_file": fixture(file)});
    let keys = json!([
        public("rs", "RS256", "rsa.pub.pem"),
        public("es", "ES256", "p256.pub.pem"),
        public("es384", "ES384", "p384.pub.pem"),
        public("ed", "EdDSA", "ed25519.pub.pem"),
        {"id": "hs", "algorithm": "HS256", "secret": SECRET, "tenants": ["acme", "umbrella"]},
        {"id": "set", "jwks_file": jwks},
    ]);
    Options::default()
        .set("AUTH__JWT", keys)
        .set("AUTH__ISSUER", "https://id.example.org")
        .set("AUTH__AUDIENCE", "carillon")
        .set("LOG__LEVEL", "info,carillon::transport=debug")
        .start()
}

/// The status of a handshake with these bytes as its bearer token.
pub async fn knock(server: &Server, token: &[u8]) -> u16 {
    let mut request = request(server.address(), "/ws/dashboard/", None);
    let value = [b"Bearer ", token].concat();
    request.headers_mut().insert("authorization", HeaderValue::from_bytes(&value).expect("a header"));
    match tokio::time::timeout(PATIENCE, connect_async(request)).await.expect("an answer in time") {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("neither a socket nor an answer: {other}"),
    }
}

/// Each is refused with 403, and for its reason.
pub async fn all_are_refused(server: &Server, table: Vec<Case>) {
    for (name, token, reason) in table {
        let before = server.log().len();
        assert_eq!(knock(server, &token).await, 403, "{name}");
        // The line is written before the answer is.
        let said = server.log().split_off(before);
        assert!(said.contains(reason), "{name}: {reason:?} is not in {said}");
        let text = String::from_utf8_lossy(&token);
        for part in text.split('.').filter(|part| part.len() > 12) {
            assert!(!said.contains(part), "{name}: a part of the token is in the log: {said}");
        }
    }
}

pub fn head(alg: &str, kid: &str) -> Value {
    json!({"alg": alg, "typ": "JWT", "kid": kid})
}

fn sealed(message: &str, signature: &[u8]) -> Vec<u8> {
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes()
}

#[tokio::test]
async fn no_other_algorithm_than_the_keys_own_verifies() {
    let set = Key::new_rsa();
    let server = server(&set.jwk("set-rsa"));
    let (rsa, p256, p384, ed) = (Key::rsa(), Key::p256(), Key::p384(), Key::ed25519());
    let unsigned = |alg: &str| format!("{}.{}.", encode(&head(alg, "rs")), encode(&claims()));
    let confused = |secret: &[u8], kid| Key::secret(secret).token(&head("HS256", kid), &claims());
    let spki = SubjectPublicKeyInfoDer::from_pem_file(fixture("rsa.pub.pem")).expect("a key");
    let modulus = URL_SAFE_NO_PAD.decode(rsa.jwk("")["n"].as_str().expect("text")).expect("base64");
    let (rsa_pem, p256_pem) = (fixture_text("rsa.pub.pem"), fixture_text("p256.pub.pem"));
    let cases = [
        ("none", unsigned("none"), ALGORITHM),
        ("None", unsigned("None"), ALGORITHM),
        ("NONE", unsigned("NONE"), ALGORITHM),
        ("nOnE", unsigned("nOnE"), ALGORITHM),
        ("an empty alg", unsigned(""), ALGORITHM),
        ("none with a signature", rsa.token(&head("none", "rs"), &claims()), ALGORITHM),
        ("the RSA key's PEM as a secret", confused(rsa_pem.as_bytes(), "rs"), ALGORITHM),
        ("… without its last newline", confused(rsa_pem.trim_end().as_bytes(), "rs"), ALGORITHM),
        ("… its DER", confused(&spki, "rs"), ALGORITHM),
        ("… its modulus", confused(&modulus, "rs"), ALGORITHM),
        ("the EC key's PEM as a secret", confused(p256_pem.as_bytes(), "es"), ALGORITHM),
        ("the PEM as a secret for the secret's kid", confused(rsa_pem.as_bytes(), "hs"), SIGNATURE),
        ("an empty secret", confused(b"", "hs"), SIGNATURE),
        ("HS512 with the secret of HS256", Key::secret(SECRET).token(&head("HS512", "hs"), &claims()), ALGORITHM),
        ("RS256 for the secret's kid", rsa.token(&head("RS256", "hs"), &claims()), ALGORITHM),
        ("RS384 with the key of RS256", rsa.token(&head("RS384", "rs"), &claims()), ALGORITHM),
        ("RS512 with the key of RS256", rsa.token(&head("RS512", "rs"), &claims()), ALGORITHM),
        ("PS256 with the key of RS256", rsa.token(&head("PS256", "rs"), &claims()), ALGORITHM),
        (
            "RS384 signed, RS256 said",
            {
                let message = format!("{}.{}", encode(&head("RS256", "rs")), encode(&claims()));
                format!("{message}.{}", URL_SAFE_NO_PAD.encode(rsa.sign("RS384", message.as_bytes())))
            },
            SIGNATURE,
        ),
        ("RS384 with a set's key whose alg is RS256", set.token(&head("RS384", "set-rsa"), &claims()), ALGORITHM),
        ("ES256 for the key of another curve", p256.token(&head("ES256", "es384"), &claims()), ALGORITHM),
        ("ES384 for the key of another curve", p384.token(&head("ES384", "es"), &claims()), ALGORITHM),
        ("ES256 said, signed on another curve", p384.token(&head("ES256", "es"), &claims()), SIGNATURE),
        ("ES384 said, signed on another curve", p256.token(&head("ES384", "es384"), &claims()), SIGNATURE),
        ("ES256K", p256.token(&head("ES256K", "es"), &claims()), ALGORITHM),
        ("EdDSA for an EC key", ed.token(&head("EdDSA", "es"), &claims()), ALGORITHM),
        ("ES256 for an Ed25519 key", p256.token(&head("ES256", "ed"), &claims()), ALGORITHM),
        ("an algorithm for encryption", rsa.token(&head("RSA-OAEP", "rs"), &claims()), ALGORITHM),
        ("rs256 in small letters", rsa.token(&head("rs256", "rs"), &claims()), ALGORITHM),
    ];
    all_are_refused(&server, cases.map(|(name, token, reason)| (name, token.into_bytes(), reason)).into()).await;
}

#[tokio::test]
async fn no_damaged_signature_verifies() {
    let server = server(&Key::new_rsa().jwk("set-rsa"));
    let message = |kid: &str, alg: &str| format!("{}.{}", encode(&head(alg, kid)), encode(&claims()));
    let (rs, es, ed) = (message("rs", "RS256"), message("es", "ES256"), message("ed", "EdDSA"));
    let rsa = Key::rsa().sign("RS256", rs.as_bytes());
    let ec = Key::p256().sign("ES256", es.as_bytes());
    let edwards = Key::ed25519().sign("EdDSA", ed.as_bytes());
    let longer = |signature: &[u8]| [signature, &[0]].concat();
    let der = [&[0x30, 68, 2, 32], &ec[..32], &[2, 32], &ec[32..]].concat();
    let (mut one, mut order) = ([0; 64], [0; 64]);
    (one[31], one[63]) = (1, 1);
    let n = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    for (at, byte) in order.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&n[at % 32 * 2..at % 32 * 2 + 2], 16).expect("hexadecimal");
    }
    let with_text = |signature: String| format!("{rs}.{signature}").into_bytes();
    let other =
        |message: &str| message.replace(&encode(&claims()), &encode(&json!({"sub": "1", "exp": 9_999_999_999_u64})));
    all_are_refused(
        &server,
        vec![
            ("no RSA signature", sealed(&rs, b""), SIGNATURE),
            ("half an RSA signature", sealed(&rs, &rsa[..128]), SIGNATURE),
            ("an RSA signature without its last byte", sealed(&rs, &rsa[..255]), SIGNATURE),
            ("an RSA signature with one more byte", sealed(&rs, &longer(&rsa)), SIGNATURE),
            ("RSA zeros", sealed(&rs, &[0; 256]), SIGNATURE),
            ("RSA ones", sealed(&rs, &[0xff; 256]), SIGNATURE),
            ("no ECDSA signature", sealed(&es, b""), SIGNATURE),
            ("ECDSA r = s = 0", sealed(&es, &[0; 64]), SIGNATURE),
            ("ECDSA r = s = 1", sealed(&es, &one), SIGNATURE),
            ("ECDSA r = s = the order", sealed(&es, &order), SIGNATURE),
            ("ECDSA r alone", sealed(&es, &ec[..32]), SIGNATURE),
            ("an ECDSA signature of 63 bytes", sealed(&es, &ec[..63]), SIGNATURE),
            ("an ECDSA signature of 65 bytes", sealed(&es, &longer(&ec)), SIGNATURE),
            ("an ECDSA signature in DER", sealed(&es, &der), SIGNATURE),
            ("ECDSA zeros in DER", sealed(&es, &[0x30, 6, 2, 1, 0, 2, 1, 0]), SIGNATURE),
            ("no Ed25519 signature", sealed(&ed, b""), SIGNATURE),
            ("Ed25519 zeros", sealed(&ed, &[0; 64]), SIGNATURE),
            ("an Ed25519 signature of 63 bytes", sealed(&ed, &edwards[..63]), SIGNATURE),
            ("an Ed25519 signature plus the order", sealed(&ed, &plus_order(&edwards)), SIGNATURE),
            ("a signature with padding", with_text(format!("{}==", URL_SAFE_NO_PAD.encode(&rsa))), MALFORMED_BODY),
            (
                "a signature in the other alphabet",
                with_text(format!("{}+/", STANDARD_NO_PAD.encode(&rsa))),
                MALFORMED_BODY,
            ),
            (
                "a signature with a space in it",
                with_text(URL_SAFE_NO_PAD.encode(&rsa).replacen('A', " ", 1)),
                MALFORMED_BODY,
            ),
            ("other claims under a signature (RSA)", sealed(&other(&rs), &rsa), SIGNATURE),
            ("other claims under a signature (ECDSA)", sealed(&other(&es), &ec), SIGNATURE),
            ("other claims under a signature (Ed25519)", sealed(&other(&ed), &edwards), SIGNATURE),
            (
                "another header under a signature",
                sealed(
                    &rs.replacen(
                        &encode(&head("RS256", "rs")),
                        &encode(&json!({"alg": "RS256", "kid": "rs", "x": 1})),
                        1,
                    ),
                    &rsa,
                ),
                SIGNATURE,
            ),
            ("another key's signature", Key::new_p256().token(&head("ES256", "es"), &claims()).into_bytes(), SIGNATURE),
        ],
    )
    .await;
}

/// RFC 8032, section 5.1.7: S must be below the order, or every signature has a twin.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let mut out = signature.to_vec();
    let mut carry = 0;
    for at in 0..32 {
        let byte = u16::from_str_radix(&order[at * 2..at * 2 + 2], 16).expect("hexadecimal");
        let sum = u16::from(out[32 + at]) + byte + carry;
        out[32 + at] = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    out
}

#[tokio::test]
async fn nothing_else_than_three_parts_of_base64url_json_is_read() {
    let server = server(&Key::new_rsa().jwk("set-rsa"));
    let rsa = Key::rsa();
    let good = rsa.token(&head("RS256", "rs"), &claims());
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let (header, payload) = message.split_once('.').expect("three parts");
    let of = |header: &str, payload: &str| rsa.token_of(header, payload, "RS256");
    let cases = [
        ("dots", "..".to_owned(), MALFORMED_HEADER),
        ("two parts", message.to_owned(), MALFORMED_HEADER),
        ("four parts", format!("{good}.{signature}"), MALFORMED_HEADER),
        (
            "five parts, as encrypted tokens have",
            format!("{header}.{payload}.{payload}.{payload}.{signature}"),
            MALFORMED_HEADER,
        ),
        ("a dot before", format!(".{good}"), MALFORMED_HEADER),
        ("a dot behind", format!("{good}."), MALFORMED_HEADER),
        (
            "the JSON form of a signature",
            json!({"payload": payload, "protected": header, "signature": signature}).to_string(),
            MALFORMED_HEADER,
        ),
        ("a header that is no JSON", of(&encode_text("{"), payload), MALFORMED_HEADER),
        ("a header that is a list", of(&encode(&json!(["RS256"])), payload), MALFORMED_HEADER),
        (
            "a header with something behind it",
            of(&encode_text(r#"{"alg":"RS256","kid":"rs"}{}"#), payload),
            MALFORMED_HEADER,
        ),
        ("alg given twice", of(&encode_text(r#"{"alg":"RS256","alg":"none","kid":"rs"}"#), payload), MALFORMED_HEADER),
        ("kid given twice", of(&encode_text(r#"{"alg":"RS256","kid":"rs","kid":"hs"}"#), payload), MALFORMED_HEADER),
        ("no alg", of(&encode(&json!({"kid": "rs"})), payload), MALFORMED_HEADER),
        ("alg null", of(&encode(&json!({"alg": null, "kid": "rs"})), payload), MALFORMED_HEADER),
        ("alg a list", of(&encode(&json!({"alg": ["RS256"], "kid": "rs"})), payload), MALFORMED_HEADER),
        ("alg with a zero byte", of(&encode(&json!({"alg": "RS256\u{0}", "kid": "rs"})), payload), ALGORITHM),
        ("claims that are no JSON", of(header, &encode_text("{")), MALFORMED_BODY),
        ("claims that are a string", of(header, &encode(&json!("sub"))), MALFORMED_BODY),
        ("claims that are another token", of(header, &encode(&json!(good))), MALFORMED_BODY),
        (
            "claims in UTF-16",
            of(header, &URL_SAFE_NO_PAD.encode("{}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())),
            MALFORMED_BODY,
        ),
        ("9 KiB", rsa.token(&head("RS256", "rs"), &json!({"x": "x".repeat(9 << 10)})), "too long"),
    ];
    let mut table: Vec<Case> = cases.map(|(name, token, reason)| (name, token.into_bytes(), reason)).into();
    table.push(("not ASCII", [good.as_bytes(), &[0xff, 0xfe]].concat(), "Authorization header cannot be read"));
    all_are_refused(&server, table).await;
}
