//! What a node does for its peers: answers openraft's calls, takes changes as the leader, takes events and snapshots.

use super::{
    leader::Leadership,
    lease::{Granted, Leases},
    links::{
        frame::{Reader, Writer},
        handshake::Met,
        hello::Party,
        kind::Kind,
    },
    membership::Membership,
    transfer::Receiving,
    wire::{self, Answer, ChangeError, Proposed, Request},
};
use crate::{
    broker::Broker,
    config::limits::INWARD_QUEUE_MAX,
    protocol::{NodeId, Tenant, UserId},
    wall_clock,
};
use bytes::Bytes;
use std::{
    io,
    sync::{Arc, OnceLock},
};
use tokio::sync::mpsc;

/// An ephemeral event from another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerEvent {
    /// Who sent it.
    pub(crate) node: NodeId,
    /// What.
    pub(crate) bytes: Bytes,
}

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    leadership: Leadership,
    membership: Membership,
    leases: Leases,
    receiving: Receiving,
    events: mpsc::Sender<PeerEvent>,
    connections: OnceLock<Connections>,
    broker: Broker,
    public_url: Option<String>,
}

/// Counts a user's presence sockets on this node.
struct Connections(Box<CountConnections>);

type CountConnections = dyn Fn(&Tenant, &UserId) -> u32 + Send + Sync;

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connections")
    }
}

impl Service {
    /// Events of peers go to the receiver, in the order in which each sent them; at most so many wait, then their links
    /// do.
    pub(crate) fn new(
        (leadership, leases): (Leadership, Leases),
        membership: Membership,
        receiving: Receiving,
        (broker, public_url): (Broker, Option<String>),
    ) -> (Self, mpsc::Receiver<PeerEvent>) {
        let (events, incoming) = mpsc::channel(INWARD_QUEUE_MAX);
        let connections = OnceLock::new();
        let inner = Inner { leadership, membership, leases, receiving, events, connections, broker, public_url };
        (Self { inner: Arc::new(inner) }, incoming)
    }

    /// Has peers told how many presence sockets a user has here.
    pub(crate) fn count_connections(&self, count: impl Fn(&Tenant, &UserId) -> u32 + Send + Sync + 'static) {
        let _ = self.inner.connections.set(Connections(Box::new(count)));
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, met: &Met, body: Bytes) -> Bytes {
        let answer = match wire::decode::<Request>(&body) {
            Ok(request) => self.answer_to(met, request).await,
            Err(error) => {
                tracing::warn!(node = met.peer.node, %error, "a peer asks what this program does not understand");
                Answer::Unknown
            }
        };
        wire::encode(&answer).unwrap_or_default()
    }

    async fn answer_to(&self, met: &Met, request: Request) -> Answer {
        let inner = &self.inner;
        let raft = inner.leadership.raft();
        match (met.kind, request) {
            (Kind::Raft, Request::Vote(rpc)) => Answer::Vote(raft.vote(rpc).await),
            (Kind::Raft | Kind::Entries, Request::Append(rpc)) => Answer::Append(raft.append_entries(rpc).await),
            // A node proposes in its own name only.
            (Kind::Calls, Request::Propose(batch)) if batch.node == met.peer.node => {
                Answer::Proposed(inner.leadership.take(batch).await)
            }
            (Kind::Calls, Request::Propose(_)) => Answer::Proposed(Proposed::NotLeader),
            (Kind::Calls, Request::ReadIndex) => Answer::ReadIndex(inner.leadership.read_index().await),
            (Kind::Calls, Request::Lease { epoch, echo }) => match inner.leases.grant((met.peer.node, epoch), echo) {
                Some(Granted { clock, is_held: false }) => Answer::Clock(clock),
                granted => Answer::Lease(granted.map(|granted| granted.clock)),
            },
            (Kind::Calls, Request::Connections { tenant, users }) => {
                let count = |user| inner.connections.get().map_or(0, |count| (count.0)(&tenant, user));
                Answer::Connections(users.iter().map(count).collect())
            }
            (Kind::Calls, Request::Clock) => Answer::WallClock(wall_clock::now()),
            (Kind::Calls, Request::Where) => {
                let takes_clients = !inner.broker.is_draining() && !inner.broker.is_fenced();
                Answer::Where(inner.public_url.clone().filter(|_| takes_clients))
            }
            (Kind::Calls, Request::MayLead { last }) => Answer::MayLead(inner.leadership.opinion_of(last).await),
            (Kind::Calls, Request::TakeOver) => Answer::TakeOver(inner.leadership.take_over_from(met.peer.node).await),
            (Kind::Calls, Request::Change(change)) => Answer::Changed(inner.membership.change_here(change).await),
            (Kind::Join, Request::Join { node, address }) => Answer::Changed(if node == met.peer.node {
                inner.membership.change(wire::Change::Add { node, address }).await
            } else {
                Err(ChangeError::Refused("a node asks for itself only".into()))
            }),
            _ => Answer::Unknown,
        }
    }

    /// Hands an event on; waits for room.
    pub(crate) async fn event(&self, peer: &Party, bytes: Bytes) {
        // Without a receiver, in a server that stops, the event is dropped, as any event may be.
        let _ = self.inner.events.send(PeerEvent { node: peer.node, bytes }).await;
    }

    /// Takes a snapshot that a leader sends.
    pub(crate) async fn receive_snapshot(&self, peer: Party, link: (Reader, Writer)) -> io::Result<()> {
        self.inner.receiving.receive(link).await.map_err(|error| {
            tracing::warn!(from = peer.node, %error, "a snapshot did not arrive");
            io::Error::other(error)
        })
    }
}
