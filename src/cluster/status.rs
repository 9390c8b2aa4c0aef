//! The members of the cluster as one node sees them, for whoever looks after it.

use super::{links::kind::Kind, membership::Membership};
use crate::protocol::NodeId;
use std::time::Duration;

/// One node, as this one sees it.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    /// Its number.
    pub id: NodeId,
    /// Where its peers reach it.
    pub address: String,
    /// Whether its word counts; otherwise it is a learner.
    pub is_voter: bool,
    /// Whether it leads.
    pub is_leader: bool,
    /// Whether this node reaches it.
    pub is_reachable: bool,
    /// The last entry that it has applied, as it said.
    pub applied_index: Option<u64>,
    /// How long a ping takes, while the node is reached.
    pub rtt: Option<Duration>,
    /// By how many microseconds its clock is ahead of this node's; `None` before it has said.
    pub clock_ahead: Option<i64>,
}

impl Membership {
    /// Every member, as this node sees it.
    pub(crate) fn status(&self) -> Vec<MemberStatus> {
        let (met, applied) = (self.links.met_peers(), self.links.watch_applied().borrow().clone());
        let metrics = self.leadership.raft().metrics().borrow().clone();
        let voters = self.voters();
        let own = self.leadership.node();
        let is_reachable = |id: NodeId| id == own || self.links.is_up(id, Kind::Calls);
        let of = |(id, address): (NodeId, String)| MemberStatus {
            id,
            address,
            is_voter: voters.contains(&id),
            is_leader: metrics.current_leader == Some(id),
            is_reachable: is_reachable(id),
            applied_index: if id == own {
                metrics.last_applied.map(|at| at.index)
            } else {
                applied.get(&id).map(|applied| applied.index)
            },
            clock_ahead: if id == own { Some(0) } else { self.leadership.clocks().ahead(id) },
            rtt: met.get(&id).and_then(|(_, rtt)| *rtt).filter(|_| is_reachable(id)),
        };
        self.addresses().into_iter().map(of).collect()
    }
}
