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
mod metrics;
mod object;
mod pages;
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
    config::{Config, Limits},
    endpoints::PresenceDesk,
    records::Records,
    session::rate::{Pace, Rate},
    telemetry,
};
use axum::{Router, routing::get};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

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
    pub(crate) keys: ApiKeys,
    pub(crate) readiness: Readiness,
    pub(crate) limits: Limits,
    /// Of each key.
    rate: Rate,
    /// By the hash of the key; only keys of ours get in.
    paces: Mutex<HashMap<[u8; 32], Pace>>,
    started: Instant,
    /// How many there were, and how long they took, when they were last put into the histogram.
    fsyncs: Mutex<(u64, Duration)>,
    is_dev: bool,
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
}

impl Api {
    /// Puts the parts together.
    pub fn new(parts: Parts<'_>) -> Self {
        let Parts { config, records, broker, desk, node, keys, readiness } = parts;
        let limits = config.limits.clone();
        let per_second = limits.api_calls_per_second;
        let inner = Inner {
            records,
            broker,
            desk,
            node,
            keys,
            readiness,
            limits,
            rate: Rate::new(per_second, per_second),
            paces: Mutex::default(),
            started: Instant::now(),
            fsyncs: Mutex::default(),
            is_dev: config.server.dev,
        };
        Self { inner: Arc::new(inner) }
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
