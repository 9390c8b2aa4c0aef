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
    protocol::{NodeId, Pos},
    records::{ProposeError, RecordsError, Roster},
};
use carillon_storage::{
    LogOptions,
    log::Log,
    tables::{self, Tables},
};
use std::{ops::Range, path::Path, sync::Arc, time::Duration};

/// Bytes of the identity that a log gets when it is made.
const IDENTITY_BYTES: usize = 16;
/// Parts of the range of election times: as many as a cluster usually has nodes at most.
const ELECTION_SLOTS: u64 = 5;
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
    /// The rows have what this program does not understand.
    #[error(
        "the cluster is at feature level {level}, and this node takes part up to {features}: run a newer release, or raise \
         cluster.feature_level"
    )]
    TooOld {
        /// Of the cluster.
        level: u32,
        /// Of this node.
        features: u32,
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
pub(crate) async fn directory(config: &Config, installing: Option<u64>) -> Result<Opened, StartError> {
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
pub(crate) fn new_identity() -> Vec<u8> {
    let mut identity = vec![0; IDENTITY_BYTES];
    // Fails only without any source of randomness; then the identity is the one of all zeros.
    let _ = aws_lc_rs::rand::fill(&mut identity);
    identity
}

/// Names the history of what resumes go back in.
pub(super) fn new_history() -> u64 {
    new_identity().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
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
    let election = election_slot(config.server.node_id, (settings.election_min_ms, settings.election_max_ms));
    let raft_config = openraft::Config {
        cluster_name: "carillon".into(),
        heartbeat_interval: settings.heartbeat_ms,
        election_timeout_min: election.start,
        election_timeout_max: election.end,
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

/// This node's part of the range of election times, ascending with its id. openraft draws a time once for each process,
/// so two nodes that drew the same would stand against each other again and again; and of two votes of one term that
/// of the higher id is the greater, so whoever stands later can be elected still, if the first lacks entries.
fn election_slot(id: NodeId, (min, max): (u64, u64)) -> Range<u64> {
    let width = (max.saturating_sub(min) / ELECTION_SLOTS).max(1);
    let start = min + (id.saturating_sub(1) % ELECTION_SLOTS) * width;
    start..start + width
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn election_times_ascend_with_ids_and_do_not_overlap() {
        let slots: Vec<_> = (1..=5).map(|id| election_slot(id, (250, 500))).collect();
        assert_eq!(slots, [250..300, 300..350, 350..400, 400..450, 450..500]);
        assert_eq!(election_slot(6, (250, 500)), 250..300);
        assert_eq!(election_slot(3, (100, 101)), 102..103, "a range that is too small to be divided");
    }
}
