//! Becoming able to serve without other nodes.

use super::{
    Node,
    open::{self, StartError},
};
use crate::{
    config::Config,
    protocol::{NodeId, Tenant},
    records::{Op, ProposeError, journal, presence},
};
use openraft::{BasicNode, ServerState};
use std::{collections::BTreeMap, time::Duration};

/// How long a start may take from an opened directory to a node that serves, beside replaying.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);

impl Node {
    /// Forms the group of one if there is none yet, and waits until this node leads it and has applied its log.
    pub(super) async fn catch_up_alone(&self, config: &Config) -> Result<u64, StartError> {
        let id = config.server.node_id;
        let raft_error = |e: &dyn std::fmt::Display| StartError::Raft(e.to_string());
        if !self.raft.is_initialized().await.map_err(|e| raft_error(&e))? {
            let members = BTreeMap::from([(id, BasicNode::default())]);
            // Elects itself.
            self.raft.initialize(members).await.map_err(|e| raft_error(&e))?;
        } else if let Some(others) = self.others(id) {
            return Err(StartError::NeedsCluster { nodes: others });
        } else if !self.is_leader() {
            self.raft.trigger().elect().await.map_err(|e| raft_error(&e))?;
        }
        let wait = self.raft.wait(Some(LEADER_TIMEOUT));
        wait.state(ServerState::Leader, "start-up").await.map_err(|e| raft_error(&e))?;
        let last = self.raft.metrics().borrow().last_log_index;
        let applied = self.raft.wait(None).applied_index_at_least(last, "start-up").await;
        applied.map_err(|e| raft_error(&e))?;
        Ok(self.records.read(|rows| presence::epoch_of(rows, id))? + 1)
    }

    pub(super) async fn begin_boot_alone(&self) -> Result<(), StartError> {
        match self.records.propose(&Tenant::default(), Op::NodeStarted).await {
            // A full disk refuses every change, and serves every read.
            Ok(_) | Err(ProposeError::DiskFull) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Which history the store has; begins one if it has none.
    pub(super) async fn begin_history(&self) -> Result<u64, StartError> {
        if let Some(id) = self.records.read(|rows| journal::history(rows))? {
            return Ok(id);
        }
        let id = open::new_history();
        match self.records.propose(&Tenant::default(), Op::BeginHistory { id }).await {
            // Until there is room every resume is told that its way back is not known.
            Ok(_) | Err(ProposeError::DiskFull) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.records.read(|rows| journal::history(rows))?.unwrap_or_default())
    }

    /// The members, if there are others than this node: without links it can't be one of them.
    fn others(&self, id: NodeId) -> Option<String> {
        let membership = self.raft.metrics().borrow().membership_config.clone();
        let all: Vec<_> = membership.nodes().map(|(id, _)| id.to_string()).collect();
        (!membership.nodes().all(|(other, _)| *other == id)).then(|| all.join(", "))
    }
}
