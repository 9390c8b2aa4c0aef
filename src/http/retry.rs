//! `Idempotency-Key`: what makes a retry the same call. Its scope is the tenant (in the state machine), the route
//! with the ids of its path, and the key.

use super::{ApiError, openapi::Kind};
use crate::{config::limits::IDEMPOTENCY_KEY_BYTES_MAX, records::Idempotency};
use aws_lc_rs::digest;
use axum::http::HeaderMap;

const HEADER: &str = "idempotency-key";
/// In place of a route, for calls by the name of a function.
const FUNCTION: &str = "ingest";

/// The identity of a call that may be repeated.
#[derive(Clone)]
pub(super) struct Retry {
    scope: digest::Context,
    body: [u8; 32],
}

impl std::fmt::Debug for Retry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Retry").finish_non_exhaustive()
    }
}

impl Retry {
    /// Reads the header; `None` when there is none.
    pub(super) fn read(
        headers: &HeaderMap,
        (route, ids): (&str, &[String]),
        body: &[u8],
    ) -> Result<Option<Self>, ApiError> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.as_bytes();
        if !is_good(key) || values.next().is_some() {
            let message = format!(
                "the header Idempotency-Key must stand once, with 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
            );
            return Err(ApiError::invalid("Idempotency-Key", message));
        }
        Ok(Some(Self::of(key, (route, ids), body)))
    }

    /// The call of this route, these ids and this body, under a key that has been checked.
    fn of(key: &[u8], (route, ids): (&str, &[String]), body: &[u8]) -> Self {
        let mut scope = digest::Context::new(&digest::SHA256);
        // Lengths go in front, so that no two lists of parts read the same.
        let parts = [route.as_bytes()].into_iter().chain(ids.iter().map(String::as_bytes)).chain([key]);
        for part in parts {
            scope.update(&(part.len() as u64).to_be_bytes());
            scope.update(part);
        }
        Self { scope, body: hash(&digest::digest(&digest::SHA256, body)) }
    }

    /// A call by the name of its function, as streams carry it.
    pub(super) fn of_function(key: &str, name: &str, args: &str) -> Self {
        Self::of(key.as_bytes(), (FUNCTION, &[name.to_owned()]), args.as_bytes())
    }

    /// Of the call itself.
    pub(super) fn whole(&self) -> Idempotency {
        Idempotency { key: hash(&self.scope.clone().finish()), body: self.body }
    }

    /// Of the part at this place in a batch.
    pub(super) fn part(&self, place: usize) -> Idempotency {
        let mut scope = self.scope.clone();
        scope.update(&(place as u64).to_be_bytes());
        Idempotency { key: hash(&scope.finish()), body: self.body }
    }
}

/// 1 to 255 visible ASCII characters.
fn is_good(key: &[u8]) -> bool {
    (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

/// An idempotency key, wherever one is given.
pub(super) const KEY: Kind = Kind::Pattern { pattern: "^[!-~]{1,255}$", matches: |key| is_good(key.as_bytes()) };

fn hash(digest: &digest::Digest) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, route: &str, ids: &[&str], body: &str) -> Result<Option<Idempotency>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, key.parse().expect("a header"));
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Ok(Retry::read(&headers, (route, &ids), body.as_bytes())?.map(|retry| retry.whole()))
    }

    #[test]
    fn only_the_same_call_is_a_retry() {
        let first = of("k", "POST /a", &["1"], "{}").expect("good").expect("there");
        assert_eq!(of("k", "POST /a", &["1"], "{}"), Ok(Some(first.clone())));
        for (key, route, ids) in
            [("l", "POST /a", &["1"][..]), ("k", "POST /b", &["1"]), ("k", "POST /a", &["2"]), ("1k", "POST /a", &[])]
        {
            assert_ne!(of(key, route, ids, "{}").expect("good").expect("there").key, first.key, "{key} {route}");
        }
        let other_body = of("k", "POST /a", &["1"], "{ }").expect("good").expect("there");
        assert!(other_body.key == first.key && other_body.body != first.body);
    }

    #[test]
    fn parts_of_a_batch_differ_from_each_other_and_from_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, "k".parse().expect("a header"));
        let retry = Retry::read(&headers, ("POST /batch", &[]), b"").expect("good").expect("there");
        assert_ne!(retry.part(0), retry.part(1));
        assert_ne!(retry.part(0), retry.whole());
    }

    #[test]
    fn keys_are_short_and_visible() {
        for bad in ["", "a b", &"x".repeat(256)] {
            assert_eq!(of(bad, "r", &[], "").map_err(|error| error.code()), Err("invalid"), "{bad:?}");
        }
        assert!(of(&"x".repeat(255), "r", &[], "").is_ok());
    }
}
