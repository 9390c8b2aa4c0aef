//! One Raft node: open what is on disk, start openraft, become able to serve, stop.
//!
//! A lone node is a Raft group of one that initialises itself. The same path serves it when it has company: then there
//! are links, and the node waits until it has caught up with whoever leads.

mod alone;
mod asking;
mod backup;
mod company;
mod forming;
mod housekeeping;
mod open;
mod standing;

pub use company::ClusterStatus;
use company::{Company, Prepared};
pub use open::StartError;
pub(super) use open::{directory, new_identity};

pub use backup::{Backup, BackupError};

use super::{
    clocks::Clocks,
    identity::Identity,
    leader::{Leadership, Route},
    links::kind::Kind,
    metrics::ProposerMetrics,
    proposer::BatchingProposer,
    recover::Opened,
    snapshot::WrittenSlot,
    state_machine::{CountingSlot, StateMachine, ToldSlot},
    types::Raft,
};
use crate::{
    broker::Broker,
    config::Config,
    records::{Proposer, Records},
};
use carillon_storage::{LogStats, log::Log, snapshot::Snapshots, tables::Tables};
use openraft::error::Fatal;
use parking_lot::Mutex;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Entries that a node may lack and still serve.
const LAG_ENTRIES_MAX: u64 = 2_000;

/// A running node; clones are handles to the same one.
#[derive(Clone)]
pub struct Node {
    raft: Raft,
    log: Log,
    tables: Tables,
    snapshots: Snapshots,
    written: WrittenSlot,
    records: Records,
    leadership: Leadership,
    company: Option<Company>,
    data_dir: Arc<Path>,
    /// Why it cannot go on, beside what openraft says.
    failure: Arc<Mutex<Option<String>>>,
    broker: Broker,
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
    /// Bytes that are free on the disk, without those that the ballast holds; 0 if the system cannot say.
    pub disk_free_bytes: u64,
    /// Whether there is so little room that nothing more is stored.
    pub disk_is_full: bool,
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
        let identity = open::identity(config).await?;
        let opened = open::directory(config, identity.as_deref().and_then(Identity::installing)).await?;
        let Opened { log, snapshots, tables, applied } = opened;
        let id = config.server.node_id;
        let roster = Arc::new(Mutex::new(open::load_roster(&tables, &applied)?));
        let (told, written, counting) = (ToldSlot::default(), WrittenSlot::default(), CountingSlot::default());
        let (proposer, waiting) = Proposer::channel(config.limits.proposals_waiting);
        let records = Records::new(tables.clone(), roster.clone(), proposer, id);
        let progress = records.progress().clone();
        progress.applied(applied.last.map_or(0, |last| last.index));
        let prepared = match identity {
            Some(identity) => Some(Prepared::new(&around, identity, (&log, &tables, progress.watch_position())).await?),
            None => None,
        };
        let machine = StateMachine {
            tables: tables.clone(),
            snapshots: snapshots.clone(),
            written: written.clone(),
            roster,
            broker: around.broker.clone(),
            told: told.clone(),
            counting: counting.clone(),
            applied,
            progress,
        };
        let raft =
            open::start_raft(config, log.clone(), (machine, prepared.as_ref().map(|prepared| &prepared.links))).await?;
        // Before that nobody else is elected: a node stands no earlier, and grants no earlier than half of that.
        let lease = Duration::from_millis(config.cluster.election_max_ms.min(2 * config.cluster.election_min_ms));
        let disk = (log.clone(), config.storage.reserve_bytes);
        let leadership = Leadership::new(raft.clone(), id, lease, disk, Clocks::default());
        let data_dir = config.server.data_dir.as_path().into();
        let failure = Arc::default();
        let company = prepared.map(|prepared| prepared.open(&around, (&leadership, &records, &snapshots), &counting));
        let broker = around.broker.clone();
        let node =
            Self { raft, log, tables, snapshots, written, records, leadership, company, data_dir, failure, broker };
        around.tracker.spawn(node.clone().watch(around.shutdown.clone()));
        let epoch = match &node.company {
            None => node.catch_up_alone(config).await?,
            Some(company) => node.catch_up(company, around.shutdown).await?,
        };
        told.lock().boot = (id, epoch);
        let (new_epoch, epochs) = watch::channel(epoch);
        let proposer = BatchingProposer {
            leadership: node.leadership.clone(),
            links: node.company.as_ref().map(|company| company.links.clone()),
            epoch: epochs,
            told,
            metrics: ProposerMetrics::new(),
        };
        around.tracker.spawn(proposer.run(waiting, around.shutdown.clone()));
        node.records.begin_boot(epoch);
        match &node.company {
            None => node.begin_boot_alone().await?,
            Some(company) => {
                let stands = node.begin_boot(company, around.shutdown).await?;
                company.take_part(&around, (&node.leadership, &node.records), new_epoch);
                if stands {
                    node.take_place(company, around.shutdown).await?;
                }
            }
        }
        let history = node.begin_history().await?;
        node.records.begin_history(history);
        around.broker.begin_history(history);
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
            disk_free_bytes: self.log.room().unwrap_or(0),
            disk_is_full: self.leadership.disk_is_full(),
            snapshot_bytes: snapshot.as_ref().map_or(0, |file| file.bytes),
            // A clock that was set back makes it new.
            snapshot_age: written.map(|at| at.elapsed().unwrap_or_default()),
            applied_index: raft.last_applied.map_or(0, |id| id.index),
            last_index: raft.last_log_index.unwrap_or(0),
            term: raft.current_term,
        }
    }

    /// Whether this node leads, and a majority is with it.
    pub fn is_leader(&self) -> bool {
        self.leadership.leads()
    }

    /// Whether durable calls can be committed from here now, and what was committed elsewhere is known here.
    pub fn is_ready(&self) -> bool {
        match (self.leadership.route(), &self.company) {
            _ if self.broker.is_fenced() => false,
            (Some(Route::Here), _) => true,
            (Some(Route::To(leader)), Some(company)) => {
                let applied = company.links.watch_applied().borrow().get(&leader).map_or(0, |applied| applied.index);
                company.links.is_up(leader, Kind::Calls) && self.applied_index() + LAG_ENTRIES_MAX >= applied
            }
            _ => false,
        }
    }

    /// Stops openraft and leaves the tables so that the next start has little to replay.
    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "the Raft node did not stop cleanly");
        }
        self.checkpoint().await;
    }

    /// Stops the server when openraft has stopped (a poisoned log, tables that can't be written), or the cluster has no
    /// place for this node any more.
    async fn watch(self, shutdown: CancellationToken) {
        let mut metrics = self.raft.metrics();
        let mut refused = self.company.as_ref().map(|company| company.links.watch_refused());
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
                why = outcast(&mut refused) => {
                    tracing::error!(%why, "the cluster has no place for this node any more");
                    *self.failure.lock() = Some(why);
                    shutdown.cancel();
                    return;
                }
            }
        }
    }

    /// Why this node can't be one of its cluster any more, if that is so.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Whether it has stopped because of an error.
    pub fn has_failed(&self) -> bool {
        if self.failure.lock().is_some() {
            return true;
        }
        let stopped = matches!(&self.raft.metrics().borrow().running_state, Err(fatal) if *fatal != Fatal::Stopped);
        stopped || self.log.poisoned().is_some()
    }

    fn newest_snapshot_bytes(&self) -> u64 {
        self.snapshots.list().ok().and_then(|all| all.first().map(|file| file.bytes)).unwrap_or(0)
    }
}

/// Why a peer says that this node can't be one of the cluster; completes only then.
async fn outcast(refused: &mut Option<watch::Receiver<Option<String>>>) -> String {
    let Some(refused) = refused else { return std::future::pending().await };
    let why = refused.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
    match why {
        Some(why) => why,
        None => std::future::pending().await,
    }
}
