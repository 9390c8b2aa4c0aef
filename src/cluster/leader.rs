//! Who leads, and what a leader takes: only while a majority has heard from it lately.

use super::{types::Raft, wire::Proposed};
use crate::{protocol::NodeId, records::Batch};
use carillon_storage::log::Log;
use openraft::{BasicNode, RaftMetrics, ServerState};
use std::{sync::Arc, time::Duration};

/// A disk with less room is full, whatever the settings say: tables that fail to be written end the node.
const ROOM_MIN: u64 = 4 << 20;

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
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Leadership {
    pub(crate) fn new(raft: Raft, node: NodeId, lease: Duration, (log, reserve_bytes): (Log, u64)) -> Self {
        Self { inner: Arc::new(Inner { raft, node, lease, log, reserve_bytes }) }
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.inner.raft
    }

    pub(crate) fn node(&self) -> NodeId {
        self.inner.node
    }

    /// Where changes go now; `None` while no leader is known, or this node leads without a majority.
    pub(crate) fn route(&self) -> Option<Route> {
        let metrics = self.inner.raft.metrics();
        let metrics = metrics.borrow();
        match metrics.current_leader {
            Some(leader) if leader != self.inner.node => Some(Route::To(leader)),
            Some(_) if metrics.state == ServerState::Leader => {
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

    /// Those whose words count, this node maybe among them.
    pub(crate) fn voters(&self) -> Vec<NodeId> {
        self.inner.raft.metrics().borrow().membership_config.membership().voter_ids().collect()
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
        if is_alone { Some(Duration::ZERO) } else { metrics.millis_since_quorum_ack.map(Duration::from_millis) }
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

    /// Takes changes into the log, if this node leads, and waits until they are committed.
    pub(crate) async fn take(&self, batch: Batch) -> Proposed {
        if !self.leads() {
            return Proposed::NotLeader;
        }
        if self.disk_is_full() {
            return Proposed::DiskFull;
        }
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
