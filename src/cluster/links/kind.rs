//! What a link is for. Each kind has a connection of its own, so that bulk never delays a heartbeat.

use crate::config::limits::SNAPSHOT_CHUNK_BYTES;
use serde::{Deserialize, Serialize};

/// The kinds. Sent: only ever appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Votes, heartbeats, small pieces of the log.
    Raft,
    /// Large pieces of the log.
    Entries,
    /// What one node asks of another: durable calls for the leader, how far it is.
    Calls,
    /// Ephemeral events, and how far everybody has applied.
    Events,
    /// One snapshot.
    Snapshot,
    /// A node that belongs to no cluster yet asks to be added.
    Join,
}

impl Kind {
    /// Those that are kept up between any two nodes.
    pub(crate) const LASTING: [Self; 4] = [Self::Raft, Self::Entries, Self::Calls, Self::Events];

    /// The largest frame.
    pub(crate) fn frame_bytes_max(self) -> usize {
        match self {
            Self::Raft => 256 << 10,
            // An entry is bounded by what applying it writes; a piece of the log may be one entry larger than its bound.
            Self::Entries | Self::Calls => 32 << 20,
            Self::Events => 1 << 20,
            Self::Snapshot => SNAPSHOT_CHUNK_BYTES + (64 << 10),
            Self::Join => 4 << 10,
        }
    }

    /// The label in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
            Self::Entries => "entries",
            Self::Calls => "calls",
            Self::Events => "events",
            Self::Snapshot => "snapshot",
            Self::Join => "join",
        }
    }
}
