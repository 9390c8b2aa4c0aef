//! Who belongs to the cluster: adding, removing, and what is told of it.
//!
//! A new node is a learner first and becomes a voter when it has caught up: whoever leads sees to that, so that a change
//! that was begun is brought to its end whatever fails meanwhile. A node id is entered in the records before the node
//! takes part, and marked there as removed when it is taken out.

use super::{
    handover::Handover,
    leader::{Leadership, Route},
    lease::Leases,
    links::{Links, hello::Party, kind::Kind},
    quorum::{self, Voters},
    wire::{self, Answer, Change, ChangeError, Request},
};
use crate::{
    protocol::{NodeId, Tenant},
    records::{Op, ProposeError, Records, Reply},
};
use openraft::{
    BasicNode, ChangeMembers,
    error::{ClientWriteError, RaftError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How often a leader looks for learners that have caught up, and for changes that were cut short.
const TEND_EVERY: Duration = Duration::from_millis(200);
/// Two sets of voters that count for so long are what is left of a change.
const JOINT_MAX: Duration = Duration::from_secs(1);
/// How often a node looks whether the log has its address.
const ADDRESS_EVERY: Duration = Duration::from_secs(2);
/// Entries that a learner may lack and still become a voter: it gets them before it is asked for its word.
const CLOSE_ENTRIES: u64 = 512;
/// How long a leader may take to hear enough voters before it refuses a change.
const HEARD_TIMEOUT: Duration = Duration::from_secs(2);
const HEARD_EVERY: Duration = Duration::from_millis(50);
/// How long a change of the membership may take.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

type Changing = ChangeMembers<NodeId, BasicNode>;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) links: Links,
    pub(crate) leadership: Leadership,
    pub(crate) records: Records,
    /// Whom this node has heard lately, as the leader.
    pub(crate) leases: Leases,
    /// Addresses from the settings, which count more than those in the log.
    pub(crate) configured: Arc<BTreeMap<NodeId, String>>,
    /// Held by whoever changes something here: one change at a time.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
}

impl Membership {
    /// The members and their addresses: those of the log, else those that are to form the cluster.
    pub(crate) fn addresses(&self) -> BTreeMap<NodeId, String> {
        let metrics = self.leadership.raft().metrics().borrow().membership_config.clone();
        let logged: BTreeMap<NodeId, String> = metrics.nodes().map(|(id, node)| (*id, node.addr.clone())).collect();
        if logged.is_empty() {
            return (*self.configured).clone();
        }
        logged.into_iter().map(|(id, address)| (id, self.configured.get(&id).cloned().unwrap_or(address))).collect()
    }

    /// The way for another node to lead.
    pub(crate) fn handover(&self) -> Handover {
        Handover { leadership: self.leadership.clone(), links: self.links.clone() }
    }

    /// Keeps links to whoever is a member; ends when this node is none any more, or `shutdown` does.
    pub(crate) async fn follow(self, shutdown: CancellationToken) {
        let mut metrics = self.leadership.raft().server_metrics();
        loop {
            self.links.set_peers(&self.addresses());
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = metrics.changed() => if changed.is_err() { return },
            }
            metrics.borrow_and_update();
        }
    }

    /// Makes learners voters once they have caught up, and brings changes to their end that were cut short; only ever a
    /// leader's work.
    pub(crate) async fn tend(self, shutdown: CancellationToken) {
        let mut joint_since = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TEND_EVERY) => {}
            }
            // Whoever changes something is not disturbed.
            let Ok(_turn) = self.turn.try_lock() else { continue };
            joint_since = if self.is_joint() { joint_since.or(Some(Instant::now())) } else { None };
            if let Some((ids, change)) = self.cut_short(joint_since) {
                self.finish("a change of the membership was cut short and goes on", (ids, change, false)).await;
            } else if let Some(ready) = self.caught_up().filter(|ready| self.may_promote(ready)) {
                let change = ChangeMembers::AddVoterIds(ready.clone());
                self.finish("these nodes vote now", (ready, change, true)).await;
            }
        }
    }

    async fn finish(&self, what: &str, (nodes, change, retain): (BTreeSet<NodeId>, Changing, bool)) {
        let changed = self.leadership.raft().change_membership(change, retain);
        match tokio::time::timeout(CHANGE_TIMEOUT, changed).await {
            Ok(Ok(_)) => tracing::info!(?nodes, "{what}"),
            Ok(Err(error)) => tracing::warn!(%error, ?nodes, "not yet: {what}"),
            Err(_) => tracing::warn!(?nodes, "not yet, for no majority answers: {what}"),
        }
    }

    /// Whether two sets of voters count, both.
    fn is_joint(&self) -> bool {
        let metrics = self.leadership.raft().metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().get_joint_config().len() > 1
    }

    /// What an earlier leader, or a call that timed out, has left half done.
    fn cut_short(&self, joint_since: Option<Instant>) -> Option<(BTreeSet<NodeId>, Changing)> {
        if !self.leadership.leads() {
            return None;
        }
        let (members, voters) = (self.addresses(), self.voters());
        let is_removed = |id: &NodeId| {
            let row = self.records.read(|rows| crate::records::members::of(rows, *id));
            self.is_member(*id) && row.is_ok_and(|row| row.is_some_and(|row| row.is_removed))
        };
        if let Some(id) = members.into_keys().find(is_removed).filter(|id| voters.iter().any(|voter| voter != id)) {
            return Some((BTreeSet::from([id]), removal(id, &voters)));
        }
        // To what was begun: the voters of the newer set.
        let lasts = joint_since.is_some_and(|since| since.elapsed() > JOINT_MAX);
        lasts.then(|| (voters, ChangeMembers::AddVoterIds(BTreeSet::new())))
    }

    fn caught_up(&self) -> Option<BTreeSet<NodeId>> {
        if !self.leadership.leads() {
            return None;
        }
        let metrics = self.leadership.raft().metrics();
        let metrics = metrics.borrow();
        let last = metrics.last_log_index.unwrap_or(0);
        let voters: BTreeSet<NodeId> = metrics.membership_config.membership().voter_ids().collect();
        let replication = metrics.replication.as_ref()?;
        let is_close = |id: &NodeId| {
            let at = replication.get(id).and_then(|at| at.as_ref()).map(|at| at.index);
            at.is_some_and(|at| at + CLOSE_ENTRIES >= last)
        };
        let ready: BTreeSet<NodeId> = metrics
            .membership_config
            .nodes()
            .map(|(id, _)| *id)
            .filter(|id| !voters.contains(id) && is_close(id))
            .collect();
        (!ready.is_empty()).then_some(ready)
    }

    /// Whether the voters that this leader hears would be a majority with these, too.
    fn may_promote(&self, ready: &BTreeSet<NodeId>) -> bool {
        let next = &self.voters() | ready;
        let lost = quorum::would_be_lost(&next, &self.leases.heard());
        if let Some(silent) = &lost {
            tracing::debug!(?ready, ?silent, "these nodes vote later: the voters that answer would be no majority");
        }
        lost.is_none()
    }

    /// Refuses a set of voters of which no majority answers. A leader that has just begun hears them soon.
    async fn keeps_a_majority(&self, node: NodeId, next: &Voters) -> Result<(), ChangeError> {
        let begun = Instant::now();
        loop {
            let heard = self.leases.heard();
            let Some(silent) = quorum::would_be_lost(next, &heard) else { return Ok(()) };
            if begun.elapsed() > HEARD_TIMEOUT {
                let (left, silent) = (quorum::listed(next), quorum::listed(&silent));
                return Err(ChangeError::Refused(format!(
                    "without node {node} the cluster would have no majority now: of the voters that are left ({left}) these do not answer: {silent}. Start them, or remove those first that are lost; with force (`--force`) it is done all the same, and nothing can be stored until enough of them are back"
                )));
            }
            tokio::time::sleep(HEARD_EVERY).await;
        }
    }

    /// Changes the membership, wherever the leader is.
    pub(crate) async fn change(&self, change: Change) -> Result<(), ChangeError> {
        match self.leadership.route() {
            None => Err(ChangeError::NoLeader),
            Some(Route::Here) => self.change_here(change).await,
            Some(Route::To(leader)) => {
                let body = wire::encode(&Request::Change(change)).map_err(|e| ChangeError::Refused(e.to_string()))?;
                let asked = tokio::time::timeout(2 * CHANGE_TIMEOUT, self.links.call(leader, Kind::Calls, body)).await;
                let answer = asked.map_err(|_| ChangeError::Unknown)?.map_err(|error| match error {
                    super::links::LinkError::Lost => ChangeError::Unknown,
                    _ => ChangeError::NoLeader,
                })?;
                match wire::decode(&answer) {
                    Ok(Answer::Changed(changed)) => changed,
                    Ok(Answer::Unknown) => Err(ChangeError::Refused(format!(
                        "node {leader} leads and runs an older release, which does not know this change"
                    ))),
                    _ => Err(ChangeError::Unknown),
                }
            }
        }
    }

    /// Changes the membership as the leader.
    pub(crate) async fn change_here(&self, change: Change) -> Result<(), ChangeError> {
        if !self.leadership.leads() {
            return Err(ChangeError::NoLeader);
        }
        let changed = tokio::time::timeout(CHANGE_TIMEOUT, async {
            let _turn = self.turn.lock().await;
            // A leader that has just begun may not have applied what earlier ones have recorded.
            self.records.catch_up().await.map_err(|_| ChangeError::NoLeader)?;
            match change {
                Change::Add { node, address } => self.add(node, &address).await,
                Change::Remove { node } => self.remove(node, false).await,
                Change::RemoveAnyway { node } => self.remove(node, true).await,
                Change::Move { node, address } => self.move_to(node, address).await,
            }
        });
        changed.await.unwrap_or(Err(ChangeError::Unknown))
    }

    async fn add(&self, node: NodeId, address: &str) -> Result<(), ChangeError> {
        let address = crate::config::peer_address(address).map_err(ChangeError::Refused)?;
        if self.is_member(node) {
            let known = self.addresses().remove(&node).unwrap_or_default();
            let message = format!("node {node} is a member already, at {known}");
            return if known == address { Ok(()) } else { Err(ChangeError::Refused(message)) };
        }
        if let Some((other, _)) = self.addresses().iter().find(|(id, at)| at.as_str() == address && **id != node) {
            return Err(ChangeError::Refused(format!("{address} is the address of node {other} already")));
        }
        let party = self.meet(node, address).await?;
        if self.record(Op::EnterNode { node, incarnation: party.incarnation }).await? {
            tracing::info!(node, address, "adding a node, as a learner first");
        }
        let added = self.leadership.raft().add_learner(node, BasicNode::new(address), false).await;
        added.map(|_| ()).map_err(not_changed)
    }

    async fn remove(&self, node: NodeId, is_forced: bool) -> Result<(), ChangeError> {
        if !self.is_member(node) {
            // Once more, in case an earlier removal was cut short.
            return if self.is_known(node) {
                self.record(Op::RemoveNode { node }).await.map(|_| ())
            } else {
                Err(ChangeError::Refused(format!("node {node} is no member; `carillon cluster status` lists them")))
            };
        }
        let voters = self.voters();
        if voters.iter().all(|id| *id == node) {
            return Err(ChangeError::Refused(format!(
                "node {node} is the only one that votes: without it there is no cluster"
            )));
        }
        let next: Voters = voters.iter().copied().filter(|id| *id != node).collect();
        if !is_forced && next.len() < voters.len() {
            self.keeps_a_majority(node, &next).await?;
        }
        // The records first: were this the leader that goes, it could not say so afterwards. A node counts as removed
        // once it is in the records and out of the membership; between the two, whoever leads sees to the rest.
        self.record(Op::RemoveNode { node }).await?;
        let removed = self.leadership.raft().change_membership(removal(node, &voters), false).await;
        removed.map_err(|error| {
            tracing::warn!(%error, node, "a node is still a member that was removed: the leader goes on with it");
            ChangeError::Unknown
        })?;
        tracing::info!(node, "a node was removed from the cluster");
        Ok(())
    }

    /// A member is reached elsewhere from now on. That it is the same node, each handshake checks.
    async fn move_to(&self, node: NodeId, address: String) -> Result<(), ChangeError> {
        if !self.is_member(node) {
            return Err(ChangeError::Refused(format!("node {node} is no member")));
        }
        let nodes = BTreeMap::from([(node, BasicNode::new(address))]);
        let moved = self.leadership.raft().change_membership(ChangeMembers::SetNodes(nodes), true).await;
        moved.map(|_| ()).map_err(not_changed)
    }

    /// Sees to it that the log has the address at which peers reach this node; ends with `shutdown`.
    pub(crate) async fn keep_address(self, address: String, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.say_where(address.clone()).await {
                tracing::debug!(%error, "the other nodes are told of this node's address later");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(ADDRESS_EVERY) => {}
            }
        }
    }

    async fn say_where(&self, address: String) -> Result<(), ChangeError> {
        let node = self.leadership.node();
        let metrics = self.leadership.raft().metrics().borrow().membership_config.clone();
        let known = metrics.membership().get_node(&node).map(|node| node.addr.clone());
        match known {
            Some(known) if known != address => self.change(Change::Move { node, address }).await,
            _ => Ok(()),
        }
    }

    /// Who is at an address; what is wrong with it, if anything is.
    async fn meet(&self, node: NodeId, address: &str) -> Result<Party, ChangeError> {
        let met = self.links.dial(address, node, Kind::Calls).await;
        met.map(|(party, ..)| party)
            .map_err(|error| ChangeError::Refused(format!("node {node} was not found at {address}: {error}")))
    }

    async fn record(&self, op: Op) -> Result<bool, ChangeError> {
        match self.records.propose(&Tenant::default(), op).await {
            Ok(committed) => match committed.reply {
                Reply::Rejected(why) => Err(ChangeError::Refused(why.to_string())),
                reply => Ok(reply == Reply::Done),
            },
            Err(ProposeError::OutcomeUnknown) => Err(ChangeError::Unknown),
            Err(ProposeError::NoQuorum) => Err(ChangeError::NoLeader),
            Err(error) => Err(ChangeError::Refused(error.to_string())),
        }
    }

    pub(super) fn voters(&self) -> Voters {
        self.leadership.voters().into_iter().collect()
    }

    fn is_member(&self, node: NodeId) -> bool {
        self.leadership.raft().metrics().borrow().membership_config.membership().get_node(&node).is_some()
    }

    fn is_known(&self, node: NodeId) -> bool {
        self.records.read(|rows| crate::records::members::of(rows, node)).is_ok_and(|row| row.is_some())
    }
}

fn removal(node: NodeId, voters: &BTreeSet<NodeId>) -> Changing {
    let ids = BTreeSet::from([node]);
    if voters.contains(&node) { ChangeMembers::RemoveVoters(ids) } else { ChangeMembers::RemoveNodes(ids) }
}

/// What is known of a change that openraft has not confirmed.
fn not_changed(error: RaftError<NodeId, ClientWriteError<NodeId, BasicNode>>) -> ChangeError {
    match error {
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => ChangeError::Refused(error.to_string()),
        // An entry that this node has dropped may live on another, and be committed by that one.
        _ => ChangeError::Unknown,
    }
}
