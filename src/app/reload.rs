//! Other settings for a running server: everything that can fail is tried first, then all of it counts, or nothing does.

use crate::{
    auth::{ApiKeys, Door},
    config::{Auth, Changes, Config, Live, Retention, changes},
    http::Api,
    jwks::Entrance,
    outbound::TrustError,
    session::House,
    telemetry,
    transport::{self, Caps, Gate, Room, Serving, TlsError},
    webhook::Webhook,
};
use parking_lot::Mutex;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Certificate or key of the server.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Certificate authorities for fetching key sets.
    #[error("jwks_ca_file in auth.jwt: {0}")]
    Trust(#[from] TrustError),
}

/// Reloads settings; clones do so one after the other. Sockets that are open stay open, also those whose key is gone.
#[derive(Clone)]
pub struct Reloader {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    /// What the settings are compared with that wait for a restart.
    started: Config,
    /// What is in force of the others.
    latest: Mutex<Config>,
    turn: Semaphore,
}

/// What takes on other settings.
pub(super) struct Parts {
    pub(super) entrance: Entrance,
    pub(super) caps: Caps,
    /// What open files allowed at the start.
    pub(super) room: Room,
    pub(super) house: Arc<House>,
    pub(super) api: Api,
    pub(super) tls: Live<Option<TlsAcceptor>>,
    pub(super) trusted_proxies: Live<Vec<IpAddr>>,
    pub(super) retention: watch::Sender<Retention>,
    pub(super) tracker: TaskTracker,
    pub(super) shutdown: CancellationToken,
}

impl Parts {
    /// What the public listener serves.
    pub(super) fn serving(&self, router: axum::Router, (webhook, config): (Option<Webhook>, &Config)) -> Serving {
        let among = (self.caps.clone(), config.server.node_id);
        let gate = Gate::new(self.entrance.clone(), self.house.clone(), among).asking(webhook);
        Serving {
            gate: Some(Arc::new(gate)),
            router,
            tls: self.tls.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            http_connections: self.room.http,
            http_per_address: config.limits.http_connections_per_address,
            http_idle: Duration::from_secs(config.limits.http_idle_seconds),
            tracker: self.tracker.clone(),
        }
    }
}

impl Reloader {
    pub(super) fn new(parts: Parts, started: Config) -> Self {
        let latest = Mutex::new(started.clone());
        Self { inner: Arc::new(Inner { parts, started, latest, turn: Semaphore::new(1) }) }
    }

    /// Puts `config` into force as far as a running server can, files of certificates included, and says what that
    /// changed. Returns once every key set was asked for, though it need not have answered.
    ///
    /// # Errors
    /// See [`ReloadError`]; nothing has changed then.
    pub async fn reload(&self, config: Config) -> Result<Changes, ReloadError> {
        // Never closed, so there is always a turn.
        let _turn = self.inner.turn.acquire().await;
        let Parts { entrance, caps, room: _, house, api, tls, trusted_proxies, retention, tracker, shutdown } =
            &self.inner.parts;
        let Entrance { door, jwks } = entrance;
        let acceptor = config.server.tls.as_ref().map(transport::acceptor).transpose()?;
        let sources = jwks.prepare(&config.auth)?;
        // From here on nothing fails. Development mode is never entered or left.
        let dev = self.inner.started.server.dev;
        let changed = changes(&self.inner.started, &self.inner.latest.lock(), &config);
        let listeners = transport::listeners(&self.inner.started.server);
        let room = transport::raise_open_files(config.limits.connections_total, listeners);
        telemetry::logs::set_level(&config.log);
        caps.set_limits(&room.within(&config.limits));
        house.set_limits(&config.limits);
        api.reconfigure(ApiKeys::new(&config.auth.api_keys, dev), &config.limits);
        tls.set(acceptor);
        trusted_proxies.set(config.server.trusted_proxies.clone());
        retention.send_if_modified(|kept| std::mem::replace(kept, config.retention.clone()) != config.retention);
        // Whom the app is asked about goes with who asks it, which waits for a restart.
        let auth = Auth { webhook: self.inner.started.auth.webhook.clone(), ..config.auth.clone() };
        door.set(Door::with_keys(&auth, dev, jwks.fetched()));
        let asked = jwks.install(sources, (tracker, shutdown));
        *self.inner.latest.lock() = config;
        asked.all().await;
        Ok(changed)
    }
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}
