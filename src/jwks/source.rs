//! One key set: the task that fetches it, alone, so that all who ask at once share one fetch.

use crate::{
    auth::FetchedKeys,
    config::{
        JwkSet, JwksOrigin, JwksUrl,
        limits::{JWKS_MISS_INTERVAL, JWKS_RETRY},
    },
    outbound::{CallError, Client},
    telemetry::names::JWKS_FETCHES,
};
use hyper::{
    HeaderMap,
    header::{ACCEPT, HeaderValue},
};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Somebody has a token whose key is unknown, and waits.
#[derive(Debug)]
pub(super) struct Asked(pub(super) oneshot::Sender<()>);

/// See the module.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) url: JwksUrl,
    pub(super) client: Client,
    /// Between two fetches that nobody asked for.
    pub(super) every: Duration,
    pub(super) fetched: FetchedKeys,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{0}")]
    Set(String),
}

impl Source {
    /// Fetches now, which `first` is told, then whenever it is time or allowed, until `stop`.
    pub(super) async fn keep(self, asked: mpsc::Receiver<Asked>, first: oneshot::Sender<()>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work(asked, first) => {}
        }
    }

    async fn work(&self, mut asked: mpsc::Receiver<Asked>, first: oneshot::Sender<()>) {
        let mut known = None;
        let mut next = self.fetch(&mut known).await;
        // Nobody may be waiting any more, here and below.
        let _ = first.send(());
        let mut may_ask = Instant::now();
        loop {
            let waiting = tokio::select! {
                () = tokio::time::sleep_until(next) => None,
                waiting = asked.recv() => match waiting {
                    Some(waiting) => Some(waiting),
                    None => return,
                },
            };
            let Some(Asked(done)) = waiting else {
                next = self.fetch(&mut known).await;
                continue;
            };
            if may_ask <= Instant::now() {
                next = self.fetch(&mut known).await;
                may_ask = Instant::now() + JWKS_MISS_INTERVAL;
            }
            let _ = done.send(());
        }
    }

    /// Fetches once; says when to fetch again.
    async fn fetch(&self, known: &mut Option<JwkSet>) -> Instant {
        let fetched = self.ask().await;
        let result = match &fetched {
            Ok(_) => "ok",
            Err(FetchError::Call(error)) => error.label(),
            Err(FetchError::Set(_)) => "no_keys",
        };
        metrics::counter!(JWKS_FETCHES, "result" => result).increment(1);
        match fetched {
            Ok(set) if known.as_ref() == Some(&set) => {}
            Ok(set) => {
                let kids: Vec<_> = set.keys.iter().map(|key| key.id.as_deref().unwrap_or("")).collect();
                tracing::info!(url = %self.url.target, ?kids, "key set fetched");
                for why in &set.skipped {
                    tracing::warn!(url = %self.url.target, "a key of the set is not used: {why}");
                }
                self.fetched.put(&self.url, &set);
                *known = Some(set);
            }
            Err(error) => {
                let kept = self.fetched.has(&self.url);
                tracing::warn!(url = %self.url.target, %error, keys_kept = kept, "a key set cannot be fetched");
                return Instant::now() + self.every.min(JWKS_RETRY);
            }
        }
        Instant::now() + self.every
    }

    async fn ask(&self) -> Result<JwkSet, FetchError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/jwk-set+json, application/json"));
        let answer = self.client.get(&headers).await?.ok()?;
        JwkSet::parse(&answer.body, &self.url.algorithms, JwksOrigin::Public).map_err(FetchError::Set)
    }
}
