//! What waits for one reader: the bounded queue between everybody who sends to a session and its socket.
//!
//! It promises: frames leave in the order in which they came, whole; memory is bounded in bytes and frames; an
//! ephemeral frame may be dropped, a durable one never is: if it has no room, the session ends. It holds no memory
//! while it is empty. It knows no socket and no clock: bytes are taken from its front, seconds come in.

use crate::{config::limits::EPHEMERAL_AGE_MAX, protocol::Pos};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// Largest piece that is copied together for one write; a frame at the front that is larger goes alone.
const GATHER_BYTES: usize = 64 << 10;
/// From this size on a frame at the front isn't worth a copy.
const ALONE_BYTES: usize = 8 << 10;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The greeting isn't there yet: nothing leaves.
    Holding,
    Open,
    /// The close frame is the last in the queue, or has left.
    Closing,
}

#[derive(Debug)]
struct Waiting {
    chunk: Chunk,
    /// When it came, in seconds of the coarse clock.
    since: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    queue: VecDeque<Waiting>,
    phase: Phase,
    /// Whether part of the front chunk has left: then it can't be dropped.
    begun: bool,
    /// Whether the front chunk is the greeting, which takes no room from what follows it.
    greets: bool,
    room: Room,
    bytes: u32,
    frames: u32,
    /// Durable chunks at or before it are in the greeting.
    floor: Pos,
    /// No ephemeral chunk in the queue is older; `u32::MAX` when there is none.
    oldest: u32,
}

impl Outbox {
    /// Empty, and holding back until [`Self::open`].
    pub fn new(room: Room) -> Self {
        Self {
            queue: VecDeque::new(),
            phase: Phase::Holding,
            begun: false,
            greets: false,
            room,
            bytes: 0,
            frames: 0,
            floor: Pos(0),
            oldest: u32::MAX,
        }
    }

    /// Queues a chunk that came at second `now`.
    pub fn push(&mut self, chunk: &Chunk, now: u32) -> Pushed {
        if self.phase == Phase::Closing {
            return Pushed::Ending;
        }
        if self.phase == Phase::Open && matches!(chunk.kind, Kind::Durable(pos) if pos <= self.floor) {
            return Pushed::Known;
        }
        if !self.fits(chunk) {
            return match chunk.kind {
                Kind::Ephemeral => Pushed::Dropped,
                Kind::Durable(_) => Pushed::Full,
            };
        }
        if chunk.kind == Kind::Ephemeral {
            self.oldest = self.oldest.min(now);
        }
        self.append(chunk.clone(), now);
        if self.phase == Phase::Open && self.queue.len() == 1 { Pushed::First } else { Pushed::Behind }
    }

    /// The greeting is here: it goes first, then what was held back and isn't in it. It is bounded by whoever made it
    /// and takes no room: a long list on a slow line must not end the session at the next event.
    pub fn open(&mut self, greeting: Chunk, at: Pos, now: u32) {
        if self.phase != Phase::Holding {
            return;
        }
        self.phase = Phase::Open;
        self.floor = at;
        let held = std::mem::take(&mut self.queue);
        (self.bytes, self.frames) = (0, 0);
        if !greeting.bytes.is_empty() {
            self.greets = true;
            self.append(Chunk { kind: Kind::Durable(at), ..greeting }, now);
        }
        for waiting in held {
            if !matches!(waiting.chunk.kind, Kind::Durable(pos) if pos <= at) {
                self.append(waiting.chunk, waiting.since);
            }
        }
    }

    /// Queues the close frame behind everything and takes nothing more. What was held back for a greeting that
    /// never came is dropped. False if it was closing already.
    pub fn close(&mut self, frame: Bytes) -> bool {
        if self.phase == Phase::Closing {
            return false;
        }
        if self.phase == Phase::Holding {
            self.clear();
        }
        self.phase = Phase::Closing;
        self.append(Chunk { bytes: frame, frames: 1, kind: Kind::Durable(Pos(u64::MAX)) }, 0);
        true
    }

    /// Drops everything at once; the socket is gone.
    pub fn abort(&mut self) {
        self.phase = Phase::Closing;
        self.clear();
    }

    /// Drops ephemeral chunks that came more than [`EPHEMERAL_AGE_MAX`] before `now`. Returns how many frames.
    pub fn drop_aged(&mut self, now: u32) -> u32 {
        let age_max = u32::try_from(EPHEMERAL_AGE_MAX.as_secs()).unwrap_or(u32::MAX);
        if self.phase == Phase::Holding || now.saturating_sub(self.oldest) <= age_max {
            return 0;
        }
        let (before, mut begun) = (self.frames, self.begun);
        self.oldest = u32::MAX;
        self.queue.retain(|waiting| {
            let at_front = std::mem::take(&mut begun);
            if waiting.chunk.kind != Kind::Ephemeral {
                return true;
            }
            let keep = at_front || now.saturating_sub(waiting.since) <= age_max;
            if keep {
                // One that has begun to leave is no reason to look again.
                let since = if at_front { u32::MAX } else { waiting.since };
                self.oldest = self.oldest.min(since);
            } else {
                self.bytes -= size(&waiting.chunk);
                self.frames -= waiting.chunk.frames;
            }
            keep
        });
        self.release_if_empty();
        before - self.frames
    }

    /// Bytes to write next; empty when nothing is to be written. Small chunks are copied together into `scratch`:
    /// one write of a copy costs less than a vectored write of many pieces (ARCHITECTURE.md, measurements).
    pub fn front<'a>(&'a self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        if self.phase == Phase::Holding {
            return &[];
        }
        match self.queue.front() {
            None => &[],
            Some(first) if self.queue.len() == 1 || first.chunk.bytes.len() >= ALONE_BYTES => &first.chunk.bytes,
            Some(_) => {
                scratch.clear();
                for waiting in &self.queue {
                    if scratch.len() + waiting.chunk.bytes.len() > GATHER_BYTES {
                        break;
                    }
                    scratch.extend_from_slice(&waiting.chunk.bytes);
                }
                scratch
            }
        }
    }

    /// `written` bytes of [`Self::front`] have left. Returns the frames of the chunks whose last byte was among them.
    pub fn wrote(&mut self, mut written: usize) -> u32 {
        let mut frames = 0;
        while written > 0 {
            let Some(first) = self.queue.front_mut() else { break };
            let length = first.chunk.bytes.len();
            if written < length {
                first.chunk.bytes.advance(written);
                self.bytes -= u32::try_from(written).unwrap_or(u32::MAX);
                self.begun = true;
                return frames;
            }
            written -= length;
            self.bytes -= size(&first.chunk);
            self.frames -= first.chunk.frames;
            frames += first.chunk.frames;
            (self.begun, self.greets) = (false, false);
            self.queue.pop_front();
        }
        self.release_if_empty();
        frames
    }

    /// Whether something waits and may leave.
    pub fn has_work(&self) -> bool {
        self.phase != Phase::Holding && !self.queue.is_empty()
    }

    /// Whether the close frame is queued or has left.
    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    fn fits(&self, chunk: &Chunk) -> bool {
        let greeting = self.queue.front().filter(|_| self.greets).map(|front| &front.chunk);
        let frames = self.frames - greeting.map_or(0, |greeting| greeting.frames);
        let bytes = self.bytes - greeting.map_or(0, size);
        frames.saturating_add(chunk.frames) <= self.room.frames && bytes.saturating_add(size(chunk)) <= self.room.bytes
    }

    fn append(&mut self, chunk: Chunk, since: u32) {
        self.bytes += size(&chunk);
        self.frames += chunk.frames;
        self.queue.push_back(Waiting { chunk, since });
    }

    fn clear(&mut self) {
        self.queue.clear();
        (self.bytes, self.frames, self.begun, self.greets) = (0, 0, false, false);
        self.release_if_empty();
    }

    fn release_if_empty(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
            self.oldest = u32::MAX;
        }
    }
}

// A chunk is at most some frames of at most 48 KiB; the cast cannot saturate.
fn size(chunk: &Chunk) -> u32 {
    u32::try_from(chunk.bytes.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
