//! What outboxes hold: frames that leave together, how much may wait, and what becomes of what is queued.

use crate::protocol::Pos;
use bytes::Bytes;

/// Whether a chunk may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At most once: dropped when there is no room or when it gets too old.
    Ephemeral,
    /// Committed at this position: delivered, or the session ends.
    Durable(Pos),
}

/// One or more whole encoded frames that belong together, shared by all receivers.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The frames with their headers.
    pub bytes: Bytes,
    /// How many they are.
    pub frames: u32,
    /// May they be lost?
    pub kind: Kind,
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Frames.
    pub frames: u32,
    /// Bytes.
    pub bytes: u32,
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Nothing was waiting: somebody has to flush.
    First,
    /// It waits behind others, or for the greeting; whoever sees to those sees to it.
    Behind,
    /// A durable chunk that the greeting already contains.
    Known,
    /// An ephemeral chunk had no room.
    Dropped,
    /// A durable chunk had no room: the session must end.
    Full,
    /// The session is ending: nothing is taken any more.
    Ending,
}
