//! The auth webhook: the app says who a handshake is from, by the cookies and headers that came with it.
//!
//! ```text
//! handshake → a kept answer? → a call under way for the same headers? → a call (breaker, places) → kept
//! open sockets → asked again before their answer runs out → go on, or are closed
//! ```
//!
//! It promises: one call for many alike handshakes, a bound on calls under way, nobody in on an answer that ran out or
//! was flushed, and nothing of a credential in logs, metrics or errors. Headers are kept only while a socket lives on
//! them, to ask again; answers are kept under a hash.

mod book;
mod breaker;
mod call;
mod refusals;
mod watch;

use crate::{
    auth::{Fingerprint, Forwarded, Identity},
    config::{
        self,
        limits::{WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_CALLS_MAX, WEBHOOK_RECHECKS_MAX},
    },
    outbound::{Bounds, Client, TrustError},
    protocol::{Endpoint, SessionId, Tenant, UserId},
};
use book::{Book, Known};
use breaker::Breaker;
use call::{Flight, Outcome};
use parking_lot::Mutex;
use refusals::Refusals;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::task::TaskTracker;

/// A handle; clones share everything.
#[derive(Clone, Debug)]
pub struct Webhook {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    tenants: Vec<Tenant>,
    timeout: Duration,
    grace: Duration,
    book: Mutex<Book>,
    breaker: Mutex<Breaker>,
    refusals: Mutex<Refusals>,
    flights: Mutex<HashMap<Fingerprint, Flight>>,
    /// Places for calls of handshakes, and of open sockets: neither can starve the other.
    calls: Semaphore,
    rechecks: Arc<Semaphore>,
    tracker: TaskTracker,
}

/// Why a handshake was not vouched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotVouched {
    /// The app said no: 403.
    #[error("the app does not know this session: sign in")]
    Refused,
    /// The app could not be asked, or its answer is none: 503.
    #[error("the app cannot say now who this is: try again shortly")]
    Unavailable,
}

/// The app's word for one handshake, to be turned into a [`Stay`] once it has a session.
#[derive(Debug)]
pub struct Vouch {
    forwarded: Forwarded,
    known: Known,
}

/// A session that lives on the app's word. Dropped when it ends.
#[derive(Debug)]
pub struct Stay {
    webhook: Webhook,
    fingerprint: Fingerprint,
    session: SessionId,
}

impl Webhook {
    /// A handle, if there is a webhook. Nothing is called yet.
    ///
    /// # Errors
    /// When the certificate authorities can't be read.
    pub fn new(settings: &config::Webhook, tracker: &TaskTracker) -> Result<Option<Self>, TrustError> {
        let Some(url) = settings.url.clone() else { return Ok(None) };
        if url.is_open_to_eavesdroppers() {
            tracing::warn!(%url, "the auth webhook is sent cookies without TLS: only a network of your own may see them");
        }
        let timeout = Duration::from_millis(settings.timeout_ms);
        let bounds = Bounds { timeout, body_bytes: WEBHOOK_ANSWER_BYTES_MAX };
        let inner = Inner {
            client: Client::new(url, settings.ca.as_deref(), bounds)?,
            tenants: settings.allowed_tenants(),
            timeout,
            grace: Duration::from_secs(settings.grace_seconds),
            book: Mutex::default(),
            breaker: Mutex::default(),
            refusals: Mutex::default(),
            flights: Mutex::default(),
            calls: Semaphore::new(WEBHOOK_CALLS_MAX),
            rechecks: Arc::new(Semaphore::new(WEBHOOK_RECHECKS_MAX)),
            tracker: tracker.clone(),
        };
        Ok(Some(Self { inner: Arc::new(inner) }))
    }

    /// Who it is: from a kept answer, or by asking.
    ///
    /// # Errors
    /// See [`NotVouched`].
    pub async fn identify(&self, forwarded: Forwarded) -> Result<Vouch, NotVouched> {
        let kept = self.inner.book.lock().answer(&forwarded.fingerprint, Instant::now());
        let outcome = match kept {
            Some(known) => Outcome::Yes(known),
            None if self.inner.refusals.lock().has(&forwarded.fingerprint, Instant::now()) => Outcome::No,
            None => self.ask(&forwarded, call::Why::Handshake).await,
        };
        match outcome {
            Outcome::Yes(known) => Ok(Vouch { forwarded, known }),
            Outcome::No | Outcome::Misfit => Err(NotVouched::Refused),
            Outcome::Trouble => Err(NotVouched::Unavailable),
        }
    }

    /// The session lives on the app's word from now on: it is asked again, and closed when the app says no.
    pub fn enter(&self, vouch: Vouch, session: SessionId, endpoint: Endpoint) -> Stay {
        let Vouch { forwarded, known } = vouch;
        let fingerprint = forwarded.fingerprint;
        self.inner.book.lock().enter((forwarded, known), (session, endpoint), Instant::now());
        Stay { webhook: self.clone(), fingerprint, session }
    }

    /// Answers about this user are good no longer: the next handshake asks.
    pub fn flush(&self, tenant: &Tenant, user: &UserId) {
        self.inner.book.lock().flush(&(tenant.clone(), user.clone()));
    }

    /// This answer is good no longer: it was overruled.
    pub fn forget(&self, vouch: &Vouch) {
        self.inner.book.lock().forget(&vouch.forwarded.fingerprint);
    }
}

impl Vouch {
    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.known.identity
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.webhook.inner.book.lock().leave(&self.fingerprint, self.session, Instant::now());
    }
}
