//! A node's beginning: its directory, its identity, openraft; and why there is none.

use crate::{
    cluster::{
        codec::AppliedState,
        identity::{Identity, IdentityError},
        links::{LinkTlsError, Links},
        log_store::LogStore,
        lone::NoPeers,
        network::Network,
        recover::{self, Opened, RecoverError},
        state_machine::StateMachine,
        types::Raft,
    },
    config::Config,
    protocol::Pos,
    records::{ProposeError, RecordsError, Roster},
};
use carillon_storage::{
    LogOptions,
    log::Log,
    tables::{self, Tables},
};
use std::{path::Path, sync::Arc, time::Duration};

/// Bytes of the identity that a log gets when it is made.
const IDENTITY_BYTES: usize = 16;
/// Free space that a file holds back for the log on a full disk.
const BALLAST_BYTES: u64 = 8 << 20;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory can't be served.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// Rows can't be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The directory can't be made or entered.
    #[error("the data directory {path} cannot be used: {source}")]
    Directory {
        /// Which.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// openraft stopped.
    #[error("the Raft node stopped: {0}")]
    Raft(String),
    /// The first command failed.
    #[error("the log does not take changes: {0}")]
    Propose(#[from] ProposeError),
    /// The directory is another node's.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Links can't be TLS.
    #[error(transparent)]
    LinkTls(#[from] LinkTlsError),
    /// The peers' address is taken, or not ours.
    #[error("cannot listen on {address} (cluster.listen): {source}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The directory belongs to a node with company, and the settings know of none.
    #[error(
        "the data directory belongs to a cluster of the nodes {nodes}, and cluster.listen is not set: set [cluster] as \
         on the other nodes"
    )]
    NeedsCluster {
        /// Its members.
        nodes: String,
    },
    /// The cluster does not take this node.
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
    /// It was told to stop before it had started.
    #[error("stopped before the node had caught up with its cluster")]
    Stopped,
    /// A thread ended.
    #[error("a start-up thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Log, snapshots, tables.
pub(super) async fn directory(config: &Config, identity: Option<&Identity>) -> Result<Opened, StartError> {
    let installing = identity.and_then(Identity::installing);
    let dir = config.server.data_dir.clone();
    make_private(&dir)?;
    let log = LogOptions {
        segment_bytes: config.storage.segment_bytes,
        ballast_bytes: BALLAST_BYTES,
        identity: new_identity(),
        ..LogOptions::default()
    };
    let tables = tables::Options { cache_bytes: config.storage.cache_bytes, ..tables::Options::default() };
    Ok(tokio::task::spawn_blocking(move || recover::open(&dir, log, &tables, installing)).await??)
}

/// Names a new history; an existing log keeps its own.
pub(super) fn new_identity() -> Vec<u8> {
    let mut identity = vec![0; IDENTITY_BYTES];
    // Fails only without any source of randomness; then the identity is the one of all zeros.
    let _ = aws_lc_rs::rand::fill(&mut identity);
    identity
}

/// Makes the data directory, for this user alone.
fn make_private(dir: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let failed = |source| StartError::Directory { path: dir.display().to_string(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(failed)
}

pub(super) fn load_roster(tables: &Tables, applied: &AppliedState) -> Result<Roster, RecordsError> {
    let index = applied.last.map_or(0, |last| last.index);
    Roster::load(&tables.reader(), Pos::new(index, Pos::COMMANDS_PER_ENTRY_MAX - 1))
}

/// Starts openraft, with links or without.
pub(super) async fn start_raft(
    config: &Config,
    log: Log,
    (machine, links): (StateMachine, Option<&Links>),
) -> Result<Raft, StartError> {
    let settings = &config.cluster;
    let raft_config = openraft::Config {
        cluster_name: "carillon".into(),
        heartbeat_interval: settings.heartbeat_ms,
        election_timeout_min: settings.election_min_ms,
        election_timeout_max: settings.election_max_ms,
        // Snapshots and purging follow the log's size, in `keep_house`.
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..openraft::Config::default()
    };
    let raft_config = raft_config.validate().map_err(|e| StartError::Raft(e.to_string()))?;
    let (id, store, raft_config) = (config.server.node_id, LogStore::new(log), Arc::new(raft_config));
    let raft = match links {
        None => Raft::new(id, raft_config, NoPeers, store, machine).await,
        Some(links) => {
            let snapshot_bytes_per_second = settings.snapshot_bytes_per_second;
            let heartbeat = Duration::from_millis(settings.heartbeat_ms);
            let network = Network { links: links.clone(), snapshot_bytes_per_second, heartbeat };
            Raft::new(id, raft_config, network, store, machine).await
        }
    };
    raft.map_err(|e| StartError::Raft(e.to_string()))
}

/// Who this node is, if it may have company.
pub(super) async fn identity(config: &Config) -> Result<Option<Arc<Identity>>, StartError> {
    if !config.cluster.is_configured() {
        return Ok(None);
    }
    let (dir, id) = (config.server.data_dir.clone(), config.server.node_id);
    make_private(&dir)?;
    let identity = tokio::task::spawn_blocking(move || Identity::open(&dir, id)).await??;
    Ok(Some(Arc::new(identity)))
}
