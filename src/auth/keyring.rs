//! Keys ready for verifying: those of the settings, and those that were fetched since.

use super::claims::Rules;
use crate::{
    config::{self, JwkSet, JwksUrl, JwtAlgorithm, JwtKey, KeyMaterial, KeySource, Live, VerificationKey},
    protocol::Tenant,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use std::{collections::HashMap, sync::Arc};

/// A key that verifies with one algorithm.
#[derive(Debug)]
pub(super) struct Key {
    /// Its `kid`.
    pub(super) id: Option<String>,
    pub(super) algorithm: JwtAlgorithm,
    pub(super) decoding: DecodingKey,
}

/// Keys that were fetched, by where they came from. Clones share them: who fetches puts them in, the door reads.
#[derive(Clone, Debug, Default)]
pub struct FetchedKeys(Live<HashMap<JwksUrl, Arc<[Key]>>>);

impl FetchedKeys {
    /// Replaces the keys of one source.
    pub fn put(&self, source: &JwksUrl, set: &JwkSet) {
        let keys: Arc<[Key]> = keys_of(set).into();
        self.0.update(|all| {
            let mut all = all.clone();
            all.insert(source.clone(), keys);
            all
        });
    }

    /// Whether there ever was an answer of this source.
    pub fn has(&self, source: &JwksUrl) -> bool {
        self.0.get().contains_key(source)
    }

    /// Forgets the sources that are not in use any more.
    pub fn retain(&self, sources: &[JwksUrl]) {
        self.0.update(|all| {
            let mut all = all.clone();
            all.retain(|source, _| sources.contains(source));
            all
        });
    }
}

/// The entries of `auth.jwt`.
#[derive(Debug)]
pub(super) struct Keyring {
    entries: Vec<Entry>,
    fetched: FetchedKeys,
}

/// What one entry's keys may sign.
#[derive(Debug)]
pub(super) struct Entry {
    keys: Keys,
    pub(super) rules: Rules,
    pub(super) token_type: Option<String>,
    pub(super) tenants: Vec<Tenant>,
}

#[derive(Debug)]
enum Keys {
    Own(Arc<[Key]>),
    Fetched(JwksUrl),
}

/// The keys that count: the configured ones, and in development mode without any the fixed one; each with what its
/// tokens must say, its own rules or those for all.
pub fn keys_in_force(auth: &config::Auth, dev: bool) -> Vec<JwtKey> {
    let mut keys = if auth.jwt.is_empty() && dev { vec![JwtKey::development()] } else { auth.jwt.clone() };
    for key in &mut keys {
        key.issuer = key.issuer.take().or_else(|| auth.issuer.clone());
        key.audience = key.audience.take().or_else(|| auth.audience.clone());
        key.token_type = key.token_type.take().or_else(|| auth.token_type.clone());
    }
    keys
}

impl Keyring {
    pub(super) fn new(auth: &config::Auth, dev: bool, fetched: FetchedKeys) -> Self {
        let entry = |entry: JwtKey| Entry {
            keys: match entry.source {
                KeySource::Key(key) => Keys::Own([Key::new(Some(entry.id), &key)].into()),
                KeySource::File(set) => Keys::Own(keys_of(&set).into()),
                KeySource::Url(url) => Keys::Fetched(url),
            },
            rules: Rules { issuer: entry.issuer, audience: entry.audience, leeway_seconds: auth.leeway_seconds },
            token_type: entry.token_type,
            tenants: entry.tenants,
        };
        Self { entries: keys_in_force(auth, dev).into_iter().map(entry).collect(), fetched }
    }

    /// Every key of now, each with its entry.
    pub(super) fn snapshot(&self) -> Vec<(&Entry, Arc<[Key]>)> {
        let fetched = self.fetched.0.get();
        let keys_of = |entry: &Entry| match &entry.keys {
            Keys::Own(keys) => keys.clone(),
            Keys::Fetched(url) => fetched.get(url).cloned().unwrap_or_default(),
        };
        self.entries.iter().map(|entry| (entry, keys_of(entry))).collect()
    }
}

fn keys_of(set: &JwkSet) -> Vec<Key> {
    set.keys.iter().map(|jwk| Key::new(jwk.id.clone(), &jwk.key)).collect()
}

impl Key {
    fn new(id: Option<String>, key: &VerificationKey) -> Self {
        let decoding = match (key.material(), key.algorithm()) {
            (KeyMaterial::Secret(secret), _) => DecodingKey::from_secret(secret),
            (KeyMaterial::Rsa { n, e }, _) => DecodingKey::from_rsa_raw_components(n, e),
            (KeyMaterial::Point(point), JwtAlgorithm::EdDsa) => DecodingKey::from_ed_der(point),
            (KeyMaterial::Point(point), _) => DecodingKey::from_ec_der(point),
        };
        Self { id, algorithm: key.algorithm(), decoding }
    }
}

/// The library's name of it.
pub(super) fn library(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Hs256 => Algorithm::HS256,
        JwtAlgorithm::Hs384 => Algorithm::HS384,
        JwtAlgorithm::Hs512 => Algorithm::HS512,
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Rs384 => Algorithm::RS384,
        JwtAlgorithm::Rs512 => Algorithm::RS512,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}
