//! Finding or forming a cluster: once, by one node, when every founder is there.

use super::{
    Node,
    company::{Company, LOOK_EVERY, SAY_EVERY},
    open::StartError,
};
use crate::{
    cluster::{
        links::{
            frame::{Frame, Tag},
            hello::ANYBODY,
            kind::Kind,
        },
        wire::{self, Answer, ChangeError, Request},
    },
    protocol::NodeId,
};
use openraft::BasicNode;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Pause before a refused or unanswered request to join is made again.
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// Why a node of the cluster has not added this one yet.
#[derive(Debug, thiserror::Error)]
enum NotAdded {
    /// There is nobody at the address, or nobody who is a peer.
    #[error("no answer: {0}")]
    Unreached(String),
    /// There is, and it says why.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// What is said again only when it is something else, or after a while.
#[derive(Debug, Default)]
struct Said {
    what: String,
    at: Option<Instant>,
}

impl Said {
    fn is_due(&mut self, what: String, now: Instant) -> bool {
        let is_due = what != self.what || self.at.is_none_or(|at| now.duration_since(at) >= SAY_EVERY);
        if is_due {
            (self.what, self.at) = (what, Some(now));
        }
        is_due
    }
}

impl Company {
    /// Those that form the cluster together; without a list this node alone.
    fn founders(&self) -> BTreeMap<NodeId, String> {
        if self.settings.peers.is_empty() {
            return BTreeMap::from([(self.identity.node(), self.own_address())]);
        }
        self.settings.peers.clone()
    }

    /// Asks a node of the cluster to have this one added.
    async fn ask_to_join(&self, at: &str) -> Result<(), NotAdded> {
        let unreached = |error: &dyn std::fmt::Display| NotAdded::Unreached(error.to_string());
        let dialled = self.links.dial(at, ANYBODY, Kind::Join).await;
        let (_, mut reader, mut writer) = dialled.map_err(|error| unreached(&error))?;
        let request = Request::Join { node: self.identity.node(), address: self.own_address() };
        let body = wire::encode(&request).map_err(|error| ChangeError::Refused(error.to_string()))?;
        writer.send(Frame::new(Tag::Request, 1, body)).await.map_err(|error| unreached(&error))?;
        let frame = reader.next().await.map_err(|_| ChangeError::Unknown)?.ok_or(ChangeError::Unknown)?;
        match wire::decode(&frame.body) {
            Ok(Answer::Changed(changed)) => Ok(changed?),
            _ => Err(ChangeError::Unknown.into()),
        }
    }

    /// For whom this node waits, for people.
    pub(super) fn waits_for(&self, nodes: &BTreeMap<NodeId, String>) -> String {
        let own = self.identity.node();
        let missing: Vec<String> = nodes
            .iter()
            .filter(|(id, _)| **id != own && !self.links.is_up(**id, Kind::Calls))
            .map(|(id, address)| format!("node {id} at {address}"))
            .collect();
        match (missing.is_empty(), self.settings.join.is_some()) {
            (false, _) => format!("no link to {}", missing.join(", ")),
            (true, true) => "the cluster has not called yet".into(),
            (true, false) if self.identity.cluster().is_some() => {
                let own_address = self.own_address();
                format!("the cluster has not called yet; `carillon cluster add {own} {own_address}` makes it")
            }
            (true, false) => "every node is there".into(),
        }
    }
}

impl Node {
    /// Waits until this node is in a membership, having done what is its own part in that.
    pub(super) async fn become_member(&self, company: &Company) -> Result<(), StartError> {
        let raft_error = |e: &dyn std::fmt::Display| StartError::Raft(e.to_string());
        let founders = company.founders();
        let is_first = founders.keys().next() == Some(&company.identity.node());
        let mut said = Instant::now() - SAY_EVERY;
        let (mut may_ask_at, mut refused) = (Instant::now(), Said::default());
        while !self.raft.is_initialized().await.map_err(|e| raft_error(&e))? {
            if let Some(at) = &company.settings.join {
                if Instant::now() >= may_ask_at {
                    may_ask_at = Instant::now() + JOIN_PAUSE;
                    match company.ask_to_join(at).await {
                        Ok(()) => {
                            tracing::info!(at, "the cluster adds this node");
                            may_ask_at += SAY_EVERY;
                        }
                        Err(NotAdded::Change(ChangeError::Refused(why))) => return Err(StartError::Refused(why)),
                        Err(error) => {
                            if refused.is_due(error.to_string(), Instant::now()) {
                                tracing::warn!(%error, at, "the cluster does not add this node yet: it asks again");
                            }
                        }
                    }
                }
            } else if is_first && self.may_form(company, &founders).await? {
                let members: BTreeMap<_, _> =
                    founders.iter().map(|(id, address)| (*id, BasicNode::new(address))).collect();
                tracing::info!(nodes = ?founders.keys(), "forming the cluster");
                self.raft.initialize(members).await.map_err(|e| raft_error(&e))?;
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                tracing::info!("waiting: {}", company.waits_for(&founders));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if company.identity.is_forming() {
            let identity = company.identity.clone();
            tokio::task::spawn_blocking(move || identity.formed()).await??;
        }
        Ok(())
    }

    /// Whether this node, the first of the list, forms the cluster now: once every node of the list is there and belongs
    /// to none. A majority would not do: the others might be a cluster already, and this node the one that was wiped.
    async fn may_form(&self, company: &Company, founders: &BTreeMap<NodeId, String>) -> Result<bool, StartError> {
        let (own, cluster) = (company.identity.node(), company.identity.cluster());
        if cluster.is_some() && !company.identity.is_forming() {
            return Ok(false); // It has become one of an existing cluster, which will call.
        }
        let met = company.links.met_peers();
        let is_free = |id: &NodeId| {
            let theirs = met.get(id).map(|(party, _)| party.cluster);
            theirs.is_some_and(|theirs| theirs.is_none() || theirs == cluster) && company.links.is_up(*id, Kind::Calls)
        };
        let may = founders.keys().filter(|id| **id != own).all(is_free);
        if may {
            let identity = company.identity.clone();
            tokio::task::spawn_blocking(move || identity.found_cluster()).await??;
        }
        Ok(may)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_the_same_is_said_at_a_sane_pace() {
        let (mut said, begun) = (Said::default(), Instant::now());
        let mut due = |what: &str, ms: u64| said.is_due(what.into(), begun + Duration::from_millis(ms));
        let table = [
            ("connection refused", 0, true),
            ("connection refused", 500, false),
            ("connection refused", 4_999, false),
            ("connection refused", 5_000, true),
            ("no leader", 5_500, true),
            ("connection refused", 6_000, true),
            ("connection refused", 10_999, false),
        ];
        for (what, ms, is_due) in table {
            assert_eq!(due(what, ms), is_due, "{what} after {ms} ms");
        }
    }
}
