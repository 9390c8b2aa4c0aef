//! One Raft node: open what is on disk, start openraft, become able to serve, stop.
//!
//! A lone node is a Raft group of one that initialises itself. The same path serves it when it has company.

mod backup;
mod housekeeping;

pub use backup::{Backup, BackupError};

use super::{
    codec::AppliedState,
    log_store::LogStore,
    lone::NoPeers,
    metrics::ProposerMetrics,
    proposer::BatchingProposer,
    recover::{self, Opened, RecoverError},
    snapshot::WrittenSlot,
    state_machine::{StateMachine, Told, ToldSlot},
    types::Raft,
};
use crate::{
    broker::Broker,
    config::Config,
    protocol::{NodeId, Pos, Tenant},
    records::{Op, ProposeError, Proposer, Records, RecordsError, Roster, journal, presence},
};
use carillon_storage::{
    LogOptions, LogStats,
    log::Log,
    snapshot::Snapshots,
    tables::{self, Tables},
};
use openraft::{BasicNode, ServerState, error::Fatal};
use parking_lot::Mutex;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes of the identity that a log gets when it is made.
const IDENTITY_BYTES: usize = 16;
/// How long a start may take from an opened directory to a node that serves, beside replaying.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);
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
    /// A thread ended.
    #[error("a start-up thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// A running node; clones are handles to the same one.
#[derive(Clone)]
pub struct Node {
    raft: Raft,
    log: Log,
    tables: Tables,
    snapshots: Snapshots,
    written: WrittenSlot,
    records: Records,
    data_dir: Arc<Path>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

/// Figures about what a node keeps, for metrics and `/stats`.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// `fdatasync` of the log.
    pub log: LogStats,
    /// Bytes of the live log.
    pub log_bytes: u64,
    /// Entries of the live log.
    pub log_entries: u64,
    /// Bytes of the tables on disk.
    pub table_bytes: u64,
    /// Bytes of the newest snapshot.
    pub snapshot_bytes: u64,
    /// Since the newest snapshot was written, if there is one.
    pub snapshot_age: Option<Duration>,
    /// The last entry applied.
    pub applied_index: u64,
    /// The last entry in the log.
    pub last_index: u64,
    /// The term.
    pub term: u64,
}

/// What a node runs with.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// Settings.
    pub config: &'a Config,
    /// Where effects go.
    pub broker: Broker,
    /// Holds every task.
    pub tracker: &'a TaskTracker,
    /// Ends them; cancelled by the node itself when it cannot go on.
    pub shutdown: &'a CancellationToken,
}

impl Node {
    /// Opens the data directory and starts. Returns once everything that was ever acknowledged is applied.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(around: Surroundings<'_>) -> Result<Self, StartError> {
        let config = around.config;
        let opened = open(config).await?;
        let Opened { log, snapshots, tables, applied } = opened;
        let id = config.server.node_id;
        let roster = Arc::new(Mutex::new(load_roster(&tables, &applied)?));
        let (told, written) = (ToldSlot::default(), WrittenSlot::default());
        let machine = StateMachine {
            tables: tables.clone(),
            snapshots: snapshots.clone(),
            written: written.clone(),
            roster: roster.clone(),
            broker: around.broker.clone(),
            told: told.clone(),
            applied,
        };
        let raft = start_raft(id, log.clone(), machine).await?;
        let (proposer, waiting) = Proposer::channel(config.limits.proposals_waiting);
        let records = Records::new(tables.clone(), roster, proposer, id);
        let data_dir = config.server.data_dir.as_path().into();
        let node = Self { raft, log, tables, snapshots, written, records, data_dir };
        node.catch_up(id).await?;
        let epoch = node.records.read(|rows| presence::epoch_of(rows, id))? + 1;
        *told.lock() = Told { boot: (id, epoch), ..Told::default() };
        let proposer = BatchingProposer {
            raft: node.raft.clone(),
            node: id,
            epoch,
            told,
            log: node.log.clone(),
            reserve_bytes: config.storage.reserve_bytes,
            metrics: ProposerMetrics::new(),
        };
        around.tracker.spawn(proposer.run(waiting, around.shutdown.clone()));
        node.records.begin_boot(epoch);
        node.begin_boot().await?;
        let history = node.begin_history().await?;
        node.records.begin_history(history);
        around.broker.begin_history(history);
        around.tracker.spawn(node.clone().watch(around.shutdown.clone()));
        around.tracker.spawn(node.clone().keep_house(config.storage.clone(), around.shutdown.clone()));
        Ok(node)
    }

    /// The way to the records.
    pub fn records(&self) -> &Records {
        &self.records
    }

    fn applied_index(&self) -> u64 {
        self.raft.metrics().borrow().last_applied.map_or(0, |id| id.index)
    }

    /// What is kept, how large.
    pub fn figures(&self) -> Figures {
        let raft = self.raft.metrics().borrow().clone();
        let snapshot = self.snapshots.list().ok().and_then(|all| all.into_iter().next());
        let written = snapshot.as_ref().and_then(|file| std::fs::metadata(&file.path).ok()?.modified().ok());
        let entries = self.log.state().entries;
        Figures {
            log: self.log.stats(),
            log_bytes: self.log.bytes(),
            log_entries: entries.end.saturating_sub(entries.start),
            table_bytes: self.tables.disk_bytes().unwrap_or(0),
            snapshot_bytes: snapshot.as_ref().map_or(0, |file| file.bytes),
            // A clock that was set back makes it new.
            snapshot_age: written.map(|at| at.elapsed().unwrap_or_default()),
            applied_index: raft.last_applied.map_or(0, |id| id.index),
            last_index: raft.last_log_index.unwrap_or(0),
            term: raft.current_term,
        }
    }

    /// Whether durable calls can be committed now.
    pub fn is_leader(&self) -> bool {
        self.raft.metrics().borrow().state == ServerState::Leader
    }

    /// Stops openraft and leaves the tables so that the next start has little to replay.
    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "the Raft node did not stop cleanly");
        }
        self.checkpoint().await;
    }

    /// Forms the group of one if there is none yet, and waits until this node leads it and has applied its log.
    async fn catch_up(&self, id: NodeId) -> Result<(), StartError> {
        let raft_error = |e: &dyn std::fmt::Display| StartError::Raft(e.to_string());
        if !self.raft.is_initialized().await.map_err(|e| raft_error(&e))? {
            let members = BTreeMap::from([(id, BasicNode::default())]);
            // Elects itself.
            self.raft.initialize(members).await.map_err(|e| raft_error(&e))?;
        } else if !self.is_leader() {
            self.raft.trigger().elect().await.map_err(|e| raft_error(&e))?;
        }
        let wait = self.raft.wait(Some(LEADER_TIMEOUT));
        wait.state(ServerState::Leader, "start-up").await.map_err(|e| raft_error(&e))?;
        let last = self.raft.metrics().borrow().last_log_index;
        let applied = self.raft.wait(None).applied_index_at_least(last, "start-up").await;
        applied.map(|_| ()).map_err(|e| raft_error(&e))
    }

    async fn begin_boot(&self) -> Result<(), StartError> {
        match self.records.propose(&Tenant::default(), Op::NodeStarted).await {
            // A full disk refuses every change, and serves every read.
            Ok(_) | Err(ProposeError::DiskFull) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Which history the store has; begins one if it has none.
    async fn begin_history(&self) -> Result<u64, StartError> {
        if let Some(id) = self.records.read(|rows| journal::history(rows))? {
            return Ok(id);
        }
        let id = new_identity().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        match self.records.propose(&Tenant::default(), Op::BeginHistory { id }).await {
            // Until there is room every resume is told that its way back is not known.
            Ok(_) | Err(ProposeError::DiskFull) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.records.read(|rows| journal::history(rows))?.unwrap_or_default())
    }

    /// Stops the server when openraft has stopped: a poisoned log, tables that can't be written.
    async fn watch(self, shutdown: CancellationToken) {
        let mut metrics = self.raft.metrics();
        loop {
            match &metrics.borrow_and_update().running_state {
                Ok(()) => {}
                // It was told to.
                Err(Fatal::Stopped) => return,
                Err(fatal) => {
                    tracing::error!(%fatal, "the node cannot go on");
                    shutdown.cancel();
                    return;
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = metrics.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Whether openraft has stopped because of an error.
    pub fn has_failed(&self) -> bool {
        let stopped = matches!(&self.raft.metrics().borrow().running_state, Err(fatal) if *fatal != Fatal::Stopped);
        stopped || self.log.poisoned().is_some()
    }

    fn newest_snapshot_bytes(&self) -> u64 {
        self.snapshots.list().ok().and_then(|all| all.first().map(|file| file.bytes)).unwrap_or(0)
    }
}

pub(super) async fn open(config: &Config) -> Result<Opened, StartError> {
    let dir = config.server.data_dir.clone();
    make_private(&dir)?;
    let log = LogOptions {
        segment_bytes: config.storage.segment_bytes,
        ballast_bytes: BALLAST_BYTES,
        identity: new_identity(),
        ..LogOptions::default()
    };
    let tables = tables::Options { cache_bytes: config.storage.cache_bytes, ..tables::Options::default() };
    Ok(tokio::task::spawn_blocking(move || recover::open(&dir, log, &tables)).await??)
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

fn load_roster(tables: &Tables, applied: &AppliedState) -> Result<Roster, RecordsError> {
    let index = applied.last.map_or(0, |last| last.index);
    Roster::load(&tables.reader(), Pos::new(index, Pos::COMMANDS_PER_ENTRY_MAX - 1))
}

async fn start_raft(id: NodeId, log: Log, machine: StateMachine) -> Result<Raft, StartError> {
    let config = openraft::Config {
        cluster_name: "carillon".into(),
        // Snapshots and purging follow the log's size, in `keep_house`.
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..openraft::Config::default()
    };
    let config = config.validate().map_err(|e| StartError::Raft(e.to_string()))?;
    let raft = Raft::new(id, Arc::new(config), NoPeers, LogStore::new(log), machine).await;
    raft.map_err(|e| StartError::Raft(e.to_string()))
}
