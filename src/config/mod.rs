//! Settings: raw text → typed values, every mistake at once.

pub mod limits;

pub use limits::Limits;

use crate::protocol::Tenant;
use std::{net::SocketAddr, path::PathBuf};

/// All settings of one node, checked. Made by the loader or by an embedding program.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where to listen, what to keep where.
    pub server: Server,
    /// Who may come in.
    pub auth: Auth,
    /// Every bound there is.
    pub limits: Limits,
    /// When a user counts as gone.
    pub presence: Presence,
    /// What is kept how long.
    pub retention: Retention,
    /// How the server leaves.
    pub drain: Drain,
    /// The disk.
    pub storage: Storage,
    /// Logs.
    pub log: Log,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Address of WebSocket and HTTP.
    pub listen: SocketAddr,
    /// Where log, tables and snapshots live; made with mode 0700.
    pub data_dir: PathBuf,
    /// Address of `/healthz`, `/readyz`, `/metrics` if they get a listener of their own.
    pub admin_listen: Option<SocketAddr>,
    /// PEM files; TLS when set.
    pub tls: Option<Tls>,
    /// Proxies whose `X-Forwarded-For` is believed, exact addresses.
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// Development mode: loopback only, fixed secret and key, demo users and pages.
    pub dev: bool,
    /// This node's number in its cluster.
    pub node_id: u64,
}

/// `server.tls_cert`, `server.tls_key`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Keys that may sign tokens.
    pub jwt: Vec<JwtKey>,
    /// `iss` that tokens must have, if set.
    pub issuer: Option<String>,
    /// `aud` that tokens must have, if set.
    pub audience: Option<String>,
    /// Clock difference that is forgiven in `exp`, `nbf` and `iat`.
    pub leeway_seconds: u64,
    /// Cookie that may carry a token; empty: none.
    pub cookie: String,
    /// Whether `?token=` is read.
    pub query_token: bool,
    /// Hosts whose pages may open sockets: `app.example.org`, `*.example.org`, `localhost:8000`.
    pub allowed_origins: Vec<String>,
    /// Keys for the server API.
    pub api_keys: Vec<ApiKey>,
}

/// One entry of `auth.jwt`.
#[derive(Clone)]
pub struct JwtKey {
    /// The `kid` that names it; a token without `kid` is tried only when there is exactly one key.
    pub id: String,
    /// The one algorithm it is for.
    pub algorithm: JwtAlgorithm,
    /// The shared secret, at least 32 bytes.
    pub secret: Vec<u8>,
    /// Tenants that it may sign for.
    pub tenants: Vec<Tenant>,
}

/// Algorithms a key can be pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
}

// The secret stays out of debug output, and so out of every log.
impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtKey").field("id", &self.id).field("tenants", &self.tenants).finish_non_exhaustive()
    }
}

/// One entry of `auth.api_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// A name for logs.
    pub id: String,
    /// SHA-256 of the key, 64 hexadecimal digits (`carillon key new` prints it).
    pub hash: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Whose data it may touch.
    pub tenant: Tenant,
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Send: notifications, updates, broadcasts, group sends.
    Publish,
    /// Look: inboxes, presence, users, stats.
    Read,
    /// Change users, disconnect, everything else.
    Admin,
}

/// `[presence]`
#[derive(Clone, Debug)]
pub struct Presence {
    /// How long a user stays online after the last tab has gone.
    pub grace_seconds: u64,
}

/// `[retention]`
#[derive(Clone, Debug, Default)]
pub struct Retention {
    /// Newest notifications kept per user; 0: all.
    pub notifications_per_user: u64,
    /// Days that a notification is kept; 0: for ever.
    pub notifications_days: u64,
}

/// `[drain]`
#[derive(Clone, Debug)]
pub struct Drain {
    /// Over how many seconds closes are spread at SIGTERM.
    pub seconds: u64,
}

/// `[storage]`
#[derive(Clone, Debug)]
pub struct Storage {
    /// Below this much free space durable calls are refused with `disk_full`.
    pub reserve_bytes: u64,
    /// The log is cut by a snapshot once it is larger than this and than the last snapshot.
    pub snapshot_log_bytes: u64,
    /// Size of one log segment.
    pub segment_bytes: u64,
    /// sled's page cache.
    pub cache_bytes: u64,
}

/// `[log]`
#[derive(Clone, Debug)]
pub struct Log {
    /// `tracing` filter, e.g. `info` or `carillon=debug`.
    pub level: String,
    /// `human`, or `json`.
    pub json: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            data_dir: "./carillon-data".into(),
            admin_listen: None,
            tls: None,
            trusted_proxies: Vec::new(),
            dev: false,
            node_id: 1,
        }
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            jwt: Vec::new(),
            issuer: None,
            audience: None,
            leeway_seconds: 0,
            cookie: "carillon_token".into(),
            query_token: false,
            allowed_origins: Vec::new(),
            api_keys: Vec::new(),
        }
    }
}

impl Default for Presence {
    fn default() -> Self {
        Self { grace_seconds: 15 }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { seconds: 10 }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { reserve_bytes: 64 << 20, snapshot_log_bytes: 64 << 20, segment_bytes: 16 << 20, cache_bytes: 64 << 20 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), json: false }
    }
}
