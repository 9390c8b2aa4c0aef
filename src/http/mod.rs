//! HTTP beside the sockets: the server API, health, metrics, pages.
//!
//! [`Api`] holds what handlers need; [`calls`] is the API itself, `routes` its table, `dispatch` the way in.

mod answer;
pub mod calls;
mod dispatch;
mod embed;
mod error;
mod guard;
mod health;
mod ingest;
mod metrics;
mod object;
mod openapi;
mod pages;
mod position;
mod readiness;
mod request;
mod retry;
mod routes;

pub use error::ApiError;
pub use object::Object;
pub(crate) use pages::DEMO_USERS;
pub use readiness::Readiness;

use crate::{
    auth::ApiKeys,
    broker::Broker,
    cluster::Node,
    config::{Config, Limits, Live},
    endpoints::PresenceDesk,
    records::Records,
    session::rate::Pace,
    telemetry,
};
use axum::{Router, routing::get};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often histograms are folded and gauges are set.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the server API works on; clones share it.
#[derive(Clone, Debug)]
pub struct Api {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) records: Records,
    pub(crate) broker: Broker,
    pub(crate) desk: PresenceDesk,
    pub(crate) node: Node,
    pub(crate) keys: Live<ApiKeys>,
    pub(crate) readiness: Readiness,
    pub(crate) limits: Live<Limits>,
    /// By the hash of the key; only keys of ours get in.
    paces: Mutex<HashMap<[u8; 32], Pace>>,
    started: Instant,
    /// How many there were, and how long they took, when they were last put into the histogram.
    fsyncs: Mutex<(u64, Duration)>,
    ingest: ingest::Desk,
    is_dev: bool,
    /// Free disk that a backup leaves.
    reserve_bytes: u64,
    /// One backup at a time.
    backups: Arc<tokio::sync::Semaphore>,
}

/// What an [`Api`] is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Settings.
    pub config: &'a Config,
    /// Rows and the log.
    pub records: Records,
    /// Groups.
    pub broker: Broker,
    /// Presence on this node.
    pub desk: PresenceDesk,
    /// The Raft node, for figures.
    pub node: Node,
    /// Who may call.
    pub keys: ApiKeys,
    /// Whether to send traffic here.
    pub readiness: Readiness,
    /// Tasks of streams are spawned through it.
    pub tracker: TaskTracker,
}

impl Api {
    /// Puts the parts together.
    pub fn new(parts: Parts<'_>) -> Self {
        let Parts { config, records, broker, desk, node, keys, readiness, tracker } = parts;
        let inner = Inner {
            records,
            broker,
            desk,
            node,
            keys: Live::new(keys),
            readiness,
            limits: Live::new(config.limits.clone()),
            paces: Mutex::default(),
            started: Instant::now(),
            fsyncs: Mutex::default(),
            ingest: ingest::Desk::new(tracker, config.limits.proposals_waiting),
            is_dev: config.server.dev,
            reserve_bytes: config.storage.reserve_bytes,
            backups: Arc::new(tokio::sync::Semaphore::new(1)),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Streams of calls that are open.
    pub fn streams(&self) -> usize {
        self.inner.ingest.streams()
    }

    /// Other keys and limits from now on. A call that is under way is carried to its end.
    pub fn reconfigure(&self, keys: ApiKeys, limits: &Limits) {
        self.inner.paces.lock().retain(|hash, _| keys.by_hash(hash).is_some());
        self.inner.keys.set(keys);
        self.inner.limits.set(limits.clone());
    }
}

/// Everything that is served beside `/ws/`, over the embedding program's own routes.
pub fn router(api: &Api, config: &Config, extra: Router) -> Router {
    let health = if config.server.admin_listen.is_some() { Router::new() } else { health_and_metrics(api) };
    let own = health.merge(pages::router(config)).merge(dispatch::router(api));
    guarded(api, own.fallback_service(extra))
}

/// Health and metrics, on a listener of their own.
pub fn admin_router(api: &Api) -> Router {
    guarded(api, health_and_metrics(api))
}

/// What is served while a node waits for the others: that the process lives, and that it is not ready.
pub fn starting_router() -> Router {
    let routes = Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::starting));
    routes.fallback(|| async { ApiError::NotReady(Readiness::default().as_str()).into_response() })
}

fn health_and_metrics(api: &Api) -> Router {
    let routes = Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz));
    routes.route("/metrics", get(metrics::metrics)).with_state(api.clone())
}

fn guarded(api: &Api, router: Router) -> Router {
    if api.inner.is_dev { router.layer(axum::middleware::from_fn(guard::only_loopback_hosts)) } else { router }
}

/// Keeps the counters in shape until `shutdown`.
pub async fn upkeep(api: Api, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(UPKEEP) => {
                api.set_gauges();
                telemetry::metrics::upkeep();
            }
        }
    }
}
