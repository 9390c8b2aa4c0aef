//! HTTP beside the sockets: the server API, health, metrics, pages.
//!
//! [`Api`] holds what handlers need; `calls` is the API itself.

mod health;
mod pages;
mod readiness;

pub use readiness::Readiness;

use crate::{
    auth::ApiKeys,
    broker::Broker,
    cluster::Node,
    config::{Config, Limits},
    endpoints::PresenceDesk,
    records::Records,
    telemetry,
};
use axum::{Router, routing::get};
use std::{sync::Arc, time::Duration};
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
        Self { inner: Arc::new(Inner { records, broker, desk, node, keys, readiness, limits }) }
    }
}

/// Everything that is served beside `/ws/`, over the embedding program's own routes.
pub fn router(api: &Api, config: &Config, extra: Router) -> Router {
    let router = if config.server.admin_listen.is_some() { Router::new() } else { admin_router(api) };
    router.merge(pages::router(config)).fallback_service(extra)
}

/// Health and metrics.
pub fn admin_router(api: &Api) -> Router {
    Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz)).with_state(api.clone())
}

/// Keeps the counters in shape until `shutdown`.
pub async fn upkeep(_api: Api, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(UPKEEP) => telemetry::metrics::upkeep(),
        }
    }
}
