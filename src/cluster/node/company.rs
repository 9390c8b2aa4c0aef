//! A node with company: its links, catching up with its cluster, its first words in the log, changing who belongs.

use super::{
    Node, Surroundings,
    open::{self, StartError},
    standing::{Lease, Return},
};
use crate::{
    broker::Interests,
    cluster::{
        clocks::ClockWatch,
        counts::Counts,
        edges::EdgeKeeper,
        elections::Elections,
        features::Raiser,
        identity::{ClusterId, Identity},
        inward::{Inward, Tellers},
        leader::Leadership,
        lease::Leases,
        links::{self, Links, accept},
        membership::Membership,
        outward::Outward,
        reads::Reads,
        service::Service,
        state_machine::{Counting, CountingSlot},
        status::MemberStatus,
        transfer::Receiving,
        wire::{Change, ChangeError},
    },
    config::{self, limits::OUTWARD_QUEUE_MAX},
    protocol::{NodeId, Tenant},
    records::{Op, ProposeError, Records, Rejection, Reply, features, journal, members, presence},
};
use carillon_storage::{log::Log, snapshot::Snapshots, tables::Tables};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

/// Pause between two looks at whether what is waited for has come.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a node that waits says for whom.
pub(super) const SAY_EVERY: Duration = Duration::from_secs(5);

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
    interests: Interests,
    reads: Reads,
    pub(super) leases: Leases,
    /// This node goes, and takes no other place any more.
    pub(super) leaving: CancellationToken,
    pub(super) settings: Arc<config::Cluster>,
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
    /// What every member understands.
    pub feature_level: u32,
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
        let level = features::level(&tables.reader())?;
        if level > settings.feature_level {
            return Err(StartError::TooOld { level, features: settings.feature_level });
        }
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

    /// Lets peers in, keeps links to them, and takes a place among them.
    pub(super) fn open(
        self,
        around: &Surroundings<'_>,
        (leadership, records, snapshots): (&Leadership, &Records, &Snapshots),
        counting: &CountingSlot,
    ) -> Company {
        let Self { links, identity, listener, epoch } = self;
        let settings = &around.config.cluster;
        let (raft, snapshots) = (leadership.raft().clone(), snapshots.clone());
        let reserve_bytes = around.config.storage.reserve_bytes;
        let receiving = Receiving { raft, snapshots, identity: identity.clone(), reserve_bytes };
        let length = Duration::from_millis(settings.fence_ms);
        let leases = Leases::new(
            (leadership.clone(), records.clone()),
            links.watch_applied(),
            (length, Duration::from_millis(settings.down_ms)),
        );
        let membership = Membership {
            links: links.clone(),
            leadership: leadership.clone(),
            records: records.clone(),
            leases: leases.clone(),
            configured: Arc::new(settings.peers.clone()),
            turn: Arc::default(),
        };
        let (service, events) = Service::new(
            (leadership.clone(), leases.clone()),
            membership.clone(),
            receiving,
            (around.broker.clone(), settings.public_url.clone()),
        );
        let (tracker, shutdown) = (around.tracker, around.shutdown);
        let (interests, line) = around.broker.take_place(OUTWARD_QUEUE_MAX);
        let counts = Counts::default();
        let tellers = Tellers::start(links.clone(), shutdown.clone());
        *counting.lock() = Some(Counting { node: identity.node(), counts: counts.clone(), tellers: tellers.clone() });
        let outward =
            Outward { links: links.clone(), records: records.clone(), counts: counts.clone(), node: identity.node() };
        tracker.spawn(outward.run(line, shutdown.clone()));
        let inward =
            Inward { broker: around.broker.clone(), counts, tellers, position: records.progress().watch_position() };
        tracker.spawn(inward.run(events, shutdown.clone()));
        let reads = Reads { leadership: leadership.clone(), links: links.clone() };
        tracker.spawn(reads.clone().serve(records.barrier().begin(), shutdown.clone()));
        tracker.spawn(accept::listen(listener, (links.clone(), service.clone()), shutdown.clone()));
        see_to_a_leader(around, &membership);
        let company = Company {
            links,
            identity,
            membership,
            service,
            interests,
            reads,
            leases,
            leaving: shutdown.child_token(),
            settings: Arc::new(settings.clone()),
            epoch,
        };
        let lease = Lease {
            broker: around.broker.clone(),
            records: records.clone(),
            leadership: leadership.clone(),
            company: company.clone(),
            length,
        };
        // Also while it leaves: the leader counts on being asked.
        tracker.spawn(lease.keep(shutdown.clone()));
        company
    }
}

/// Starts what keeps the cluster led, and what whoever leads does for it.
fn see_to_a_leader(around: &Surroundings<'_>, membership: &Membership) {
    let Membership { links, leadership, records, leases, .. } = membership.clone();
    let (tracker, shutdown) = (around.tracker, around.shutdown);
    let elections = Elections { leadership: leadership.clone(), links: links.clone() };
    tracker.spawn(elections.guard(shutdown.clone()));
    tracker.spawn(leadership.clone().watch_core(shutdown.clone()));
    tracker.spawn(membership.handover().when_disk_is_full(shutdown.clone()));
    tracker.spawn(membership.clone().follow(shutdown.clone()));
    tracker.spawn(membership.clone().tend(shutdown.clone()));
    tracker.spawn(leases.watch(shutdown.clone()));
    let watch =
        ClockWatch { links: links.clone(), leadership: leadership.clone(), clocks: leadership.clocks().clone() };
    tracker.spawn(watch.run(shutdown.clone()));
    let raiser = Raiser { leadership, links, records, own: around.config.cluster.feature_level };
    tracker.spawn(raiser.run(shutdown.clone()));
}

impl Company {
    /// Starts what a node does among others once it has begun its boot; `epoch` tells the proposer of another one.
    pub(super) fn take_part(
        &self,
        around: &Surroundings<'_>,
        (leadership, records): (&Leadership, &Records),
        epoch: watch::Sender<u64>,
    ) {
        let (tracker, shutdown) = (around.tracker, around.shutdown);
        let keeper = EdgeKeeper {
            interests: self.interests.clone(),
            records: records.clone(),
            links: self.links.clone(),
            leadership: leadership.clone(),
        };
        tracker.spawn(keeper.run(shutdown.clone()));
        tracker.spawn(self.membership.clone().keep_address(self.own_address(), shutdown.clone()));
        let (broker, records) = (around.broker.clone(), records.clone());
        let back = Return { broker, records, company: self.clone(), epoch };
        tracker.spawn(back.keep(self.leaving.clone()));
    }

    /// Up to where everything is that was ever answered: asks the leader, whoever that is, until it says.
    pub(super) async fn read_index(&self) -> u64 {
        let mut said = Instant::now();
        loop {
            if let Some(index) = self.reads.index().await {
                return index;
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                tracing::info!("waiting for a leader: {}", self.waits_for(&self.membership.addresses()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Where peers reach this node.
    pub(super) fn own_address(&self) -> String {
        self.settings.address_of(self.identity.node()).unwrap_or_default()
    }
}

impl Node {
    /// Forms, finds or comes back to the cluster, and applies everything that was answered anywhere; the boot's number.
    pub(super) async fn catch_up(&self, company: &Company, shutdown: &CancellationToken) -> Result<u64, StartError> {
        let caught_up = async {
            self.become_member(company).await?;
            let read = company.read_index().await;
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

    /// This boot's first words in the log; false if no disk of the cluster has room for them. They follow when one has.
    pub(super) async fn begin_boot(&self, company: &Company, shutdown: &CancellationToken) -> Result<bool, StartError> {
        let incarnation = company.identity.incarnation();
        let begun = async {
            let stands = self.insist(Op::NodeStarted).await?;
            self.insist(Op::EnterNode { node: company.identity.node(), incarnation }).await?;
            // Of several nodes at once the first one's counts.
            if self.records.read(|rows| journal::history(rows))?.is_none() {
                self.insist(Op::BeginHistory { id: open::new_history() }).await?;
            }
            // Each enters itself, but may be wiped before it does.
            for (node, (party, _)) in company.links.met_peers() {
                if self.records.read(|rows| members::of(rows, node))?.is_none() {
                    self.insist(Op::EnterNode { node, incarnation: party.incarnation }).await?;
                }
            }
            Ok(stands)
        };
        self.unless_refused(company, shutdown, begun).await
    }

    /// Waits until this node may publish and let sessions in: the leader counts it in, and it knows whom others have.
    pub(super) async fn take_place(&self, company: &Company, shutdown: &CancellationToken) -> Result<(), StartError> {
        let placed = async {
            while self.broker.is_fenced() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        self.unless_refused(company, shutdown, placed).await
    }

    /// Proposes until it is done; false if the leader's disk is full, which refuses every change and serves every read.
    async fn insist(&self, op: Op) -> Result<bool, StartError> {
        loop {
            match self.records.propose(&Tenant::default(), op.clone()).await {
                Ok(committed) => match committed.reply {
                    Reply::Rejected(why @ (Rejection::Wiped { .. } | Rejection::Removed { .. })) => {
                        return Err(StartError::Refused(why.to_string()));
                    }
                    _ => return Ok(true),
                },
                Err(ProposeError::DiskFull) => return Ok(false),
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
            feature_level: self.records.read(|rows| features::level(rows)).unwrap_or(1),
            members: self.company.as_ref().map_or_else(Vec::new, |company| company.membership.status()),
        }
    }

    /// Adds a node to the cluster: a learner first, a voter once it has caught up.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn add_member(&self, node: NodeId, address: String) -> Result<(), ChangeError> {
        let company = self.company.as_ref().ok_or(ChangeError::Alone)?;
        company.membership.change(Change::Add { node, address }).await
    }

    /// Takes a node out of the cluster, for ever. Refused when the voters that answer are no majority of those that are
    /// left, unless it is forced.
    ///
    /// # Errors
    /// See [`ChangeError`].
    pub async fn remove_member(&self, node: NodeId, is_forced: bool) -> Result<(), ChangeError> {
        let company = self.company.as_ref().ok_or(ChangeError::Alone)?;
        let change = if is_forced { Change::RemoveAnyway { node } } else { Change::Remove { node } };
        company.membership.change(change).await
    }
}
