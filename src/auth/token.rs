//! JSON Web Tokens: which key, is the signature that key's, and then what the claims say.
//!
//! The signature is `jsonwebtoken`'s business, with the one algorithm of the key, whatever the token says. The header
//! is read by [`super::header`] and the claims are judged by [`super::claims`], because the crate reads the clock
//! itself and passes over what is of a wrong type.

use super::{
    FetchedKeys, Identity, Refusal,
    claims::Claims,
    header::Header,
    keyring::{Entry, Key, Keyring, library},
};
use crate::{
    config::{self, JwtAlgorithm, limits::TOKEN_BYTES_MAX},
    protocol::Timestamp,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::Arc;

/// Verifies tokens with the keys of now.
#[derive(Debug)]
pub(super) struct Tokens {
    keyring: Keyring,
}

impl Tokens {
    pub(super) fn new(auth: &config::Auth, dev: bool, fetched: FetchedKeys) -> Self {
        Self { keyring: Keyring::new(auth, dev, fetched) }
    }

    /// Verifies one token at the time `now`.
    pub(super) fn verify(&self, token: &str, now: Timestamp) -> Result<Identity, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::TokenTooLong);
        }
        let parts = Parts::of(token)?;
        let header = Header::read(parts.header)?;
        let keys = self.keyring.snapshot();
        let entry = signer(&keys, &header, &parts)?;
        header.check_type(entry.token_type.as_deref())?;
        let payload = URL_SAFE_NO_PAD.decode(parts.payload).map_err(|_| BODY_MALFORMED)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| BODY_MALFORMED)?;
        entry.rules.judge(claims, &entry.tenants, now)
    }
}

const BODY_MALFORMED: Refusal = Refusal::TokenMalformed { part: "payload or signature" };

/// The three parts of a token, and what is signed of it.
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    message: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, Refusal> {
        let malformed = Refusal::TokenMalformed { part: "header" };
        let (message, signature) = token.rsplit_once('.').ok_or(malformed.clone())?;
        match message.split_once('.') {
            Some((header, payload)) if !payload.contains('.') => {
                Ok(Self { header, payload, signature, message: message.as_bytes() })
            }
            _ => Err(malformed),
        }
    }
}

/// The entry whose key made the signature. Two issuers may have the same `kid`, so more than one key can be meant; each
/// is tried with its own algorithm, and the one that made the signature says which rules are for the token.
fn signer<'a>(keys: &[(&'a Entry, Arc<[Key]>)], header: &Header, parts: &Parts<'_>) -> Result<&'a Entry, Refusal> {
    let all = || keys.iter().flat_map(|(entry, keys)| keys.iter().map(move |key| (*entry, key)));
    let meant: Vec<_> = match &header.kid {
        Some(kid) => all().filter(|(_, key)| key.id.as_deref() == Some(kid)).collect(),
        None => all().collect(),
    };
    match (&header.kid, meant.len()) {
        (Some(_), 0) => return Err(Refusal::KeyUnknown),
        (None, 1) | (Some(_), _) => {}
        (None, _) => return Err(Refusal::KeyAmbiguous),
    }
    let algorithm = JwtAlgorithm::parse(&header.alg);
    let mut why = Refusal::Algorithm;
    for (entry, key) in meant {
        if algorithm != Some(key.algorithm) {
            continue;
        }
        match jsonwebtoken::crypto::verify(parts.signature, parts.message, &key.decoding, library(key.algorithm)) {
            Ok(true) => return Ok(entry),
            Ok(false) => why = Refusal::Signature,
            Err(_) => why = BODY_MALFORMED,
        }
    }
    Err(why)
}
