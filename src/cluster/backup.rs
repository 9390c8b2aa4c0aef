//! Backups: a snapshot file of all tenants' rows at one log position, behind a header that people can read, too.
//!
//! A running node makes one by [`super::Node::backup`], a stopped one's directory is copied by [`back_up_directory`].

use super::{
    codec,
    identity::Identity,
    log_store::LogStore,
    node::{self, StartError},
    recover::{Opened, RecoverError},
    snapshot::{BuildError, Written, scan_into},
    state_machine::{CountingSlot, StateMachine, ToldSlot},
    types::{Entry, LogId},
};
use crate::{
    broker::Broker,
    config::Config,
    protocol::NodeId,
    records::{self, Progress, Roster, journal},
    wall_clock::now,
};
use carillon_storage::{
    log::Log,
    snapshot::{self, SnapshotError, SnapshotFile},
    tables::ConsistentScan,
};
use openraft::{CommittedLeaderId, storage::RaftStateMachine};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The format that this version writes and reads.
pub(super) const FORMAT: u32 = 1;
/// Log that is read at once while a stopped node's directory is brought up to date.
const REPLAY_BYTES: usize = 8 << 20;

/// What a backup says of itself: JSON, the first record of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format of everything behind the header.
    pub carillon_backup: u32,
    /// The version that wrote it.
    pub version: String,
    /// When, RFC 3339.
    pub created_at: String,
    /// Which history it is a moment of, in hexadecimal digits.
    pub history: String,
    /// The node that made it.
    pub node: NodeId,
    /// The last log entry that is in it.
    pub log_index: u64,
    /// That entry's term.
    pub log_term: u64,
    /// The leader of that term.
    pub log_leader: NodeId,
    /// Rows in the file.
    pub records: u64,
    /// The same, by table.
    pub tables: BTreeMap<String, u64>,
}

impl Header {
    /// The header of what `scan` is about to read: of which history, by which node.
    pub(super) fn of(scan: &ConsistentScan, (history, node): (u64, NodeId)) -> Result<Self, BuildError> {
        let applied = codec::AppliedState::decode(scan.applied().unwrap_or_default())?;
        let last = applied.last.unwrap_or_default();
        let counts = scan.counts();
        let tables = counts.iter().map(|(table, count)| (records::table_name(*table), *count)).collect();
        Ok(Self {
            carillon_backup: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: now().to_string(),
            history: format!("{history:016x}"),
            node,
            log_index: last.index,
            log_term: last.leader_id.term,
            log_leader: last.leader_id.node_id,
            records: counts.values().sum(),
            tables,
        })
    }

    /// Reads the header of a backup; the records behind it are not looked at.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn read(file: &SnapshotFile) -> Result<Self, HeaderError> {
        #[derive(Deserialize)]
        struct Version {
            carillon_backup: u32,
        }
        let version: Version = serde_json::from_slice(&file.meta).map_err(|_| HeaderError::NoBackup)?;
        if version.carillon_backup != FORMAT {
            return Err(HeaderError::Newer(version.carillon_backup));
        }
        serde_json::from_slice(&file.meta).map_err(|error| HeaderError::Unreadable(error.to_string()))
    }

    /// Plain values and text always encode.
    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Where in the log the backup stands.
    pub(super) fn log_id(&self) -> LogId {
        LogId::new(CommittedLeaderId::new(self.log_term, self.log_leader), self.log_index)
    }
}

/// Why a stopped node's directory was not copied.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// There is nothing to copy.
    #[error("{0} holds no data of a server: name the directory that `carillon serve` runs on (server.data_dir)")]
    NoData(String),
    /// It can't be opened: in use, or damaged.
    #[error(transparent)]
    Start(#[from] StartError),
    /// One node of several does not know what the others have acknowledged.
    #[error(
        "this node is one of {0}: what the others acknowledged may be missing here. Back up through a running node \
         (without --data-dir)"
    )]
    NotAlone(usize),
    /// An entry of the log can't be applied.
    #[error("the log cannot be applied: {0}")]
    Replay(String),
    /// The file can't be written.
    #[error(transparent)]
    Write(#[from] BuildError),
}

impl OfflineError {
    /// Whether the directory's data is damaged.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Start(StartError::Recover(error)) => error.is_damage(),
            Self::Replay(_) => true,
            _ => false,
        }
    }

    /// Whether another process has the directory open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Start(StartError::Recover(RecoverError::InUse { .. })))
    }
}

impl From<SnapshotError> for OfflineError {
    fn from(error: SnapshotError) -> Self {
        Self::Write(error.into())
    }
}

/// A stopped node's directory, opened, with everything applied that its log has.
pub struct Stopped {
    log: Log,
    machine: StateMachine,
    node: NodeId,
    others: Vec<NodeId>,
}

impl std::fmt::Debug for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stopped").field("node", &self.node).field("others", &self.others).finish_non_exhaustive()
    }
}

impl Stopped {
    /// Opens it; nobody else can meanwhile.
    ///
    /// # Errors
    /// See [`OfflineError`].
    pub async fn open(dir: &Path) -> Result<Self, OfflineError> {
        // Opening would make a new one.
        if !dir.join("log").is_dir() {
            return Err(OfflineError::NoData(dir.display().to_string()));
        }
        let mut config = Config::default();
        config.server.data_dir = dir.to_owned();
        let identity = Identity::of_directory(dir).map_err(StartError::from)?;
        let installing = identity.and_then(|(_, installing)| installing);
        let (log, machine) = up_to_date(node::directory(&config, installing).await?).await?;
        let voters: Vec<NodeId> = machine.applied.membership.voter_ids().collect();
        let node = identity.map(|(node, _)| node).or(voters.first().copied());
        let Some(node) = node.filter(|_| !voters.is_empty()) else {
            return Err(OfflineError::NoData(dir.display().to_string()));
        };
        let others = voters.into_iter().filter(|voter| *voter != node).collect();
        Ok(Self { log, machine, node, others })
    }

    /// Whose it is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The other nodes that vote in its cluster.
    pub fn others(&self) -> &[NodeId] {
        &self.others
    }

    /// Term and index of the last entry: of two nodes of a cluster, the one with the higher has more.
    pub fn last(&self) -> (u64, u64) {
        self.machine.applied.last.map_or((0, 0), |last| (last.leader_id.term, last.index))
    }

    /// Copies it to `file`.
    ///
    /// # Errors
    /// See [`OfflineError`]; then there is no file.
    pub async fn back_up(self, file: &Path) -> Result<(Header, SnapshotFile), OfflineError> {
        let Self { log, machine, node, .. } = self;
        let history = journal::history(&machine.tables.reader()).map_err(StartError::from)?.unwrap_or_default();
        let file = file.to_owned();
        let write = move || -> Result<_, OfflineError> {
            // The directory is in use until the copy is made.
            let _log = log;
            let begin = |scan: &ConsistentScan| {
                let header = Header::of(scan, (history, node))?;
                Ok((snapshot::create_at(&file, &header.encode())?, header))
            };
            let (writer, header) = scan_into((&machine.tables, &Written::default()), begin)?;
            let made = writer.finish()?;
            made.verify()?;
            Ok((header, made))
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(|error| OfflineError::Write(error.into()))?
    }
}

/// Copies a stopped lone node's directory to `file`, everything that the log has included.
///
/// # Errors
/// See [`OfflineError`]; then there is no file.
pub async fn back_up_directory(dir: &Path, file: &Path) -> Result<(Header, SnapshotFile), OfflineError> {
    let stopped = Stopped::open(dir).await?;
    match stopped.others.len() {
        0 => stopped.back_up(file).await,
        others => Err(OfflineError::NotAlone(others + 1)),
    }
}

/// Applies what the tables lack, as a start would. A lone node's log holds nothing but what is committed, or will be at
/// its next start.
async fn up_to_date(opened: Opened) -> Result<(Log, StateMachine), OfflineError> {
    let Opened { log, snapshots, tables, applied } = opened;
    // Effects go to a broker without members.
    let broker = Broker::start(&crate::config::Limits::default(), 1, &CancellationToken::new(), &TaskTracker::new());
    let mut machine = StateMachine {
        tables,
        snapshots,
        written: Arc::default(),
        roster: Arc::new(Mutex::new(Roster::default())),
        broker,
        told: ToldSlot::default(),
        progress: Progress::default(),
        counting: CountingSlot::default(),
        applied,
    };
    let failed = |error: &dyn std::fmt::Display| OfflineError::Replay(error.to_string());
    let entries = log.state().entries;
    let mut from = machine.applied.last.map_or(entries.start, |last| last.index + 1);
    while from < entries.end {
        let store = LogStore::new(log.clone());
        let piece: Vec<Entry> = store.entries(from..entries.end, REPLAY_BYTES).map_err(|error| failed(&error))?;
        let Some(last) = piece.last().map(|entry| entry.log_id.index) else { break };
        machine.apply(piece).await.map_err(|error| failed(&error))?;
        from = last + 1;
    }
    Ok((log, machine))
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// A node's own snapshot, most likely.
    #[error("it is a snapshot of a node, not a backup: `carillon backup` makes one")]
    NoBackup,
    /// Another format.
    #[error("it has the format {0} and this version knows {FORMAT}: restore it with the version that made it")]
    Newer(u32),
    /// A field is missing or of another kind.
    #[error("its header cannot be read: {0}")]
    Unreadable(String),
}
