//! The types that openraft is instantiated with.

use crate::{protocol::NodeId, records::Batch};
use carillon_storage::snapshot::SnapshotFile;
use openraft::BasicNode;

openraft::declare_raft_types!(
    /// One log entry is one [`Batch`] of commands. What it came to, the node that proposed it learns when it applies it.
    pub(crate) TypeConfig:
        D = Batch,
        R = (),
        NodeId = NodeId,
        Node = BasicNode,
        SnapshotData = SnapshotFile,
);

pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type LogId = openraft::LogId<NodeId>;
pub(crate) type Vote = openraft::Vote<NodeId>;
pub(crate) type Membership = openraft::StoredMembership<NodeId, BasicNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<NodeId, BasicNode>;
pub(crate) type StorageError = openraft::StorageError<NodeId>;
pub(crate) type StorageIOError = openraft::StorageIOError<NodeId>;
