//! What a node does for its peers: answers openraft's calls, takes changes as the leader, takes events and snapshots.

use super::{
    leader::Leadership,
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
use crate::protocol::NodeId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{io, sync::Arc};
use tokio::sync::mpsc;

/// An ephemeral event from another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEvent {
    /// Who sent it.
    pub node: NodeId,
    /// In which of its boots.
    pub epoch: u64,
    /// What.
    pub bytes: Bytes,
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
    receiving: Receiving,
    events: Mutex<Option<mpsc::Sender<PeerEvent>>>,
}

impl Service {
    pub(crate) fn new(leadership: Leadership, membership: Membership, receiving: Receiving) -> Self {
        Self { inner: Arc::new(Inner { leadership, membership, receiving, events: Mutex::default() }) }
    }

    /// Events of peers go here from now on, in the order in which each sent them; at most `limit` wait, then their
    /// links do. Before, they are dropped.
    pub(crate) fn subscribe(&self, limit: usize) -> mpsc::Receiver<PeerEvent> {
        let (events, receiver) = mpsc::channel(limit);
        *self.inner.events.lock() = Some(events);
        receiver
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
        let events = self.inner.events.lock().clone();
        if let Some(events) = events {
            // Without a receiver the event is dropped, as any event may be.
            let _ = events.send(PeerEvent { node: peer.node, epoch: peer.epoch, bytes }).await;
        }
    }

    /// Takes a snapshot that a leader sends.
    pub(crate) async fn receive_snapshot(&self, peer: Party, link: (Reader, Writer)) -> io::Result<()> {
        self.inner.receiving.receive(link).await.map_err(|error| {
            tracing::warn!(from = peer.node, %error, "a snapshot did not arrive");
            io::Error::other(error)
        })
    }
}
