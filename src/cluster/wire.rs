//! What nodes ask each other over links, and what they answer. Sent between releases: variants
//! are only ever appended, and their fields never change, since bincode skips none (`wire_tests`).

use super::{
    codec,
    types::{LogId, SnapshotMeta, TypeConfig, Vote},
};
use crate::{
    protocol::{NodeId, Tenant, Timestamp, UserId},
    records::Batch,
};
use bytes::Bytes;
use carillon_storage::CodecError;
use openraft::{
    error::RaftError,
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// openraft's.
    Vote(VoteRequest<NodeId>),
    /// openraft's.
    Append(AppendEntriesRequest<TypeConfig>),
    /// Changes for the leader.
    Propose(Batch),
    /// Up to where everything is that was ever answered; for the leader.
    ReadIndex,
    /// A node that belongs to no cluster asks to be added.
    Join { node: NodeId, address: String },
    /// Change the membership; for the leader.
    Change(Change),
    /// Grant this boot of the asking node a lease; for the leader.
    Lease { epoch: u64, echo: Option<u64> },
    /// How many presence sockets each of these users has at the node that is asked.
    Connections { tenant: Tenant, users: Vec<UserId> },
    /// Where clients may go instead of the asking node.
    Where,
    /// Stand for election: the asking leader wants to lead no more.
    TakeOver,
    /// Whether a node with this last entry might lead: for all that the node that is asked knows, nobody does.
    MayLead { last: Option<LogId> },
    /// What time it is at the node that is asked.
    Clock,
}

/// A change of who belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Add {
        node: NodeId,
        address: String,
    },
    Remove {
        node: NodeId,
    },
    /// A member is reached at another address.
    Move {
        node: NodeId,
        address: String,
    },
    /// [`Change::Remove`], even if the voters that answer are no majority of those that are left.
    RemoveAnyway {
        node: NodeId,
    },
}

/// An answer to the question of the same name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Vote(Result<VoteResponse<NodeId>, RaftError<NodeId>>),
    Append(Result<AppendEntriesResponse<NodeId>, RaftError<NodeId>>),
    Proposed(Proposed),
    /// `None`: this node does not lead, or has no majority.
    ReadIndex(Option<u64>),
    Changed(Result<(), ChangeError>),
    /// The question was not understood.
    Unknown,
    /// A lease, and what to echo; `None`: neither.
    Lease(Option<u64>),
    Connections(Vec<u32>),
    /// `None`: not here, or it isn't known where.
    Where(Option<String>),
    /// Whether the node that was asked stands.
    TakeOver(bool),
    /// No lease; what to echo all the same.
    Clock(u64),
    MayLead(Opinion),
    WallClock(Timestamp),
}

/// What a node says to another that might lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Opinion {
    Agrees,
    /// It has a leader that answers it, or more entries.
    Disagrees,
    /// It leads itself, and a majority is with it.
    Leads,
}

/// What became of changes at a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Proposed {
    /// A majority has them on disk.
    Committed,
    /// They were not taken, for sure: this node does not lead, or has no majority.
    NotLeader,
    /// They were not taken, for sure.
    DiskFull,
    /// They may come to be, or not.
    Unknown,
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ChangeError {
    /// Ask the leader, or wait until there is one.
    #[error("no leader with a majority of the cluster: nothing was changed, try again")]
    NoLeader,
    /// It can't be done, and why.
    #[error("{0}")]
    Refused(String),
    /// Not known whether it was done.
    #[error("the outcome is unknown: look at `carillon cluster status`")]
    Unknown,
    /// This node is alone.
    #[error("this node has no cluster.listen, so no peer can reach it: set it, and cluster.secret, and start it again")]
    Alone,
}

/// What goes before the pieces of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
    /// Of the file.
    pub(crate) bytes: u64,
}

/// What a snapshot's receiver says at the end.
pub(crate) type Installed = Result<SnapshotResponse<NodeId>, String>;

pub(crate) fn encode(value: &impl Serialize) -> Result<Bytes, CodecError> {
    codec::encode(value).map(Bytes::from)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    codec::decode(bytes)
}
