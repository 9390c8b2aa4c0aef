//! Who leads, and what a leader takes: only while a majority has heard from it lately.

use super::{
    clocks::Clocks,
    log_store::LogStore,
    quorum::Voters,
    types::{LogId, Raft},
    wire::{Opinion, Proposed},
};
use crate::{protocol::NodeId, records::Batch};
use carillon_storage::log::Log;
use openraft::{BasicNode, RaftMetrics, ServerState, storage::RaftLogStorage};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// A disk with less room is full, whatever the settings say: tables that fail to be written end the node.
const ROOM_MIN: u64 = 4 << 20;

/// A leader that has answered a question so lately lives: a question is asked every 200 ms.
const ANSWERED_WITHIN: Duration = Duration::from_millis(350);

/// Where changes go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// This node leads.
    Here,
    /// Another does.
    To(NodeId),
}

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    inner: Arc<Inner>,
}

struct Inner {
    raft: Raft,
    node: NodeId,
    /// A leader that no majority has answered for so long may not be one any more.
    lease: Duration,
    log: Log,
    /// Below so much free space, and in any case below [`ROOM_MIN`], nothing is proposed.
    reserve_bytes: u64,
    /// It is handing over: it leads still, and takes nothing any more.
    is_yielding: AtomicBool,
    /// Changes that are being taken.
    taking: AtomicUsize,
    /// When a leader with its majority last answered a question of this node's.
    answered: Mutex<Option<Instant>>,
    /// When openraft last said how it is.
    said_at: Mutex<Instant>,
    clocks: Clocks,
}

/// A change is being taken as long as this lives.
struct Taking<'a>(&'a AtomicUsize);

impl<'a> Taking<'a> {
    fn begin(taking: &'a AtomicUsize) -> Self {
        taking.fetch_add(1, Ordering::SeqCst);
        Self(taking)
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// As long as this lives, the leader takes no changes and sends no heartbeats.
#[derive(Debug)]
pub(crate) struct Yielding(Arc<Inner>);

impl Drop for Yielding {
    fn drop(&mut self) {
        self.0.is_yielding.store(false, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Leadership {
    pub(crate) fn new(
        raft: Raft,
        node: NodeId,
        lease: Duration,
        (log, reserve_bytes): (Log, u64),
        clocks: Clocks,
    ) -> Self {
        let (is_yielding, taking) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self {
            inner: Arc::new(Inner {
                raft,
                node,
                lease,
                log,
                reserve_bytes,
                is_yielding,
                taking,
                answered: Mutex::default(),
                said_at: Mutex::new(Instant::now()),
                clocks,
            }),
        }
    }

    pub(crate) fn clocks(&self) -> &Clocks {
        &self.inner.clocks
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    pub(crate) fn node(&self) -> NodeId {
        self.inner.node
    }

    /// Where changes go now; `None` while no leader is known, or this node leads without a majority or hands over.
    pub(crate) fn route(&self) -> Option<Route> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        match metrics.current_leader {
            Some(leader) if leader != self.inner.node => Some(Route::To(leader)),
            Some(_) if metrics.state == ServerState::Leader && !self.is_yielding() => {
                let silence = self.majority_silence(&metrics);
                silence.is_some_and(|silence| silence <= self.inner.lease).then_some(Route::Here)
            }
            _ => None,
        }
    }

    /// Whether this node leads and has its majority.
    pub(crate) fn leads(&self) -> bool {
        self.route() == Some(Route::Here)
    }

    /// Stops taking changes, if this node leads and does not do so already.
    pub(crate) fn begin_to_yield(&self) -> Option<Yielding> {
        let begins = self.leads() && !self.inner.is_yielding.swap(true, Ordering::SeqCst);
        begins.then(|| Yielding(self.inner.clone()))
    }

    pub(crate) fn is_yielding(&self) -> bool {
        self.inner.is_yielding.load(Ordering::SeqCst)
    }

    /// Other voters that have every entry that this leader has, while it takes none.
    pub(crate) fn equals(&self) -> Vec<NodeId> {
        if self.inner.taking.load(Ordering::SeqCst) > 0 {
            return Vec::new();
        }
        let end = self.inner.log.state().entries.end;
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        let Some(replication) = &metrics.replication else { return Vec::new() };
        let has_all = |id: &NodeId| replication.get(id).copied().flatten().is_some_and(|at| at.index + 1 == end);
        let voters = metrics.membership_config.membership().voter_ids();
        voters.filter(|id| *id != self.inner.node && has_all(id)).collect()
    }

    /// Stands for election at the word of the present leader, if this node can lead.
    pub(crate) async fn take_over_from(&self, leader: NodeId) -> bool {
        let stands = self.route() == Some(Route::To(leader)) && !self.disk_is_full();
        stands && self.inner.raft.trigger().elect().await.is_ok()
    }

    /// A leader that has its majority has just answered a question of this node's.
    pub(crate) fn note_answer(&self) {
        *self.inner.answered.lock() = Some(Instant::now());
    }

    /// Whether this node leads, or has a leader that answers it.
    pub(crate) fn is_led(&self) -> bool {
        self.leads() || self.was_led_within(ANSWERED_WITHIN)
    }

    /// Whether a leader with its majority has answered this node lately.
    pub(crate) fn was_led_within(&self, time: Duration) -> bool {
        self.inner.answered.lock().is_some_and(|at| at.elapsed() <= time)
    }

    /// This node's last entry; `None` without any, or if it cannot be read.
    pub(crate) async fn last_entry(&self) -> Option<LogId> {
        LogStore::new(self.inner.log.clone()).get_log_state().await.ok()?.last_log_id
    }

    /// Whether a node with this last entry might lead, for all that this one knows.
    pub(crate) async fn opinion_of(&self, last: Option<LogId>) -> Opinion {
        if self.leads() {
            Opinion::Leads
        } else if !self.is_led() && last >= self.last_entry().await {
            Opinion::Agrees
        } else {
            Opinion::Disagrees
        }
    }

    /// Notes that openraft lives, as long as it does; ends with `shutdown`. While it waits for a disk that hangs, what it
    /// said last stays as it was.
    pub(crate) async fn watch_core(self, shutdown: CancellationToken) {
        let mut metrics = self.inner.raft.metrics();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = metrics.changed() => if changed.is_err() { return },
            }
            metrics.borrow_and_update();
            *self.inner.said_at.lock() = Instant::now();
        }
    }

    /// Those whose words count, this node maybe among them.
    pub(crate) fn voters(&self) -> Vec<NodeId> {
        self.inner.raft.metrics().borrow().membership_config.membership().voter_ids().collect()
    }

    /// The sets of voters of which each needs a majority: two while a change is under way.
    pub(crate) fn voter_sets(&self) -> Vec<Voters> {
        self.inner.raft.metrics().borrow().membership_config.membership().get_joint_config().clone()
    }

    /// Whether this node leads, and no majority has answered it for so long.
    pub(crate) fn is_deaf(&self, limit: Duration) -> bool {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        let silence = self.majority_silence(&metrics);
        metrics.state == ServerState::Leader && silence.is_some_and(|silence| silence > limit)
    }

    /// For how long no majority has answered this leader; `None` before one has. A lone voter is its own.
    fn majority_silence(&self, metrics: &RaftMetrics<NodeId, BasicNode>) -> Option<Duration> {
        let is_alone = metrics.membership_config.membership().voter_ids().eq([self.inner.node]);
        if is_alone {
            return Some(Duration::ZERO);
        }
        let silence = metrics.millis_since_quorum_ack.map(Duration::from_millis)?;
        Some(silence + self.inner.said_at.lock().elapsed())
    }

    /// The term in which this node leads, once it has applied everything of earlier terms.
    pub(crate) fn settled_term(&self) -> Option<u64> {
        if !self.leads() {
            return None;
        }
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        let term = metrics.current_term;
        metrics.last_applied.is_some_and(|last| last.leader_id.term == term).then_some(term)
    }

    /// The other members.
    pub(crate) fn others(&self) -> Vec<NodeId> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        let ids = metrics.membership_config.nodes().map(|(id, _)| *id);
        ids.filter(|id| *id != self.inner.node).collect()
    }

    /// Waits for the route to be, or become, another than `known`.
    pub(crate) async fn changed_from(&self, known: Option<Route>) {
        let mut metrics = self.inner.raft.metrics();
        while self.route() == known {
            if metrics.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Waits for another leader than that of `route`.
    pub(crate) async fn deposed(&self, route: Route) {
        let leader = match route {
            Route::Here => self.inner.node,
            Route::To(other) => other,
        };
        let mut metrics = self.inner.raft.server_metrics();
        let gone = metrics.wait_for(|metrics| metrics.current_leader != Some(leader)).await.is_err();
        if gone {
            std::future::pending::<()>().await;
        }
    }

    /// Takes changes into the log, if this node leads, and waits until they are committed. They are stamped with the
    /// cluster's time, whatever the clock of the node that was asked said.
    pub(crate) async fn take(&self, mut batch: Batch) -> Proposed {
        // Before the look at whether it leads: whoever sets `is_yielding` then sees either none, or a refusal.
        let _taking = Taking::begin(&self.inner.taking);
        if !self.leads() {
            return Proposed::NotLeader;
        }
        if self.disk_is_full() {
            return Proposed::DiskFull;
        }
        batch.stamp(self.inner.clocks.now());
        match self.inner.raft.client_write(batch).await {
            Ok(_) => Proposed::Committed,
            // That it was forwarded does not say that it was not taken: an entry that one node has dropped may live
            // on another, and be committed by that one.
            Err(error) => {
                tracing::debug!(%error, "a batch of changes has an unknown outcome at this node");
                Proposed::Unknown
            }
        }
    }

    /// Up to where everything is applied once that entry is: whatever was answered anywhere before now.
    pub(crate) async fn read_index(&self) -> Option<u64> {
        if !self.leads() {
            return None;
        }
        let (read, _) = self.inner.raft.get_read_log_id().await.ok()?;
        Some(read.map_or(0, |id| id.index))
    }

    pub(crate) fn disk_is_full(&self) -> bool {
        self.inner.log.room().is_ok_and(|room| room < self.inner.reserve_bytes.max(ROOM_MIN))
    }
}
