//! The settings as typed values, one struct for each section of the file. Auth has a file of its own.

use super::{Auth, Cluster, Limits};
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
    /// Other nodes.
    pub cluster: Cluster,
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

/// `[presence]`
#[derive(Clone, Debug)]
pub struct Presence {
    /// How long a user stays online after the last tab has gone.
    pub grace_seconds: u64,
}

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Newest notifications kept per user; 0: all.
    pub notifications_per_user: u64,
    /// Days that a notification is kept; 0: for ever.
    pub notifications_days: u64,
    /// What is kept of level `info`, within the above.
    pub info: Kept,
    /// … of `success`.
    pub success: Kept,
    /// … of `warning`.
    pub warning: Kept,
    /// … of `error`.
    pub error: Kept,
    /// Seconds that an event is kept for clients that resume.
    pub resume_seconds: u64,
    /// About how many bytes of such events are kept.
    pub resume_bytes: u64,
}

/// `retention.LEVEL_per_user`, `retention.LEVEL_days`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Newest notifications of the level kept per user; 0: all.
    pub per_user: u64,
    /// Days that one is kept; 0: for ever.
    pub days: u64,
}

impl Retention {
    /// Each level with what is kept of it.
    pub fn levels(&self) -> [(&'static str, &Kept); 4] {
        [("info", &self.info), ("success", &self.success), ("warning", &self.warning), ("error", &self.error)]
    }
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

impl Default for Retention {
    fn default() -> Self {
        Self {
            notifications_per_user: 0,
            notifications_days: 0,
            info: Kept::default(),
            success: Kept::default(),
            warning: Kept::default(),
            error: Kept::default(),
            resume_seconds: 24 * 3_600,
            resume_bytes: 64 << 20,
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
