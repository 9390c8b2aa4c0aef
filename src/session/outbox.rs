//! What waits for one reader: the bounded queue between everybody who sends to a session and its socket.
//!
//! It promises: frames leave in the order in which they came, whole; memory is bounded in bytes and frames; an
//! ephemeral frame may be dropped, a durable one never is: if it has no room, the session ends. It holds no memory
//! while it is empty. It knows no socket and no clock: bytes are taken from its front, seconds come in.

pub use super::chunk::{Chunk, Kind, Pushed, Room};
use crate::{config::limits::EPHEMERAL_AGE_MAX, protocol::Pos};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// Largest piece that is copied together for one write; a frame at the front that is larger goes alone.
const GATHER_BYTES: usize = 64 << 10;
/// From this size on a frame at the front isn't worth a copy.
const ALONE_BYTES: usize = 8 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The greeting isn't there yet, or a resume is being decided: only the first `free` chunks leave.
    Holding,
    Open,
    /// A resume is under way: durable chunks are not taken, since the journal has them.
    Skipping,
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
    /// While holding: how many chunks at the front may leave all the same.
    free: u32,
    /// A reply is on its way that belongs behind so many chunks: what comes after it in the log waits for it.
    reply_place: Option<u32>,
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
            free: 0,
            reply_place: None,
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
        if let Kind::Durable(pos) = chunk.kind {
            let is_known = match self.phase {
                Phase::Open => pos <= self.floor,
                // What is in no log has no position.
                Phase::Skipping => pos != Pos(u64::MAX),
                Phase::Holding | Phase::Closing => false,
            };
            if is_known {
                return Pushed::Known;
            }
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
        if self.queue.len() == 1 && self.leaving() == 1 { Pushed::First } else { Pushed::Behind }
    }

    /// The session's own change has come in the log, and the reply to it has not: it goes here.
    pub fn expect_reply(&mut self) {
        if self.phase != Phase::Closing {
            self.reply_place.get_or_insert(u32::try_from(self.queue.len()).unwrap_or(u32::MAX));
        }
    }

    /// Queues a reply: where it is expected, if it is.
    pub fn push_reply(&mut self, reply: &Chunk, now: u32) -> Pushed {
        let Some(place) = self.reply_place.take() else { return self.push(reply, now) };
        if !self.fits(reply) {
            return Pushed::Full;
        }
        self.insert(place as usize, reply.clone(), now);
        Pushed::Behind
    }

    /// No reply comes after all.
    pub fn forget_reply(&mut self) {
        self.reply_place = None;
    }

    /// Ends the holding: `chunk` goes behind what may leave already, then what was held back after `at`.
    pub fn open(&mut self, chunk: Chunk, at: Pos, now: u32) {
        if self.phase != Phase::Holding {
            return;
        }
        self.put_in(chunk, at, now);
        self.release();
    }

    /// The greeting goes, and what follows it is still held back.
    pub fn greet_and_hold(&mut self, greeting: Chunk, at: Pos, now: u32) {
        if self.phase == Phase::Holding {
            self.put_in(greeting, at, now);
        }
    }

    /// Behind the free chunks. It is bounded by whoever made it; a greeting takes no room: a long list on a slow line
    /// must not end the session at the next event.
    fn put_in(&mut self, chunk: Chunk, at: Pos, now: u32) {
        self.floor = at;
        if chunk.bytes.is_empty() {
            return;
        }
        let place = self.free as usize;
        self.greets |= place == 0;
        self.insert(place, chunk, now);
        self.free += 1;
    }

    fn insert(&mut self, place: usize, chunk: Chunk, now: u32) {
        self.bytes += size(&chunk);
        self.frames += chunk.frames;
        self.queue.insert(place.min(self.queue.len()), Waiting { chunk, since: now });
    }

    fn keep_held(&mut self, keep: impl Fn(Kind) -> bool) {
        let (mut nth, free) = (0, self.free);
        let (mut bytes, mut frames) = (0, 0);
        self.queue.retain(|waiting| {
            nth += 1;
            let stays = nth <= free || keep(waiting.chunk.kind);
            if !stays {
                bytes += size(&waiting.chunk);
                frames += waiting.chunk.frames;
            }
            stays
        });
        self.bytes -= bytes;
        self.frames -= frames;
    }

    /// Nothing is held back any more, but for what the greeting contains: that falls away.
    pub fn release(&mut self) {
        if self.phase == Phase::Holding {
            let floor = self.floor;
            self.keep_held(|kind| !matches!(kind, Kind::Durable(pos) if pos <= floor));
            (self.phase, self.free) = (Phase::Open, 0);
            self.release_if_empty();
        }
    }

    /// A resume begins, or goes on: what is durable and hasn't left will be read from the journal.
    pub fn skip(&mut self) {
        match self.phase {
            Phase::Holding => {
                self.keep_held(|kind| !matches!(kind, Kind::Durable(pos) if pos != Pos(u64::MAX)));
                self.phase = Phase::Skipping;
            }
            Phase::Open => self.phase = Phase::Skipping,
            Phase::Skipping | Phase::Closing => {}
        }
    }

    /// A resume is about to read the rest: from here on everything waits for [`Self::open`].
    pub fn hold(&mut self) {
        if self.phase == Phase::Skipping {
            self.phase = Phase::Holding;
            self.free = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        }
    }

    /// Whether it was opened before `pos` and holds nothing back.
    pub fn stood_before(&self, pos: Pos) -> bool {
        self.phase == Phase::Open && self.floor < pos
    }

    /// Queues the close frame, if there is one, behind everything and takes nothing more. What was held back for a greeting that
    /// never came is dropped. False if it was closing already.
    pub fn close(&mut self, frame: Option<Bytes>) -> bool {
        if self.phase == Phase::Closing {
            return false;
        }
        self.reply_place = None;
        if self.phase == Phase::Holding {
            self.keep_held(|_| false);
        }
        self.phase = Phase::Closing;
        if let Some(bytes) = frame {
            self.append(Chunk { bytes, frames: 1, kind: Kind::Durable(Pos(u64::MAX)) }, 0);
        }
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
        let is_held = self.phase == Phase::Holding || self.reply_place.is_some();
        if is_held || now.saturating_sub(self.oldest) <= age_max {
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
        let free = self.leaving();
        match self.queue.front() {
            Some(first) if free > 0 && (free == 1 || first.chunk.bytes.len() >= ALONE_BYTES) => &first.chunk.bytes,
            Some(_) if free > 0 => {
                scratch.clear();
                for waiting in self.queue.iter().take(free) {
                    if scratch.len() + waiting.chunk.bytes.len() > GATHER_BYTES {
                        break;
                    }
                    scratch.extend_from_slice(&waiting.chunk.bytes);
                }
                scratch
            }
            _ => &[],
        }
    }

    /// How many chunks at the front may leave.
    fn leaving(&self) -> usize {
        let free = if self.phase == Phase::Holding { self.free as usize } else { self.queue.len() };
        self.reply_place.map_or(free, |place| free.min(place as usize))
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
            self.free = self.free.saturating_sub(1);
            self.reply_place = self.reply_place.map(|place| place.saturating_sub(1));
            self.queue.pop_front();
        }
        self.release_if_empty();
        frames
    }

    /// Whether something waits and may leave.
    pub fn has_work(&self) -> bool {
        self.leaving() > 0
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
        (self.bytes, self.frames, self.free) = (0, 0, 0);
        self.reply_place = None;
        (self.begun, self.greets) = (false, false);
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
