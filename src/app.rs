//! The only place where the parts are wired together: start, serve, drain, stop.
//!
//! ```text
//! Config → Server::start → (bound, recovered, ready) → run_until(signal) → drained, flushed, stopped
//! ```

use crate::{
    auth::{ApiKeys, Door},
    broker::Broker,
    cluster::{Node, StartError, Surroundings},
    config::{self, Config, Live, limits::CLOSE_TIMEOUT},
    endpoints::{Endpoints, PresenceDesk},
    http::{self, Api, Readiness},
    jwks::{Entrance, Jwks},
    outbound::TrustError,
    records::{ended, retention},
    session::House,
    telemetry,
    transport::{self, Caps, Serving, TlsError},
    webhook::Webhook,
};
mod demo;
mod reload;

pub use reload::{ReloadError, Reloader};
mod waiting;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long tasks may take to end once everything is closed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a server does not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Which setting says so.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Whom the webhook's certificate may be from.
    #[error("auth.webhook_ca: {0}")]
    Trust(#[from] TrustError),
    /// Whom the certificates of key sets may be from.
    #[error("jwks_ca_file in auth.jwt: {0}")]
    Jwks(TrustError),
    /// The data directory, or the node on it.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The cluster has no place for this node any more.
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
    /// A part that the server cannot do without has failed; the log says which.
    #[error("the server stopped because a part of it failed; what was acknowledged is on disk")]
    Failed,
}

/// A server that is up: it listens, has recovered, and is ready.
pub struct Server {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    drain: Duration,
    node: Node,
    broker: Broker,
    desk: PresenceDesk,
    api: Api,
    readiness: Readiness,
    reloader: Reloader,
    tracker: TaskTracker,
    /// Ends the listeners.
    closing: CancellationToken,
    /// Ends everything.
    shutdown: CancellationToken,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds the address, recovers the data directory and starts to serve. `extra` are routes of an embedding program;
    /// where both have a path, Carillon's own wins.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing is left running.
    pub async fn start(config: Config, extra: axum::Router) -> Result<Self, ServerError> {
        telemetry::metrics::install();
        let listeners = transport::listeners(&config.server);
        let room = transport::raise_open_files(config.limits.connections_total, listeners);
        let tls = Live::new(config.server.tls.as_ref().map(transport::acceptor).transpose()?);
        let jwks = Jwks::default();
        let key_sets = jwks.prepare(&config.auth).map_err(ServerError::Jwks)?;
        // Bound first: a second server on the same port ends here, before it touches anything.
        let (listener, admin) = bind_all(&config.server).await?;
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let webhook = Webhook::new(&config.auth.webhook, &tracker)?;
        let shards = std::thread::available_parallelism().map_or(1, usize::from);
        let broker = Broker::start(&config.limits, shards, &shutdown, &tracker);
        let surroundings =
            Surroundings { config: &config, broker: broker.clone(), tracker: &tracker, shutdown: &shutdown };
        // Alone it is up in a moment; with company it may wait long for the others.
        let waiting = config.cluster.is_configured().then_some((&tls, &tracker));
        let ((listener, admin), node) = waiting::room((listener, admin), waiting, Node::start(surroundings)).await?;
        let records = node.records().clone();
        if config.server.dev {
            demo::enter_users(&records).await;
        }
        let grace = Duration::from_secs(config.presence.grace_seconds);
        let desk = PresenceDesk::start(records.clone(), grace, (&tracker, &shutdown));
        let retention = start_work(&node, (&desk, &config), (&tracker, &shutdown));
        let endpoints = Arc::new(Endpoints::new(records.clone(), desk.clone()));
        let entrance = Entrance::new(Door::with_keys(&config.auth, config.server.dev, jwks.fetched()), jwks);
        let house = Arc::new(House::new(endpoints.clone(), broker.clone(), (entrance.clone(), &config.limits)));
        if let Some(webhook) = &webhook {
            tracker.spawn(webhook.clone().watch((endpoints, broker.clone()), shutdown.clone()));
        }
        let readiness = Readiness::default();
        let api = Api::new(http::Parts {
            config: &config,
            records,
            broker: broker.clone(),
            desk: desk.clone(),
            node: node.clone(),
            keys: ApiKeys::new(&config.auth.api_keys, config.server.dev),
            readiness: readiness.clone(),
            tracker: tracker.clone(),
        });
        let live = reload::Parts {
            entrance,
            caps: Caps::new(&room.within(&config.limits)),
            room,
            house,
            api: api.clone(),
            tls,
            trusted_proxies: Live::new(config.server.trusted_proxies.clone()),
            retention,
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
        };
        live.entrance.jwks.install(key_sets, (&tracker, &shutdown)).all().await;
        let serving = live.serving(http::router(&api, &config, extra), (webhook, &config));
        let server = Self {
            address: listener.local_addr().unwrap_or(config.server.listen),
            admin_address: admin.as_ref().and_then(|admin| admin.local_addr().ok()),
            drain: Duration::from_secs(config.drain.seconds),
            node,
            broker,
            desk,
            api: api.clone(),
            readiness,
            reloader: Reloader::new(live, config),
            tracker,
            closing: CancellationToken::new(),
            shutdown,
        };
        server.tracker.spawn(transport::serve(listener, serving.clone(), server.closing.clone()));
        if let Some(admin) = admin {
            let serving = Serving { gate: None, router: http::admin_router(&api), tls: Live::default(), ..serving };
            server.tracker.spawn(transport::serve(admin, serving, server.closing.clone()));
        }
        server.tracker.spawn(http::upkeep(api, server.shutdown.clone()));
        server.readiness.set_ready();
        Ok(server)
    }

    /// The address that WebSockets and HTTP are served on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of health and metrics, if they have one of their own.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Puts other settings into force while the server runs.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// The server API without HTTP, for an embedding program.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Serves until `stop` completes, then drains: not ready, no new sockets, closes spread over `drain.seconds`,
    /// everything flushed.
    ///
    /// # Errors
    /// [`ServerError::Failed`] when it had to stop by itself.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        tokio::select! {
            () = stop => self.drain().await,
            () = self.shutdown.cancelled() => {}
        }
        let failed = self.node.has_failed() || self.broker.has_failed();
        self.readiness.set_draining();
        self.closing.cancel();
        if !failed {
            self.desk.save_activity().await;
            self.node.leave().await;
            self.node.stop().await;
        }
        self.shutdown.cancel();
        self.tracker.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "some tasks did not end in time");
        }
        match self.node.failure() {
            Some(why) => Err(ServerError::Refused(why)),
            None if failed => Err(ServerError::Failed),
            None => Ok(()),
        }
    }

    async fn drain(&self) {
        tracing::info!(sessions = self.broker.sessions(), over = ?self.drain, "draining");
        self.readiness.set_draining();
        self.broker.drain(self.drain, self.node.other_places().await);
        let emptied = async {
            while self.broker.sessions() > 0 || self.api.streams() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let limit = self.drain + CLOSE_TIMEOUT;
        tokio::select! {
            () = emptied => {}
            () = self.shutdown.cancelled() => {}
            () = tokio::time::sleep(limit) => {
                tracing::warn!(sessions = self.broker.sessions(), "some sessions did not close in time");
            }
        }
    }
}

/// What a node does for others, and what only the one does that leads: forgetting what is too old, and what ended boots
/// have left behind.
fn start_work(
    node: &Node,
    (desk, config): (&PresenceDesk, &Config),
    (tracker, shutdown): (&TaskTracker, &CancellationToken),
) -> watch::Sender<config::Retention> {
    let counter = desk.clone();
    node.count_connections(move |tenant, user| counter.connections(tenant, user));
    let records = || node.records().clone();
    let leading = || {
        let node = node.clone();
        (move || node.is_leader(), shutdown.clone())
    };
    let (retention, to_keep) = watch::channel(config.retention.clone());
    tracker.spawn(retention::keep(records(), to_keep.clone(), leading()));
    tracker.spawn(retention::keep_journal(records(), to_keep, leading()));
    let grace = Duration::from_secs(config.presence.grace_seconds);
    tracker.spawn(ended::sweep(records(), grace, leading()));
    retention
}

/// The public listener, and that of health and metrics if they have one of their own.
async fn bind_all(server: &config::Server) -> Result<(TcpListener, Option<TcpListener>), ServerError> {
    let listener = bind(server.listen, "server.listen").await?;
    Ok(match server.admin_listen {
        Some(address) => (listener, Some(bind(address, "server.admin_listen").await?)),
        None => (listener, None),
    })
}

async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, setting, source })
}
