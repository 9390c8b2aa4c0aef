//! The door: everything that is decided about a handshake before it is answered with 101 or 403.

use super::{
    FetchedKeys, Identity, Refusal,
    credential::{Credential, Places},
    origin::{Origins, is_loopback_host},
    subprotocol::Offer,
    token::Tokens,
};
use crate::{
    config,
    protocol::{Edition, Endpoint, Timestamp},
};
use hyper::{
    header::{HOST, HeaderValue},
    http::request::Parts,
};

/// Decides who comes in. Made once at the start; immutable, shared by all handshakes.
#[derive(Debug)]
pub struct Door {
    origins: Origins,
    tokens: Tokens,
    cookie: String,
    query_token: bool,
    /// Development mode: only requests for this machine's own names.
    loopback_only: bool,
}

/// What a handshake that was let in has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Who it is.
    pub identity: Identity,
    /// What to answer as `Sec-WebSocket-Protocol`; `None`: no such header.
    pub subprotocol: Option<&'static str>,
    /// What the socket will speak.
    pub edition: Edition,
}

impl Door {
    /// Prepares keys and origins. `dev` adds the fixed development key if none is configured, pages of this
    /// machine, and tokens in the query.
    pub fn new(auth: &config::Auth, dev: bool) -> Self {
        Self::with_keys(auth, dev, FetchedKeys::default())
    }

    /// As [`Self::new`]; the keys of key sets are found in `fetched`, now and later.
    pub fn with_keys(auth: &config::Auth, dev: bool, fetched: FetchedKeys) -> Self {
        Self {
            origins: Origins::new(&auth.allowed_origins, dev),
            tokens: Tokens::new(auth, dev, fetched),
            cookie: auth.cookie.clone(),
            query_token: auth.query_token || dev,
            loopback_only: dev,
        }
    }

    /// Origin check, find the credential, verify it, staff check, choose the subprotocol.
    ///
    /// A present `Origin` must be allowed, whatever the credential. An absent one is accepted only with
    /// `Authorization: Bearer`: only programs leave it out, and a program can set that header; a cookie, a
    /// subprotocol or a query without it is refused.
    ///
    /// # Errors
    /// The first thing that is wrong; always answered with 403.
    pub fn admit(&self, head: &Parts, endpoint: Endpoint, now: Timestamp) -> Result<Admission, Refusal> {
        if self.loopback_only && !head.headers.get_all(HOST).iter().all(is_loopback) {
            return Err(Refusal::HostForeign);
        }
        let has_origin = self.origins.check(&head.headers)?;
        let offer = Offer::read(&head.headers)?;
        let Credential { token, bearer } =
            Places { cookie: &self.cookie, query: self.query_token }.find(head, &offer)?;
        if !has_origin && !bearer {
            return Err(Refusal::OriginMissing);
        }
        let identity = self.verify_token(token, now)?;
        if endpoint.staff_only() && !identity.is_staff {
            return Err(Refusal::NotStaff);
        }
        let subprotocol = offer.selected.map(Edition::subprotocol);
        Ok(Admission { identity, subprotocol, edition: offer.selected.unwrap_or_default() })
    }

    /// Who a token is for, whatever it came with: a handshake, or a session that renews its credential. Whether it is
    /// the session's own user is for the caller to compare.
    ///
    /// # Errors
    /// The first thing that is wrong. [`Refusal::KeyUnknown`] may be cured by fetching key sets.
    pub fn verify_token(&self, token: &str, now: Timestamp) -> Result<Identity, Refusal> {
        self.tokens.verify(token, now)
    }
}

fn is_loopback(host: &HeaderValue) -> bool {
    host.to_str().is_ok_and(is_loopback_host)
}
