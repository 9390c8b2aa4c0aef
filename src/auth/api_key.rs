//! Keys of the server API: made once, kept as a hash, compared in constant time.
//!
//! A key is 32 random bytes, so a plain SHA-256 is enough at rest: there is nothing to guess.

use crate::{
    config::{ApiKey, Scope},
    protocol::Tenant,
};
use aws_lc_rs::{constant_time, digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::Arc;

/// The key that works in development mode, and only there.
pub const DEV_API_KEY: &str = "dev";

/// All keys of a server.
#[derive(Debug)]
pub struct ApiKeys(Vec<Arc<ApiKey>>);

impl ApiKeys {
    /// The configured keys; `dev` adds the key [`DEV_API_KEY`] with every scope.
    pub fn new(keys: &[ApiKey], dev: bool) -> Self {
        let mut keys = keys.to_vec();
        if dev {
            keys.push(ApiKey {
                id: "dev".into(),
                hash: hash_api_key(DEV_API_KEY),
                scopes: Scope::ALL.to_vec(),
                tenant: Tenant::default(),
            });
        }
        Self(keys.into_iter().map(Arc::new).collect())
    }

    /// The key of this hash, if it is still one: whoever has shown a key before is asked again by it.
    pub fn by_hash(&self, hash: &[u8; 32]) -> Option<Arc<ApiKey>> {
        self.0.iter().find(|key| constant_time::verify_slices_are_equal(&key.hash, hash).is_ok()).cloned()
    }

    /// The key that `bearer` is, if it is one. Takes as long for a near miss as for a hit: every hash is compared
    /// to its end, and nothing stops at the first that fits.
    pub fn verify(&self, bearer: &str) -> Option<Arc<ApiKey>> {
        let presented = hash_api_key(bearer);
        let mut found = None;
        for key in &self.0 {
            if constant_time::verify_slices_are_equal(&key.hash, &presented).is_ok() {
                found = Some(key.clone());
            }
        }
        found
    }
}

/// What is kept of a key: its SHA-256.
pub fn hash_api_key(key: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    hash
}

/// A key that nobody has seen yet. No `Debug`: it is printed once, on purpose.
pub struct NewApiKey(String);

impl NewApiKey {
    /// `ck_` and 32 random bytes in URL-safe base64; `None` when the system has no randomness to give.
    pub fn generate() -> Option<Self> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).ok()?;
        Some(Self(format!("ck_{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The key itself.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Its hash in hexadecimal, as the configuration wants it.
    pub fn hash_hex(&self) -> String {
        hash_api_key(&self.0).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, secret: &str) -> ApiKey {
        ApiKey { id: id.into(), hash: hash_api_key(secret), scopes: vec![Scope::Read], tenant: Tenant::default() }
    }

    #[test]
    fn a_key_is_recognised_by_its_whole_text_only() {
        let keys = ApiKeys::new(&[key("a", "ck_one"), key("b", "ck_two")], false);
        assert_eq!(keys.verify("ck_one").map(|k| k.id.clone()), Some("a".into()));
        assert_eq!(keys.verify("ck_two").map(|k| k.id.clone()), Some("b".into()));
        for wrong in ["", "ck_on", "ck_one ", "CK_ONE", "dev", "a"] {
            assert_eq!(keys.verify(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_hash_at_rest_is_no_key() {
        let new = NewApiKey::generate().expect("randomness");
        let keys = ApiKeys::new(&[key("a", new.secret())], false);
        assert!(keys.verify(new.secret()).is_some());
        assert_eq!(keys.verify(&new.hash_hex()), None);
    }

    #[test]
    fn the_development_key_works_in_development_only() {
        assert!(ApiKeys::new(&[], true).verify(DEV_API_KEY).is_some_and(|k| k.scopes == Scope::ALL));
        assert_eq!(ApiKeys::new(&[], false).verify(DEV_API_KEY), None);
    }

    #[test]
    fn new_keys_have_their_length_and_differ() {
        let (a, b) = (NewApiKey::generate().expect("randomness"), NewApiKey::generate().expect("randomness"));
        assert_eq!((a.secret().len(), a.hash_hex().len()), (3 + 43, 64));
        assert_ne!(a.secret(), b.secret());
    }
}
