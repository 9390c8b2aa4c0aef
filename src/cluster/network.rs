//! openraft's calls over links.

use super::{
    links::{LinkError, Links, kind::Kind},
    transfer,
    types::{LogId, TypeConfig, Vote},
    wire::{self, Answer, Request},
};
use crate::protocol::NodeId;
use openraft::{
    AnyError, BasicNode, OptionalSend, RaftNetwork, RaftNetworkFactory, Snapshot,
    error::{Fatal, NetworkError, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};
use std::{future::Future, time::Duration};
use tokio::task::JoinHandle;

/// A larger piece of the log does not go before heartbeats.
const SMALL_BYTES: usize = 64 << 10;
/// A peer that was not heard for so long is not spoken to: two pings, and half of one.
const HEARD_WITHIN: Duration = Duration::from_millis(1_250);
/// Pause before a peer without a link is tried again.
const BACKOFF: Duration = Duration::from_millis(100);

type CallError = RPCError<NodeId, BasicNode, RaftError<NodeId>>;
type Appended = Result<AppendEntriesResponse<NodeId>, CallError>;

/// Makes the callers.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) links: Links,
    pub(crate) snapshot_bytes_per_second: u64,
    pub(crate) heartbeat: Duration,
}

/// Calls one node.
#[derive(Debug)]
pub(crate) struct Caller {
    links: Links,
    target: NodeId,
    address: String,
    snapshot_bytes_per_second: u64,
    heartbeat: Duration,
    late: Option<Late>,
}

/// A large piece of the log whose answer takes longer than openraft waits for one (a heartbeat interval). openraft asks
/// again with the same entries; the second time waits for the first answer instead of sending all of it anew.
#[derive(Debug)]
struct Late {
    vote: Vote,
    prev: Option<LogId>,
    last: Option<LogId>,
    answer: JoinHandle<Appended>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Caller;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> Caller {
        Caller {
            links: self.links.clone(),
            target,
            address: node.addr.clone(),
            snapshot_bytes_per_second: self.snapshot_bytes_per_second,
            heartbeat: self.heartbeat,
            late: None,
        }
    }
}

async fn ask(links: Links, target: NodeId, (kind, body): (Kind, bytes::Bytes)) -> Result<Answer, CallError> {
    match links.call(target, kind, body).await {
        Ok(answer) => wire::decode(&answer).map_err(|error| RPCError::Network(NetworkError::new(&error))),
        Err(error @ (LinkError::Down | LinkError::Full)) => Err(Unreachable::new(&error).into()),
        Err(error @ LinkError::Lost) => Err(NetworkError::new(&error).into()),
    }
}

#[expect(clippy::result_large_err, reason = "openraft's error type")]
fn joined(answered: Result<Appended, tokio::task::JoinError>) -> Appended {
    match answered {
        Ok(answered) => answered,
        Err(error) => Err(NetworkError::new(&error).into()),
    }
}

fn misunderstood() -> CallError {
    RPCError::Network(NetworkError::new(&AnyError::error("the peer answered another question")))
}

/// Entries and heartbeats, to whom is heard: a leader that hears nobody would keep those content whom it reaches, and who
/// then elect no other.
async fn append(links: Links, target: NodeId, (kind, body): (Kind, bytes::Bytes)) -> Appended {
    if !links.was_heard_within(target, Kind::Raft, HEARD_WITHIN) {
        return Err(Unreachable::new(&LinkError::Down).into());
    }
    match ask(links, target, (kind, body)).await? {
        Answer::Append(answered) => answered.map_err(|error| RPCError::RemoteError(RemoteError::new(target, error))),
        _ => Err(misunderstood()),
    }
}

/// Heartbeats while a snapshot is under way: openraft sends none then, and the receiver would stand for election again
/// and again. Completes when the receiver has seen another leader.
async fn keep_following(links: Links, target: NodeId, (vote, every): (Vote, Duration)) -> Vote {
    loop {
        tokio::time::sleep(every).await;
        let heartbeat = AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None };
        let Ok(body) = wire::encode(&Request::Append(heartbeat)) else { continue };
        if let Ok(AppendEntriesResponse::HigherVote(other)) = append(links.clone(), target, (Kind::Raft, body)).await {
            return other;
        }
    }
}

impl Caller {
    /// The answer to what was sent before, if that was the beginning of this.
    async fn late_answer(&mut self, rpc: &AppendEntriesRequest<TypeConfig>) -> Option<Appended> {
        let last = rpc.entries.last().map(|entry| entry.log_id);
        let late = self.late.as_mut()?;
        if late.answer.is_finished() && last.is_none() {
            return None;
        }
        if (late.vote, late.prev) != (rpc.vote, rpc.prev_log_id) || late.last > last {
            // A heartbeat goes its own way; another piece makes this one needless.
            if last.is_some() {
                self.late = None;
            }
            return None;
        }
        let answered = joined((&mut late.answer).await);
        let matching = late.last;
        self.late = None;
        Some(match answered {
            Ok(AppendEntriesResponse::Success) if matching < last => {
                Ok(AppendEntriesResponse::PartialSuccess(matching))
            }
            answered => answered,
        })
    }
}

impl RaftNetwork<TypeConfig> for Caller {
    async fn append_entries(&mut self, rpc: AppendEntriesRequest<TypeConfig>, _option: RPCOption) -> Appended {
        if let Some(answered) = self.late_answer(&rpc).await {
            return answered;
        }
        let (vote, prev, last) = (rpc.vote, rpc.prev_log_id, rpc.entries.last().map(|entry| entry.log_id));
        let body = wire::encode(&Request::Append(rpc)).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        if body.len() <= SMALL_BYTES {
            return append(self.links.clone(), self.target, (Kind::Raft, body)).await;
        }
        let asked = append(self.links.clone(), self.target, (Kind::Entries, body));
        let late = self.late.insert(Late { vote, prev, last, answer: self.links.spawn(asked) });
        let answered = joined((&mut late.answer).await);
        self.late = None;
        answered
    }

    async fn vote(&mut self, rpc: VoteRequest<NodeId>, _option: RPCOption) -> Result<VoteResponse<NodeId>, CallError> {
        let body = wire::encode(&Request::Vote(rpc)).map_err(|error| RPCError::Network(NetworkError::new(&error)))?;
        match ask(self.links.clone(), self.target, (Kind::Raft, body)).await? {
            Answer::Vote(voted) => voted.map_err(|error| RPCError::RemoteError(RemoteError::new(self.target, error))),
            _ => Err(misunderstood()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<TypeConfig, Fatal<NodeId>>> {
        let to = transfer::Destination {
            node: self.target,
            address: self.links.address_of(self.target).unwrap_or_else(|| self.address.clone()),
            bytes_per_second: self.snapshot_bytes_per_second,
        };
        let following = keep_following(self.links.clone(), self.target, (vote, self.heartbeat));
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            vote = following => Ok(SnapshotResponse { vote }),
            sent = transfer::send(&self.links, to, (vote, snapshot)) => sent.map_err(|error| {
                tracing::warn!(%error, node = self.target, "a snapshot was not sent");
                StreamingError::Unreachable(Unreachable::new(&error))
            }),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
