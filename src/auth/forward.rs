//! What of a handshake goes to the app's webhook: the headers of the allow-list, and a name for them that is no secret.

use super::Refusal;
use crate::config::limits::FORWARDED_BYTES_MAX;
use aws_lc_rs::digest;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderName},
};
use std::fmt;

/// Names one set of forwarded credentials: SHA-256 over every name and every value.
pub type Fingerprint = [u8; 32];

/// Headers on their way to the webhook. They are credentials, so `Debug` shows none.
#[derive(Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// As they came, in the order of the allow-list.
    pub headers: HeaderMap,
    /// Alike only for handshakes whose forwarded headers are alike.
    pub fingerprint: Fingerprint,
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarded").finish_non_exhaustive()
    }
}

/// The allow-list.
#[derive(Debug)]
pub(super) struct Forwards(Vec<HeaderName>);

impl Forwards {
    /// No header is forwarded when there is no webhook. Names that are none were reported by the loader.
    pub(super) fn new(webhook: &crate::config::Webhook) -> Self {
        let names = if webhook.url.is_some() { webhook.forwarded() } else { Vec::new() };
        Self(names.into_iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Whether a bearer token that is no JWT is the webhook's to judge.
    pub(super) fn opaque_bearer(&self, token: &str) -> bool {
        self.0.contains(&AUTHORIZATION) && token.bytes().filter(|byte| *byte == b'.').count() != 2
    }

    /// What is to be forwarded; `None` if the handshake has none of it.
    pub(super) fn pick(&self, headers: &HeaderMap) -> Result<Option<Forwarded>, Refusal> {
        let mut picked = HeaderMap::new();
        let mut context = digest::Context::new(&digest::SHA256);
        let mut bytes = 0;
        for name in &self.0 {
            for value in headers.get_all(name) {
                bytes += name.as_str().len() + value.len();
                if bytes > FORWARDED_BYTES_MAX {
                    return Err(Refusal::ForwardedTooLong);
                }
                // Lengths go in front, so that no two lists of headers read the same.
                for part in [name.as_str().as_bytes(), value.as_bytes()] {
                    context.update(&(part.len() as u64).to_be_bytes());
                    context.update(part);
                }
                picked.append(name, value.clone());
            }
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        Ok((!picked.is_empty()).then_some(Forwarded { headers: picked, fingerprint }))
    }
}
