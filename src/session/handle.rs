//! The part of a session that others hold: who it is, its outbox, its socket's writing end.
//!
//! Whoever queues may flush; the session's own task flushes when the socket was full. The outbox's lock makes them
//! one writer: it is held for one non-blocking write, never across an `.await`.

use super::{
    clock::Clock,
    metrics::{End, Meters},
    outbox::{Chunk, Kind, Outbox, Pushed, Room},
};
use crate::{
    endpoints::Client,
    protocol::{Close, Pos, websocket},
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Waker},
};
use tokio::net::TcpStream;

thread_local! {
    /// Where small frames are copied together for one write.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What all sessions of a server share.
#[derive(Debug)]
pub struct Common {
    /// How much may wait for one reader.
    pub room: Room,
    /// Coarse time.
    pub clock: Clock,
    /// Counters.
    pub meters: Meters,
    /// Which history positions belong to; 0 until it is known.
    pub history: AtomicU64,
}

impl Common {
    /// Which history positions belong to.
    pub fn history(&self) -> u64 {
        self.history.load(Relaxed)
    }
}

/// The socket as far as the handle has it.
#[derive(Debug)]
pub enum Wire {
    /// Anybody may write.
    Plain(TcpStream),
    /// The session's task owns the stream (TLS) and is woken to write.
    Own,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing waits.
    Empty,
    /// The socket is full, or isn't ours: the session's task goes on.
    Blocked,
    /// The socket is broken.
    Broken,
}

/// One connection, as others see it.
#[derive(Debug)]
pub struct Session {
    /// Who it is and what it was opened for.
    pub client: Client,
    pub(crate) common: Arc<Common>,
    pub(crate) wire: Wire,
    /// The coarse second from which its credential is no longer good.
    expires: AtomicU32,
    /// The coarse second in which something was last heard from the peer.
    heard: AtomicU32,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    outbox: Outbox,
    /// The session's task, waiting.
    waker: Option<Waker>,
    /// Whether the socket was full at the last write.
    full: bool,
    /// Whether a request of v1 is being answered.
    answering: bool,
    /// Why it ends, once that is settled. The first reason stays.
    end: Option<End>,
}

impl Session {
    /// A session whose outbox holds back until it is greeted.
    pub fn new(client: Client, wire: Wire, expires: u32, common: Arc<Common>) -> Arc<Self> {
        let outbox = Outbox::new(common.room);
        let heard = AtomicU32::new(common.clock.now());
        let shared = Mutex::new(Shared { outbox, waker: None, full: false, answering: false, end: None });
        Arc::new(Self { client, common, wire, expires: expires.into(), heard, shared })
    }

    /// The coarse second from which its credential is no longer good.
    pub(crate) fn expires(&self) -> u32 {
        self.expires.load(Relaxed)
    }

    /// Its credential was replaced; the broker has to be told.
    pub(super) fn renew(&self, expires: u32) {
        self.expires.store(expires, Relaxed);
    }

    /// Queues without writing. On [`Pushed::First`] the caller has to flush.
    pub(crate) fn queue(&self, chunk: &Chunk) -> Pushed {
        let mut shared = self.shared.lock();
        let pushed = shared.outbox.push(chunk, self.common.clock.now());
        self.pushed(&mut shared, chunk, pushed)
    }

    fn pushed(&self, shared: &mut Shared, chunk: &Chunk, pushed: Pushed) -> Pushed {
        match pushed {
            Pushed::Dropped => self.common.meters.dropped_full.increment(chunk.frames.into()),
            Pushed::Full => {
                let slow = Close::Slow.said_in(self.client.edition);
                end(shared, End::Ours(slow), Last::Queued(slow.frame_in(self.client.edition)));
            }
            _ => {}
        }
        pushed
    }

    /// Queues a text message for this session alone. The caller is its task, which writes next.
    pub(crate) fn reply(&self, text: &str) -> Pushed {
        let bytes = websocket::encode(websocket::TEXT, text.as_bytes());
        // A reply is the answer to a question: like a durable frame it comes or the session ends, but it is in no log.
        let chunk = Chunk { bytes, frames: 1, kind: Kind::Durable(Pos(u64::MAX)) };
        let mut shared = self.shared.lock();
        shared.answering = false;
        let pushed = shared.outbox.push_reply(&chunk, self.common.clock.now());
        self.pushed(&mut shared, &chunk, pushed)
    }

    /// A request of v1 is being answered: see [`Self::expect_reply`].
    pub(super) fn begin_answer(&self) {
        self.shared.lock().answering = true;
    }

    /// It was answered by silence, or by more than a reply.
    pub(super) fn end_answer(&self) {
        let mut shared = self.shared.lock();
        shared.answering = false;
        shared.outbox.forget_reply();
    }

    /// An event that this session caused comes by, which it does not get. In v1 its reply has to leave before any later
    /// event: whoever has seen those does not ask for the earlier one when it resumes.
    pub(crate) fn expect_reply(&self) {
        let mut shared = self.shared.lock();
        // If it is not being answered any more, the reply is queued already.
        if shared.answering {
            shared.outbox.expect_reply();
        }
    }

    /// Queues our own ping, unless there is no room: then enough waits to tell whether the peer is there. Not counted
    /// as a drop.
    pub(crate) fn ping(&self) -> Pushed {
        let chunk = Chunk { bytes: websocket::PING_FRAME, frames: 1, kind: Kind::Ephemeral };
        self.shared.lock().outbox.push(&chunk, self.common.clock.now())
    }

    /// Queues a pong. Like a reply it comes, or the session ends: RFC 6455 leaves no choice.
    pub(super) fn pong(&self, bytes: Bytes) -> Pushed {
        self.queue(&Chunk { bytes, frames: 1, kind: Kind::Durable(Pos(u64::MAX)) })
    }

    /// These messages go first, then what was held back after `at`.
    pub(crate) fn open<T: AsRef<[u8]>>(&self, texts: &[T], at: Pos) {
        self.shared.lock().outbox.open(messages(texts, at), at, self.common.clock.now());
    }

    /// The greeting goes, and what follows it is held back until [`Self::release`] or a resume.
    pub(super) fn greet_and_hold<T: AsRef<[u8]>>(&self, greeting: &[T], at: Pos) {
        self.shared.lock().outbox.greet_and_hold(messages(greeting, at), at, self.common.clock.now());
    }

    /// Nothing is held back any more.
    pub(super) fn release(&self) {
        self.shared.lock().outbox.release();
    }

    /// A resume begins: durable frames are not taken, the journal has them.
    pub(super) fn skip(&self) {
        self.shared.lock().outbox.skip();
    }

    /// A resume looks at the journal for the last time: durable frames are held back again.
    pub(super) fn hold(&self) {
        self.shared.lock().outbox.hold();
    }

    /// Queues messages that a resume read from the journal.
    pub(super) fn replay<T: AsRef<[u8]>>(&self, texts: &[T]) -> Pushed {
        self.queue(&messages(texts, Pos(u64::MAX)))
    }

    /// Bytes that wait.
    pub(super) fn waiting_bytes(&self) -> u32 {
        self.shared.lock().outbox.bytes()
    }

    /// Whether it was greeted before `pos`, and holds nothing back.
    pub(crate) fn stood_before(&self, pos: Pos) -> bool {
        self.shared.lock().outbox.stood_before(pos)
    }

    /// Ends the session: what is queued, then the close frame if the edition has one for this, as far as the socket takes
    /// it within the deadline. False if it was ending already.
    pub fn close(&self, why: Close) -> bool {
        let why = why.said_in(self.client.edition);
        self.end(End::Ours(why), Last::Queued(why.frame_in(self.client.edition)))
    }

    /// The client closed: its close frame is answered.
    pub(super) fn close_answered(&self, answer: Bytes) {
        self.end(End::Peer, Last::Queued(Some(answer)));
    }

    /// Ends the session without another byte.
    pub(crate) fn abort(&self, why: End) {
        self.end(why, Last::Nothing);
    }

    fn end(&self, why: End, last: Last) -> bool {
        let mut shared = self.shared.lock();
        let first = shared.end.is_none();
        end(&mut shared, why, last);
        first
    }

    /// Writes until nothing waits or the socket is full.
    pub(crate) fn flush(&self) -> Flushed {
        let Wire::Plain(stream) = &self.wire else {
            self.wake();
            return Flushed::Blocked;
        };
        self.flush_with(|bytes| stream.try_write(bytes))
    }

    /// As [`Self::flush`], through a `write` that answers `WouldBlock` when the socket is full.
    pub(super) fn flush_with(&self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> Flushed {
        let mut shared = self.shared.lock();
        let aged = shared.outbox.drop_aged(self.common.clock.now());
        if aged > 0 {
            self.common.meters.dropped_aged.increment(aged.into());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let bytes = shared.outbox.front(scratch);
                if bytes.is_empty() {
                    return Flushed::Empty;
                }
                match write(bytes) {
                    Ok(0) => return Flushed::Broken,
                    Ok(written) => {
                        let frames = shared.outbox.wrote(written);
                        if std::mem::take(&mut shared.full) {
                            // It was full and takes bytes again: the peer is there.
                            self.hear();
                        }
                        self.common.meters.frames_out.increment(frames.into());
                        self.common.meters.bytes_out.increment(written as u64);
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        shared.full = true;
                        return Flushed::Blocked;
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Flushed::Broken,
                }
            }
        })
    }

    /// Has the session's task look at the session again.
    pub(crate) fn wake(&self) {
        let waker = self.shared.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The session's task waits here from now on. Says whether something waits to be written, and whether it ends.
    pub(super) fn watch(&self, cx: &mut Context<'_>) -> (bool, Option<End>) {
        let mut shared = self.shared.lock();
        if !shared.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            shared.waker = Some(cx.waker().clone());
        }
        (shared.outbox.has_work(), shared.end)
    }

    /// Why it ended, if it has.
    pub(super) fn ended(&self) -> Option<End> {
        self.shared.lock().end
    }

    /// Something came from the peer, or went to it after it had been full: it is there.
    pub(crate) fn hear(&self) {
        self.heard.store(self.common.clock.now(), Relaxed);
    }

    /// The coarse second in which the peer last gave a sign of life.
    pub(crate) fn heard(&self) -> u32 {
        self.heard.load(Relaxed)
    }

    /// For the sweep: drops what is too old, returns the bytes that still wait.
    pub(crate) fn age(&self, now: u32) -> u32 {
        let mut shared = self.shared.lock();
        let aged = shared.outbox.drop_aged(now);
        if aged > 0 {
            self.common.meters.dropped_aged.increment(aged.into());
        }
        shared.outbox.bytes()
    }
}

fn messages<T: AsRef<[u8]>>(texts: &[T], at: Pos) -> Chunk {
    let frames = u32::try_from(texts.len()).unwrap_or(u32::MAX);
    Chunk { bytes: websocket::encode_texts(texts), frames, kind: Kind::Durable(at) }
}

/// What a socket still gets when its session ends.
enum Last {
    /// What waits, and then a close frame, if there is one.
    Queued(Option<Bytes>),
    /// Not another byte.
    Nothing,
}

fn end(shared: &mut Shared, why: End, last: Last) {
    let is_first = shared.end.is_none();
    shared.end.get_or_insert(why);
    match last {
        Last::Queued(frame) if is_first => {
            shared.outbox.close(frame);
        }
        Last::Queued(_) => {}
        Last::Nothing => shared.outbox.abort(),
    }
    if let Some(waker) = shared.waker.take() {
        waker.wake();
    }
}
