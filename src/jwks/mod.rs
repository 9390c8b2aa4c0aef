//! Key sets that others keep (`jwks_url`): fetched at the start, again before they are old, and when a token names a key
//! that nobody knows.
//!
//! It promises: what was fetched once stays in use however long the other side is away; unknown keys cause one fetch per
//! set and interval, however many ask; nothing of a set is believed that [`JwkSet`](crate::config::JwkSet) does not accept.

mod source;

use crate::{
    auth::{Door, FetchedKeys, Refusal},
    config::{
        self, JwksUrl, KeySource, Live,
        limits::{JWKS_BYTES_MAX, JWKS_TIMEOUT},
    },
    outbound::{Bounds, Client, TrustError},
};
use source::{Asked, Source};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// Tokens with unknown keys that wait for one fetch; those beyond do without.
const ASKERS_MAX: usize = 256;

/// See the module. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Jwks {
    fetched: FetchedKeys,
    running: Live<Vec<Running>>,
}

/// A source whose task is at work until this is dropped.
#[derive(Debug)]
struct Running {
    url: JwksUrl,
    ask: mpsc::Sender<Asked>,
    _stop: DropGuard,
}

/// Sources that could be made ready from settings, and do nothing yet.
#[derive(Debug)]
pub struct Prepared(Vec<Source>);

/// One fetch of every source, under way.
#[derive(Debug)]
#[must_use]
pub struct FirstFetches(Vec<oneshot::Receiver<()>>);

impl FirstFetches {
    /// Returns when each has come to something, within [`JWKS_TIMEOUT`].
    pub async fn all(self) {
        for fetched in self.0 {
            // A server that stops asks nobody.
            let _ = fetched.await;
        }
    }
}

impl Jwks {
    /// Where the fetched keys are, for the door.
    pub fn fetched(&self) -> FetchedKeys {
        self.fetched.clone()
    }

    /// Makes the sources of `auth` ready: reads certificate authorities, asks nobody.
    ///
    /// # Errors
    /// A file of certificate authorities cannot be used; names it.
    pub fn prepare(&self, auth: &config::Auth) -> Result<Prepared, TrustError> {
        let every = Duration::from_secs(auth.jwks_refresh_seconds);
        let bounds = Bounds { timeout: JWKS_TIMEOUT, body_bytes: JWKS_BYTES_MAX };
        let mut sources: Vec<Source> = Vec::new();
        for entry in &auth.jwt {
            let KeySource::Url(url) = &entry.source else { continue };
            if sources.iter().all(|source| source.url != *url) {
                let client = Client::new(url.target.clone(), url.ca_file.as_deref(), bounds)?;
                sources.push(Source { url: url.clone(), client, every, fetched: self.fetched.clone() });
            }
        }
        Ok(Prepared(sources))
    }

    /// Replaces the sources. Keys of a source that stays are used until it answers, and if it does not.
    pub fn install(&self, prepared: Prepared, (tracker, shutdown): (&TaskTracker, &CancellationToken)) -> FirstFetches {
        let (mut running, mut first) = (Vec::new(), Vec::new());
        for source in prepared.0 {
            let (ask, asked) = mpsc::channel(ASKERS_MAX);
            let (done, was_asked) = oneshot::channel();
            let stop = shutdown.child_token();
            running.push(Running { url: source.url.clone(), ask, _stop: stop.clone().drop_guard() });
            first.push(was_asked);
            tracker.spawn(source.keep(asked, done, stop));
        }
        let urls: Vec<_> = running.iter().map(|running| running.url.clone()).collect();
        self.running.set(running);
        self.fetched.retain(&urls);
        FirstFetches(first)
    }

    /// Returns when every set is as fresh as the intervals between two fetches allow.
    async fn refresh(&self) {
        let running = self.running.get();
        let mut waiting = Vec::with_capacity(running.len());
        for source in running.iter() {
            let (done, fetched) = oneshot::channel();
            if source.ask.try_send(Asked(done)).is_ok() {
                waiting.push(fetched);
            }
        }
        drop(running);
        for fetched in waiting {
            let _ = fetched.await;
        }
    }

    fn is_lacking(&self) -> bool {
        self.running.get().iter().any(|running| !self.fetched.has(&running.url))
    }
}

/// The door of now, and the keys that it may not have yet. Clones are one entrance.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Replaced as a whole by a reload.
    pub door: Live<Door>,
    /// What the door's key sets come from.
    pub jwks: Jwks,
}

impl Entrance {
    /// A door whose fetched keys are those of `jwks`.
    pub fn new(door: Door, jwks: Jwks) -> Self {
        Self { door: Live::new(door), jwks }
    }

    /// Asks the door, and once more with fresh keys if a token's key was unknown.
    ///
    /// # Errors
    /// What the door answers; [`Refusal::KeysMissing`] for an unknown key while a set has never been fetched.
    pub async fn ask<T>(&self, question: impl Fn(&Door) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let answer = question(&self.door.get());
        if !matches!(answer, Err(Refusal::KeyUnknown)) || self.jwks.running.get().is_empty() {
            return answer;
        }
        self.jwks.refresh().await;
        match question(&self.door.get()) {
            Err(Refusal::KeyUnknown) if self.jwks.is_lacking() => Err(Refusal::KeysMissing),
            answer => answer,
        }
    }
}
