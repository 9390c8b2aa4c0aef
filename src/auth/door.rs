//! The door: everything that is decided about a handshake before it is answered with 101 or 403.

use super::{
    FetchedKeys, Identity, Refusal,
    credential::{Credential, Places},
    forward::{Forwarded, Forwards},
    origin::{Origins, is_loopback_host},
    subprotocol::Offer,
    ticket::{self, TicketHash},
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
    forwards: Forwards,
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
    /// The edition that was asked for, and is answered as `Sec-WebSocket-Protocol`; `None`: no such header.
    pub selected: Option<Edition>,
}

/// What a handshake from a page that may open sockets has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A token that is good.
    Token(Admission),
    /// Something that looks like a ticket: the log knows.
    Ticket {
        /// What is kept of tickets.
        hash: TicketHash,
        /// The `Origin` header, lower-case.
        origin: Option<String>,
        /// The edition that was asked for, if one was.
        selected: Option<Edition>,
    },
    /// No token, but headers that the webhook is sent: the app knows.
    Forwarded(Forwarded, Option<Edition>),
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
            forwards: Forwards::new(&auth.webhook),
            cookie: auth.cookie.clone(),
            query_token: auth.query_token || dev,
            loopback_only: dev,
        }
    }

    /// Origin check, find the credential, verify it if it is a token, staff check, choose the subprotocol.
    ///
    /// A present `Origin` must be allowed, whatever the credential. An absent one is accepted only with
    /// `Authorization: Bearer` or a ticket: only programs leave it out, and a program can send either, which no browser
    /// adds by itself; a cookie, a subprotocol or `?token=` without it is refused. A ticket outranks everything: it is
    /// never there by accident.
    ///
    /// # Errors
    /// The first thing that is wrong; always answered with 403.
    pub fn look(&self, head: &Parts, endpoint: Endpoint, now: Timestamp) -> Result<Shown, Refusal> {
        if self.loopback_only && !head.headers.get_all(HOST).iter().all(is_loopback) {
            return Err(Refusal::HostForeign);
        }
        let has_origin = self.origins.check(&head.headers)?;
        let offer = Offer::read(&head.headers)?;
        let selected = offer.selected;
        if let Some(hash) = ticket::in_query(head.uri.query())? {
            return Ok(Shown::Ticket { hash, origin: Origins::shown(&head.headers), selected });
        }
        let found = Places { cookie: &self.cookie, query: self.query_token }.find(head, &offer);
        let is_opaque = |found: &Credential<'_>| found.bearer && self.forwards.opaque_bearer(found.token);
        let was_bearer = found.as_ref().is_ok_and(|found| found.bearer);
        let token = match found {
            Err(Refusal::CredentialMissing) => None,
            found => Some(found?).filter(|found| !is_opaque(found)),
        };
        let Some(Credential { token, bearer }) = token else {
            let forwarded = self.forwards.pick(&head.headers)?.ok_or(Refusal::CredentialMissing)?;
            if !has_origin && !was_bearer {
                return Err(Refusal::OriginMissing);
            }
            return Ok(Shown::Forwarded(forwarded, selected));
        };
        if !has_origin && !bearer {
            return Err(Refusal::OriginMissing);
        }
        let identity = self.verify_token(token, now)?;
        if endpoint.staff_only() && !identity.is_staff {
            return Err(Refusal::NotStaff);
        }
        Ok(Shown::Token(Admission { identity, selected }))
    }

    /// As [`Self::look`], where nothing but a token is known: tickets and the webhook take more than a look.
    ///
    /// # Errors
    /// See [`Self::look`].
    pub fn admit(&self, head: &Parts, endpoint: Endpoint, now: Timestamp) -> Result<Admission, Refusal> {
        match self.look(head, endpoint, now)? {
            Shown::Token(admission) => Ok(admission),
            Shown::Ticket { .. } | Shown::Forwarded(..) => Err(Refusal::CredentialMissing),
        }
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
