//! Makes tokens by hand, since no library makes most of these; and keys, as apps and identity providers have them.

use aws_lc_rs::{
    hmac, rand,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

/// A key that signs.
pub enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Secret(Vec<u8>),
}

/// A file of this test's own.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tokens/fixtures").join(name)
}

pub fn fixture_text(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).expect("a fixture")
}

fn pkcs8(name: &str) -> Vec<u8> {
    PrivatePkcs8KeyDer::from_pem_file(fixture(name)).expect("a private key").secret_pkcs8_der().to_vec()
}

impl Key {
    pub fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(&pkcs8("rsa.pem")).expect("a key"))
    }

    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8("p256.pem")).expect("a key"))
    }

    pub fn p384() -> Self {
        Self::P384(EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8("p384.pem")).expect("a key"))
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(&pkcs8("ed25519.pem")).expect("a key"))
    }

    pub fn secret(secret: impl AsRef<[u8]>) -> Self {
        Self::Secret(secret.as_ref().to_vec())
    }

    /// Keys that nobody has configured.
    pub fn new_p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    pub fn new_rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key"))
    }

    /// A signature as `alg` has it, whatever the header of the token will say.
    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = rand::SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let encoding: &'static dyn RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature).expect("signed");
                signature
            }
            Self::P256(key) | Self::P384(key) => key.sign(&random, message).expect("signed").as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let algorithm = match alg {
                    "HS384" => hmac::HMAC_SHA384,
                    "HS512" => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
            }
        }
    }

    /// A token with this header, signed as the header's `alg` says.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&encode(header), &encode(claims), header["alg"].as_str().unwrap_or_default())
    }

    /// A token of parts that are encoded already.
    pub fn token_of(&self, header: &str, payload: &str, alg: &str) -> String {
        let message = format!("{header}.{payload}");
        let signature = self.sign(alg, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The public half as a key set has it.
    pub fn jwk(&self, kid: &str) -> Value {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(key) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": b64(&parts.n), "e": b64(&parts.e)})
            }
            Self::P256(key) | Self::P384(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": crv, "kid": kid, "use": "sig", "x": b64(x), "y": b64(y)})
            }
            Self::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(key.public_key().as_ref())})
            }
            Self::Secret(secret) => json!({"kty": "oct", "kid": kid, "alg": "HS256", "k": b64(secret)}),
        }
    }
}

pub fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

pub fn encode_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Claims that are good for an hour.
pub fn claims() -> Value {
    json!({"sub": "42", "exp": now() + 3_600, "iat": now(), "iss": "https://id.example.org", "aud": "carillon"})
}

/// Good claims with one changed; `null` leaves it out.
pub fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let fields = claims.as_object_mut().expect("an object");
    match value {
        Value::Null => fields.remove(name),
        value => fields.insert(name.into(), value),
    };
    claims
}
