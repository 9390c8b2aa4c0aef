//! Links between nodes: one connection for each kind of traffic and direction, proven on both sides, framed, bounded.
//!
//! Whoever dials asks; whoever accepts answers. [`hello`] is what is said first, [`handshake`] says it, [`frame`] is
//! what follows, [`mod@line`] keeps a link up, [`accept`] is the listener.

pub(crate) mod accept;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod hello;
pub(crate) mod kind;
mod line;
mod tls;

pub use line::LinkError;
pub use tls::LinkTlsError;

use super::identity::{Identity, Incarnation};
use crate::{
    config::{self, limits::LINK_HANDSHAKE_TIMEOUT},
    protocol::NodeId,
    records::{features, members},
    telemetry::names,
};
use bytes::Bytes;
use carillon_storage::tables::Tables;
use frame::{Reader, Stream, Writer, frames};
use handshake::HandshakeError;
use hello::{Known, Nonce, Party, Prover, Refusal, judge};
use kind::Kind;
use line::Line;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long the same complaint is not said again.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(30);
/// Complaints that are remembered.
const COMPLAINTS_MAX: usize = 64;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub struct Links {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    identity: Arc<Identity>,
    epoch: u64,
    features: u32,
    prover: Prover,
    tls: Option<tls::LinkTls>,
    tables: Tables,
    own_applied: watch::Receiver<u64>,
    peers: Mutex<BTreeMap<NodeId, Peer>>,
    /// How far peers have applied, as they said; the version changes with it.
    applied: watch::Sender<BTreeMap<NodeId, Applied>>,
    refused: watch::Sender<Option<String>>,
    /// False for a node that waits to be added: any node of its cluster may call it.
    knows_members: AtomicBool,
    /// Counts changes of who is a member.
    memberships: watch::Sender<u64>,
    said: Mutex<HashMap<String, Instant>>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

/// A peer that this node keeps links to.
#[derive(Debug)]
struct Peer {
    address: String,
    lines: Vec<(Kind, Line)>,
    stop: CancellationToken,
    met: Option<Party>,
    rtt: Option<Duration>,
}

/// How far a peer has applied the log, in which of its boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its boot.
    pub epoch: u64,
    /// The last entry.
    pub index: u64,
}

/// What links are made of.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) settings: &'a config::Cluster,
    pub(crate) identity: Arc<Identity>,
    pub(crate) epoch: u64,
    /// What the cluster knows of node ids.
    pub(crate) tables: Tables,
    /// How far this node has applied.
    pub(crate) applied: watch::Receiver<u64>,
    pub(crate) tracker: &'a TaskTracker,
    pub(crate) shutdown: &'a CancellationToken,
}

impl Links {
    /// Ready to dial; nobody is dialled yet.
    pub(crate) fn new(parts: Parts<'_>) -> Result<Self, LinkTlsError> {
        let inner = Inner {
            identity: parts.identity,
            epoch: parts.epoch,
            features: parts.settings.feature_level,
            prover: Prover::new(&parts.settings.secret),
            tls: parts.settings.tls.as_ref().map(tls::LinkTls::new).transpose()?,
            tables: parts.tables,
            own_applied: parts.applied,
            peers: Mutex::default(),
            applied: watch::Sender::default(),
            refused: watch::Sender::default(),
            knows_members: AtomicBool::new(false),
            memberships: watch::Sender::default(),
            said: Mutex::default(),
            tracker: parts.tracker.clone(),
            shutdown: parts.shutdown.clone(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Keeps links to these nodes, and to no others; they are the members that this node knows.
    pub(crate) fn set_peers(&self, wanted: &BTreeMap<NodeId, String>) {
        self.inner.knows_members.store(!wanted.is_empty(), Ordering::Release);
        self.change_peers(wanted);
        self.inner.memberships.send_modify(|count| *count += 1);
    }

    fn change_peers(&self, wanted: &BTreeMap<NodeId, String>) {
        let own = self.inner.identity.node();
        let mut peers = self.inner.peers.lock();
        peers.retain(|id, peer| {
            let stays = wanted.get(id) == Some(&peer.address);
            if !stays {
                peer.stop.cancel();
            }
            stays
        });
        for (id, address) in wanted.iter().filter(|(id, _)| **id != own) {
            peers.entry(*id).or_insert_with(|| {
                let stop = self.inner.shutdown.child_token();
                let start = |kind| (kind, Line::start(self, (*id, address), kind, stop.clone()));
                let lines = Kind::LASTING.into_iter().map(start).collect();
                Peer { address: address.clone(), lines, stop: stop.clone(), met: None, rtt: None }
            });
        }
    }

    /// Asks a node and waits for its answer.
    pub(crate) async fn call(&self, node: NodeId, kind: Kind, body: Bytes) -> Result<Bytes, LinkError> {
        let line = self.line(node, kind).ok_or(LinkError::Down)?;
        line.request(body).await
    }

    /// Sends an event to a node: at most once, in order with the others, never waiting.
    ///
    /// # Errors
    /// When there is no link, or too much waits for it.
    pub(crate) fn send_event(&self, node: NodeId, event: Bytes) -> Result<(), LinkError> {
        self.line(node, Kind::Events).ok_or(LinkError::Down)?.message(event)
    }

    /// The nodes that this one keeps links to.
    pub(crate) fn peers(&self) -> Vec<NodeId> {
        self.inner.peers.lock().keys().copied().collect()
    }

    /// Where a node is dialled.
    pub(crate) fn address_of(&self, node: NodeId) -> Option<String> {
        self.inner.peers.lock().get(&node).map(|peer| peer.address.clone())
    }

    /// Whether a link of this kind is up and the node was heard on it so lately.
    pub(crate) fn was_heard_within(&self, node: NodeId, kind: Kind, time: Duration) -> bool {
        self.line(node, kind).is_some_and(|line| line.was_heard_within(time))
    }

    /// Whether a link of this kind to the node is up.
    pub(crate) fn is_up(&self, node: NodeId, kind: Kind) -> bool {
        self.line(node, kind).is_some_and(|line| line.is_up())
    }

    /// How far each peer has applied the log, as it said last; changes are watched.
    pub(crate) fn watch_applied(&self) -> watch::Receiver<BTreeMap<NodeId, Applied>> {
        self.inner.applied.subscribe()
    }

    /// Whom this node has met at the other end of its links, and how long a ping takes.
    pub(crate) fn met_peers(&self) -> BTreeMap<NodeId, (Party, Option<Duration>)> {
        let peers = self.inner.peers.lock();
        peers.iter().filter_map(|(id, peer)| Some((*id, (peer.met.clone()?, peer.rtt)))).collect()
    }

    /// Why this node can't be one of its cluster any more, once a peer has said so.
    pub(crate) fn watch_refused(&self) -> watch::Receiver<Option<String>> {
        self.inner.refused.subscribe()
    }

    /// One connection of its own.
    pub(crate) async fn dial(
        &self,
        address: &str,
        to: NodeId,
        kind: Kind,
    ) -> Result<(Party, Reader, Writer), HandshakeError> {
        let connect = async {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let mut stream: Stream = match self.tls() {
                Some(tls) => tls.connect(address, tcp).await?,
                None => Box::new(tcp),
            };
            let peer = handshake::dial(self, &mut stream, (to, kind)).await?;
            let (reader, writer) = frames(stream, kind);
            Ok((peer, reader, writer))
        };
        let dialled = tokio::time::timeout(LINK_HANDSHAKE_TIMEOUT, connect).await;
        let dialled = dialled.unwrap_or(Err(HandshakeError::Slow));
        if let Err(HandshakeError::Refused(refusal)) = &dialled {
            self.note_refusal(refusal);
        }
        dialled
    }

    fn note_refusal(&self, refusal: &Refusal) {
        if refusal.is_final_for(self.inner.identity.node()) {
            self.inner.refused.send_replace(Some(refusal.to_string()));
        }
    }

    fn line(&self, node: NodeId, kind: Kind) -> Option<Line> {
        let peers = self.inner.peers.lock();
        peers.get(&node)?.lines.iter().find(|(of, _)| *of == kind).map(|(_, line)| line.clone())
    }

    fn own(&self) -> Party {
        let identity = &self.inner.identity;
        let (node, incarnation) = (identity.node(), identity.incarnation());
        let level = features::level(&self.inner.tables.reader()).unwrap_or_else(|error| {
            tracing::error!(%error, "the cluster's feature level cannot be read");
            1
        });
        let (epoch, cluster, features) = (self.inner.epoch, identity.cluster(), self.inner.features);
        Party { node, incarnation, epoch, cluster, features, level }
    }

    fn known(&self, node: NodeId) -> Known {
        let row = members::of(&self.inner.tables.reader(), node).unwrap_or_else(|error| {
            tracing::error!(%error, node, "what is known of a node cannot be read");
            None
        });
        let knows_members = self.inner.knows_members.load(Ordering::Acquire);
        let is_member = !knows_members || self.inner.peers.lock().contains_key(&node);
        Known {
            is_member,
            incarnation: row.as_ref().map(|member| member.incarnation).filter(|known| *known != Incarnation::default()),
            is_removed: !is_member && row.is_some_and(|member| member.is_removed),
        }
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 32];
        if aws_lc_rs::rand::fill(&mut nonce).is_err() {
            // A number that was used before proves nothing: better no link than a guessable one.
            self.complain("the system gives no random numbers: links are not safe, and the node stops");
            self.inner.shutdown.cancel();
        }
        nonce
    }

    fn met(&self, party: &Party) {
        if let Some(peer) = self.inner.peers.lock().get_mut(&party.node) {
            peer.met = Some(party.clone());
        }
    }

    fn timed(&self, node: NodeId, kind: Kind, took: Duration) {
        if kind == Kind::Raft {
            metrics::gauge!(names::LINK_RTT_SECONDS, "peer" => node.to_string()).set(took.as_secs_f64());
            if let Some(peer) = self.inner.peers.lock().get_mut(&node) {
                peer.rtt = Some(took);
            }
        }
    }

    fn heard_applied(&self, peer: &Party, index: u64) {
        let applied = Applied { epoch: peer.epoch, index };
        self.inner.applied.send_if_modified(|all| all.insert(peer.node, applied) != Some(applied));
    }

    /// Warns, but not of the same thing every second.
    fn complain(&self, what: &str) {
        let mut said = self.inner.said.lock();
        let now = Instant::now();
        if said.get(what).is_some_and(|at| now.duration_since(*at) < COMPLAINT_PAUSE) {
            return;
        }
        if said.len() >= COMPLAINTS_MAX {
            said.clear();
        }
        said.insert(what.to_owned(), now);
        tracing::warn!("{what}");
    }

    /// Completes when a peer that was let in would be refused now.
    async fn outcast(&self, peer: &Party, kind: Kind) -> Refusal {
        let mut memberships = self.inner.memberships.subscribe();
        loop {
            if memberships.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Err(refusal) = judge(&self.own(), hello::ANYBODY, (peer, self.known(peer.node), kind)) {
                return refusal;
            }
        }
    }

    fn watch_own_applied(&self) -> watch::Receiver<u64> {
        self.inner.own_applied.clone()
    }

    fn identity(&self) -> &Arc<Identity> {
        &self.inner.identity
    }

    fn prover(&self) -> &Prover {
        &self.inner.prover
    }

    fn tls(&self) -> Option<&tls::LinkTls> {
        self.inner.tls.as_ref()
    }

    /// Runs something that outlives whoever asked for it.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.inner.tracker.spawn(task)
    }

    fn tracker(&self) -> &TaskTracker {
        &self.inner.tracker
    }
}
