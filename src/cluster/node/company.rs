//! A node with company: its links, finding or forming its cluster, catching up with it, its first words in the log.

use super::{Node, Surroundings, open::StartError};
use crate::{
    cluster::{
        identity::{ClusterId, Identity},
        leader::{Leadership, Route},
        links::{
            self, Applied, LinkError, Links, accept,
            frame::{Frame, Tag},
            hello::ANYBODY,
            kind::Kind,
        },
        membership::{MemberStatus, Membership},
        service::{PeerEvent, Service},
        transfer::Receiving,
        wire::{self, Answer, Change, ChangeError, Request},
    },
    config,
    protocol::{NodeId, Tenant},
    records::{Op, ProposeError, Records, Rejection, Reply, members, presence},
};
use bytes::Bytes;
use carillon_storage::{log::Log, snapshot::Snapshots, tables::Tables};
use openraft::BasicNode;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;

/// Pause between two looks at whether what is waited for has come.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a node that waits says for whom.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// How long another node may take for a small answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before a refused or unanswered request to join is made again.
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// What is needed before openraft runs.
pub(super) struct Prepared {
    pub(super) links: Links,
    identity: Arc<Identity>,
    listener: TcpListener,
    epoch: u64,
}

/// What a node has when it may have company; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Company {
    pub(crate) links: Links,
    pub(crate) identity: Arc<Identity>,
    pub(crate) membership: Membership,
    pub(crate) service: Service,
    settings: Arc<config::Cluster>,
    epoch: u64,
}

/// What a node knows of its cluster.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// The cluster's name; `None` for a node without company.
    pub cluster: Option<ClusterId>,
    /// Who leads, as this node knows.
    pub leader: Option<NodeId>,
    /// The term.
    pub term: u64,
    /// The last entry that this node has applied.
    pub applied_index: u64,
    /// Everybody, this node included.
    pub members: Vec<MemberStatus>,
}

impl Prepared {
    /// Begins this boot and binds the peers' listener.
    pub(super) async fn new(
        around: &Surroundings<'_>,
        identity: Arc<Identity>,
        (log, tables, applied): (&Log, &Tables, watch::Receiver<u64>),
    ) -> Result<Self, StartError> {
        let settings = &around.config.cluster;
        let state = log.state();
        let node = identity.node();
        let known = presence::epoch_of(&tables.reader(), node)?;
        // Boots that the tables don't know of yet are in the log: no more of them than entries.
        let seen = known + state.entries.end.saturating_sub(*applied.borrow());
        let was_alone = state.vote.is_some() && identity.cluster().is_none();
        let begun = identity.clone();
        let epoch = tokio::task::spawn_blocking(move || {
            if was_alone {
                // It was a cluster of its own already, without a name.
                begun.found_cluster()?;
                begun.formed()?;
            }
            begun.begin_boot(seen)
        });
        let epoch = epoch.await??;
        let address = settings.listen.unwrap_or_else(|| std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| StartError::Listen { address, source })?;
        let links = Links::new(links::Parts {
            settings,
            identity: identity.clone(),
            epoch,
            tables: tables.clone(),
            applied,
            tracker: around.tracker,
            shutdown: around.shutdown,
        })?;
        Ok(Self { links, identity, listener, epoch })
    }

    /// Lets peers in, and keeps links to them.
    pub(super) fn open(
        self,
        around: &Surroundings<'_>,
        (leadership, records, snapshots): (&Leadership, &Records, &Snapshots),
    ) -> Company {
        let Self { links, identity, listener, epoch } = self;
        let settings = &around.config.cluster;
        let membership = Membership {
            links: links.clone(),
            leadership: leadership.clone(),
            records: records.clone(),
            configured: Arc::new(settings.peers.clone()),
        };
        let (raft, snapshots) = (leadership.raft().clone(), snapshots.clone());
        let receiving = Receiving { raft, snapshots, identity: identity.clone() };
        let service = Service::new(leadership.clone(), membership.clone(), receiving);
        let (tracker, shutdown) = (around.tracker, around.shutdown);
        tracker.spawn(accept::listen(listener, (links.clone(), service.clone()), shutdown.clone()));
        tracker.spawn(membership.clone().follow(shutdown.clone()));
        tracker.spawn(membership.clone().promote(shutdown.clone()));
        tracker.spawn(membership.clone().guard_elections(shutdown.clone()));
        Company { links, identity, membership, service, settings: Arc::new(settings.clone()), epoch }
    }
}

impl Company {
    /// Where peers reach this node.
    fn own_address(&self) -> String {
        self.settings.address_of(self.identity.node()).unwrap_or_default()
    }

    /// Those that form the cluster together; without a list this node alone.
    fn founders(&self) -> BTreeMap<NodeId, String> {
        if self.settings.peers.is_empty() {
            return BTreeMap::from([(self.identity.node(), self.own_address())]);
        }
        self.settings.peers.clone()
    }

    /// Asks a node of the cluster to have this one added.
    async fn ask_to_join(&self, at: &str) -> Result<(), ChangeError> {
        let no_leader = |_| ChangeError::NoLeader;
        let (_, mut reader, mut writer) = self.links.dial(at, ANYBODY, Kind::Join).await.map_err(|error| {
            tracing::warn!(%error, at, "the cluster cannot be asked yet");
            ChangeError::NoLeader
        })?;
        let request = Request::Join { node: self.identity.node(), address: self.own_address() };
        let body = wire::encode(&request).map_err(|error| ChangeError::Refused(error.to_string()))?;
        writer.send(Frame::new(Tag::Request, 1, body)).await.map_err(no_leader)?;
        let frame = reader.next().await.map_err(|_| ChangeError::Unknown)?.ok_or(ChangeError::Unknown)?;
        match wire::decode(&frame.body) {
            Ok(Answer::Changed(changed)) => changed,
            _ => Err(ChangeError::Unknown),
        }
    }
}

impl Node {
    /// Forms, finds or comes back to the cluster, and applies everything that was answered anywhere; the boot's number.
    pub(super) async fn catch_up(&self, company: &Company, shutdown: &CancellationToken) -> Result<u64, StartError> {
        let caught_up = async {
            self.become_member(company).await?;
            let read = self.read_index(company).await;
            let applied = self.raft.wait(None).applied_index_at_least(Some(read), "start-up").await;
            applied.map_err(|error| StartError::Raft(error.to_string()))?;
            Ok(company.epoch)
        };
        self.unless_refused(company, shutdown, caught_up).await
    }

    /// Runs a part of the start, unless the cluster refuses this node or the process is to stop.
    async fn unless_refused<T>(
        &self,
        company: &Company,
        shutdown: &CancellationToken,
        start: impl Future<Output = Result<T, StartError>>,
    ) -> Result<T, StartError> {
        let mut refused = company.links.watch_refused();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(self.failure().map_or(StartError::Stopped, StartError::Refused)),
            why = refused.wait_for(Option::is_some) => {
                Err(StartError::Refused(why.ok().and_then(|why| why.clone()).unwrap_or_default()))
            }
            done = start => done,
        }
    }

    /// Waits until this node is in a membership, having done what is its own part in that.
    async fn become_member(&self, company: &Company) -> Result<(), StartError> {
        let raft_error = |e: &dyn std::fmt::Display| StartError::Raft(e.to_string());
        let founders = company.founders();
        let is_first = founders.keys().next() == Some(&company.identity.node());
        let mut said = Instant::now() - SAY_EVERY;
        let mut may_ask_at = Instant::now();
        while !self.raft.is_initialized().await.map_err(|e| raft_error(&e))? {
            if let Some(at) = &company.settings.join {
                if Instant::now() >= may_ask_at {
                    may_ask_at = Instant::now() + JOIN_PAUSE;
                    match company.ask_to_join(at).await {
                        Ok(()) => {
                            tracing::info!(at, "the cluster adds this node");
                            may_ask_at += SAY_EVERY;
                        }
                        Err(ChangeError::Refused(why)) => return Err(StartError::Refused(why)),
                        Err(error) => tracing::warn!(%error, at, "asking again to join"),
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
                tracing::info!("waiting: {}", waits_for(company, &founders));
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

    /// Up to where everything is that was ever answered: asks the leader, whoever that is, until it says.
    async fn read_index(&self, company: &Company) -> u64 {
        let mut said = Instant::now();
        loop {
            let index = match self.leadership.route() {
                None => None,
                Some(Route::Here) => self.leadership.read_index().await,
                Some(Route::To(leader)) => ask_read_index(&company.links, leader).await,
            };
            if let Some(index) = index {
                return index;
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                tracing::info!("waiting for a leader: {}", waits_for(company, &company.membership.addresses()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// This boot's first words in the log.
    pub(super) async fn begin_boot(&self, company: &Company, shutdown: &CancellationToken) -> Result<(), StartError> {
        let incarnation = company.identity.incarnation();
        let begun = async {
            self.insist(Op::NodeStarted).await?;
            self.insist(Op::EnterNode { node: company.identity.node(), incarnation }).await?;
            // Each enters itself, but may be wiped before it does.
            for (node, (party, _)) in company.links.met_peers() {
                if self.records.read(|rows| members::of(rows, node))?.is_none() {
                    self.insist(Op::EnterNode { node, incarnation: party.incarnation }).await?;
                }
            }
            if let Err(error) = company.membership.say_where(company.own_address()).await {
                tracing::warn!(%error, "the other nodes are not told of this node's address yet");
            }
            Ok(())
        };
        self.unless_refused(company, shutdown, begun).await
    }

    /// Proposes until it is done. A full disk refuses every change, and serves every read.
    async fn insist(&self, op: Op) -> Result<(), StartError> {
        loop {
            match self.records.propose(&Tenant::default(), op.clone()).await {
                Ok(committed) => match committed.reply {
                    Reply::Rejected(why @ (Rejection::Wiped { .. } | Rejection::Removed { .. })) => {
                        return Err(StartError::Refused(why.to_string()));
                    }
                    _ => return Ok(()),
                },
                Err(ProposeError::DiskFull) => return Ok(()),
                Err(error) => tracing::debug!(%error, "the boot is announced again"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What this node knows of its cluster.
    pub fn cluster_status(&self) -> ClusterStatus {
        let metrics = self.raft.metrics().borrow().clone();
        ClusterStatus {
            cluster: self.company.as_ref().and_then(|company| company.identity.cluster()),
            leader: metrics.current_leader,
            term: metrics.current_term,
            applied_index: metrics.last_applied.map_or(0, |id| id.index),
            members: self.company.as_ref().map_or_else(Vec::new, |company| company.membership.status()),
        }
    }

    /// Sends an ephemeral event to another node: at most once, in order with the others, never waiting.
    ///
    /// # Errors
    /// When there is no link, or too much waits for it: the event is lost.
    pub fn send_event(&self, node: NodeId, event: Bytes) -> Result<(), LinkError> {
        let company = self.company.as_ref().ok_or(LinkError::Down)?;
        company.links.send_event(node, event)
    }

    /// Events of other nodes from now on, in the order in which each sent them; at most `limit` wait. The last one that
    /// subscribes gets them.
    pub fn subscribe_events(&self, limit: usize) -> mpsc::Receiver<PeerEvent> {
        match &self.company {
            Some(company) => company.service.subscribe(limit),
            None => mpsc::channel(1).1,
        }
    }

    /// How far every other node has applied the log, as it said last; `None` for a node that is alone.
    pub fn watch_applied(&self) -> Option<watch::Receiver<BTreeMap<NodeId, Applied>>> {
        self.company.as_ref().map(|company| company.links.watch_applied())
    }

    /// Adds a node to the cluster: a learner first, a voter once it has caught up.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn add_member(&self, node: NodeId, address: String) -> Result<(), ChangeError> {
        let company = self.company.as_ref().ok_or(ChangeError::Alone)?;
        company.membership.change(Change::Add { node, address }).await
    }

    /// Takes a node out of the cluster, for ever.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn remove_member(&self, node: NodeId) -> Result<(), ChangeError> {
        let company = self.company.as_ref().ok_or(ChangeError::Alone)?;
        company.membership.change(Change::Remove { node }).await
    }
}

async fn ask_read_index(links: &Links, leader: NodeId) -> Option<u64> {
    let body = wire::encode(&Request::ReadIndex).ok()?;
    let asked = tokio::time::timeout(ASK_TIMEOUT, links.call(leader, Kind::Calls, body)).await;
    match wire::decode(&asked.ok()?.ok()?) {
        Ok(Answer::ReadIndex(index)) => index,
        _ => None,
    }
}

/// For people.
fn waits_for(company: &Company, nodes: &BTreeMap<NodeId, String>) -> String {
    let own = company.identity.node();
    let missing: Vec<String> = nodes
        .iter()
        .filter(|(id, _)| **id != own && !company.links.is_up(**id, Kind::Calls))
        .map(|(id, address)| format!("node {id} at {address}"))
        .collect();
    match (missing.is_empty(), company.settings.join.is_some()) {
        (false, _) => format!("no link to {}", missing.join(", ")),
        (true, true) => "the cluster has not called yet".into(),
        (true, false) if company.identity.cluster().is_some() => {
            let own_address = company.own_address();
            format!("the cluster has not called yet; `carillon cluster add {own} {own_address}` makes it")
        }
        (true, false) => "every node is there".into(),
    }
}
