//! The only place where the parts are wired together: start, serve, drain, stop.
//!
//! ```text
//! Config → Server::start → (bound, recovered, ready) → run_until(signal) → drained, flushed, stopped
//! ```

use crate::{
    auth::{ApiKeys, Door},
    broker::Broker,
    cluster::{Node, StartError, Surroundings},
    config::{Config, limits::CLOSE_TIMEOUT},
    endpoints::{Endpoints, PresenceDesk},
    http::{self, Api, Readiness},
    records::retention,
    session::House,
    telemetry,
    transport::{self, Caps, Gate, Serving, TlsError},
};
mod demo;
mod waiting;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;
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
        transport::raise_open_files(config.limits.connections_total);
        let tls = config.server.tls.as_ref().map(transport::acceptor).transpose()?;
        // Bound first: a second server on the same port ends here, before it touches anything.
        let listener = bind(config.server.listen, "server.listen").await?;
        let admin = match config.server.admin_listen {
            Some(address) => Some(bind(address, "server.admin_listen").await?),
            None => None,
        };
        let (tracker, shutdown) = (TaskTracker::new(), CancellationToken::new());
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
        let leading = || {
            let node = node.clone();
            (move || node.is_leader(), shutdown.clone())
        };
        tracker.spawn(retention::keep(records.clone(), config.retention.clone(), leading()));
        tracker.spawn(retention::keep_journal(records.clone(), config.retention.clone(), leading()));
        let endpoints = Arc::new(Endpoints::new(records.clone(), desk.clone()));
        let door = Arc::new(Door::new(&config.auth, config.server.dev));
        let house = Arc::new(House::new(endpoints, broker.clone(), (door.clone(), &config.limits)));
        let gate = Arc::new(Gate::new(door, house, (Caps::new(&config.limits), config.server.node_id)));
        let readiness = Readiness::default();
        let api = Api::new(http::Parts {
            config: &config,
            records,
            broker: broker.clone(),
            desk: desk.clone(),
            node: node.clone(),
            keys: ApiKeys::new(&config.auth.api_keys, config.server.dev),
            readiness: readiness.clone(),
        });
        let server = Self {
            address: listener.local_addr().unwrap_or(config.server.listen),
            admin_address: admin.as_ref().and_then(|admin| admin.local_addr().ok()),
            drain: Duration::from_secs(config.drain.seconds),
            node,
            broker,
            desk,
            api: api.clone(),
            readiness,
            tracker,
            closing: CancellationToken::new(),
            shutdown,
        };
        let public = http::router(&api, &config, extra);
        let serving = Serving {
            gate: Some(gate),
            router: public,
            tls,
            trusted_proxies: config.server.trusted_proxies.clone().into(),
            tracker: server.tracker.clone(),
        };
        server.tracker.spawn(transport::serve(listener, serving.clone(), server.closing.clone()));
        if let Some(admin) = admin {
            let serving = Serving { gate: None, router: http::admin_router(&api), tls: None, ..serving };
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
        self.broker.drain(self.drain);
        let emptied = async {
            while self.broker.sessions() > 0 {
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

async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, setting, source })
}
