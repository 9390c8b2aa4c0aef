//! JSON Web Tokens: which key, is the signature that key's, and then what the claims say.
//!
//! The signature is `jsonwebtoken`'s business, with one algorithm pinned per key. The claims are judged by
//! [`super::claims`], because the crate reads the clock itself and passes over claims of a wrong type.

use super::{
    Identity, Refusal,
    claims::{Claims, Rules},
};
use crate::{
    config::{self, JwtAlgorithm, JwtKey, limits::TOKEN_BYTES_MAX},
    protocol::{Tenant, Timestamp},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};

/// Keys ready for use, and the rules for the claims they sign.
#[derive(Debug)]
pub(super) struct Tokens {
    keys: Vec<Key>,
    rules: Rules,
}

#[derive(Debug)]
struct Key {
    id: String,
    decoding: DecodingKey,
    validation: Validation,
    tenants: Vec<Tenant>,
}

/// The keys that count: the configured ones, and in development mode without any the fixed one.
pub fn keys_in_force(auth: &config::Auth, dev: bool) -> Vec<JwtKey> {
    if auth.jwt.is_empty() && dev { vec![JwtKey::development()] } else { auth.jwt.clone() }
}

impl Tokens {
    pub(super) fn new(auth: &config::Auth, dev: bool) -> Self {
        Self {
            keys: keys_in_force(auth, dev).iter().map(Key::new).collect(),
            rules: Rules {
                issuer: auth.issuer.clone(),
                audience: auth.audience.clone(),
                leeway_seconds: auth.leeway_seconds,
            },
        }
    }

    /// Verifies one token at the time `now`.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Identity, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::TokenTooLong);
        }
        let header = decode_header(token).map_err(|_| Refusal::TokenMalformed { part: "header" })?;
        if header.crit.is_some() {
            return Err(Refusal::CriticalHeader);
        }
        let key = self.key(header.kid.as_deref())?;
        let claims = decode::<Claims>(token, &key.decoding, &key.validation).map_err(|e| refusal(e.kind()))?.claims;
        self.rules.judge(claims, &key.tenants, now)
    }

    fn key(&self, kid: Option<&str>) -> Result<&Key, Refusal> {
        match (kid, self.keys.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.id == kid).ok_or(Refusal::KeyUnknown),
            (None, [only]) => Ok(only),
            (None, _) => Err(Refusal::KeyAmbiguous),
        }
    }
}

impl Key {
    fn new(key: &JwtKey) -> Self {
        let JwtAlgorithm::Hs256 = key.algorithm;
        let mut validation = Validation::new(Algorithm::HS256);
        // Only the signature: `Rules` judges every claim, at a time that comes in as a value.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            id: key.id.clone(),
            decoding: DecodingKey::from_secret(&key.secret),
            validation,
            tenants: key.tenants.clone(),
        }
    }
}

fn refusal(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => Refusal::Algorithm,
        _ => Refusal::TokenMalformed { part: "payload or signature" },
    }
}
