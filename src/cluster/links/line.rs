//! One lasting link to one peer: dialled again whenever it breaks, with a bounded queue that is empty while it is down.

use super::{
    Links,
    frame::{Frame, Reader, Tag, Writer},
    hello::Party,
    kind::Kind,
};
use crate::{
    config::limits::{
        LINK_BACKOFF, LINK_EVENT_BYTES_MAX, LINK_EVENTS_MAX, LINK_PING_EVERY, LINK_QUEUE_MAX, LINK_SILENCE_MAX,
    },
    protocol::NodeId,
    telemetry::names,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Least time between two notes of how far this node has applied.
const APPLIED_EVERY: Duration = Duration::from_millis(2);
/// Questions without an answer after which those are forgotten that nobody waits for any more.
const PENDING_MANY: usize = 256;

/// Why a peer has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nothing was sent.
    #[error("there is no link to the node")]
    Down,
    /// Nothing was sent.
    #[error("too much waits for the link to the node")]
    Full,
    /// It may have been received.
    #[error("the link to the node broke")]
    Lost,
}

/// What waits to be written.
enum Outgoing {
    Request { body: Bytes, answer: oneshot::Sender<Result<Bytes, LinkError>> },
    Message(Bytes),
}

/// A handle; clones share the line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    queue: mpsc::Sender<Outgoing>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_up: AtomicBool,
    /// When the peer was heard last.
    heard: Mutex<Option<Instant>>,
    /// Of messages that wait.
    bytes: AtomicUsize,
}

impl Line {
    /// Starts to dial; runs until `stop`.
    pub(super) fn start(links: &Links, (peer, address): (NodeId, &str), kind: Kind, stop: CancellationToken) -> Self {
        let room = if kind == Kind::Events { LINK_EVENTS_MAX } else { LINK_QUEUE_MAX };
        let (queue, waiting) = mpsc::channel(room);
        let state = Arc::new(State::default());
        let dialer = Dialer {
            links: links.clone(),
            peer,
            address: address.to_owned(),
            kind,
            waiting,
            state: state.clone(),
            is_first: true,
        };
        links.tracker().spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = dialer.run() => {}
            }
        });
        Self { queue, state }
    }

    pub(super) fn is_up(&self) -> bool {
        self.state.is_up.load(Ordering::Acquire)
    }

    /// Whether it is up and the peer was heard so lately.
    pub(super) fn was_heard_within(&self, time: Duration) -> bool {
        self.is_up() && self.state.heard.lock().is_some_and(|heard| heard.elapsed() <= time)
    }

    /// Asks, and waits for the answer.
    pub(super) async fn request(&self, body: Bytes) -> Result<Bytes, LinkError> {
        if !self.is_up() {
            return Err(LinkError::Down);
        }
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Outgoing::Request { body, answer }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => LinkError::Full,
            mpsc::error::TrySendError::Closed(_) => LinkError::Down,
        })?;
        answered.await.unwrap_or(Err(LinkError::Lost))
    }

    /// Sends at most once, at once or not at all.
    pub(super) fn message(&self, body: Bytes) -> Result<(), LinkError> {
        if !self.is_up() {
            return Err(LinkError::Down);
        }
        let bytes = body.len();
        if self.state.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > LINK_EVENT_BYTES_MAX {
            self.state.bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(LinkError::Full);
        }
        self.queue.try_send(Outgoing::Message(body)).map_err(|_| {
            self.state.bytes.fetch_sub(bytes, Ordering::AcqRel);
            LinkError::Full
        })
    }
}

/// Marks the line as down when the link ends, however it ends.
struct Up<'a>(&'a State, metrics::Gauge);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.is_up.store(false, Ordering::Release);
        self.1.decrement(1.0);
    }
}

struct Dialer {
    links: Links,
    peer: NodeId,
    address: String,
    kind: Kind,
    waiting: mpsc::Receiver<Outgoing>,
    state: Arc<State>,
    is_first: bool,
}

impl Dialer {
    async fn run(mut self) {
        let mut pause = LINK_BACKOFF.0;
        loop {
            match self.links.dial(&self.address, self.peer, self.kind).await {
                Ok((peer, reader, writer)) => {
                    pause = LINK_BACKOFF.0;
                    self.links.met(&peer);
                    if !std::mem::take(&mut self.is_first) {
                        metrics::counter!(names::LINK_RECONNECTS, "kind" => self.kind.name()).increment(1);
                    }
                    let ended = self.serve(&peer, (reader, writer)).await;
                    tracing::debug!(peer = self.peer, kind = self.kind.name(), ?ended, "a link has ended");
                }
                Err(error) => {
                    self.links.complain(&format!("no link to node {} at {}: {error}", self.peer, self.address));
                }
            }
            self.empty();
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LINK_BACKOFF.1);
        }
    }

    /// What came while the link broke was never sent.
    fn empty(&mut self) {
        while let Ok(outgoing) = self.waiting.try_recv() {
            match outgoing {
                // Whoever asked may have gone.
                Outgoing::Request { answer, .. } => drop(answer.send(Err(LinkError::Down))),
                Outgoing::Message(body) => drop(self.state.bytes.fetch_sub(body.len(), Ordering::AcqRel)),
            }
        }
    }

    async fn serve(&mut self, peer: &Party, (mut reader, mut writer): (Reader, Writer)) -> io::Result<()> {
        let up = metrics::gauge!(names::LINKS_UP, "kind" => self.kind.name());
        up.increment(1.0);
        *self.state.heard.lock() = Some(Instant::now());
        self.state.is_up.store(true, Ordering::Release);
        let state = self.state.clone();
        let _up = Up(&state, up);
        let mut cluster = self.links.identity().watch_cluster();
        // A link that was made before this node had a cluster says so to nobody: made again, it does.
        if *cluster.borrow_and_update() != peer.cluster {
            return Ok(());
        }
        let mut applied = self.links.watch_own_applied();
        applied.mark_changed();
        let (mut next_number, mut pending) = (0_u64, HashMap::new());
        let mut ping = tokio::time::interval(LINK_PING_EVERY);
        let (mut heard, mut pinged) = (Instant::now(), Instant::now());
        let mut applied_from = tokio::time::Instant::now();
        loop {
            tokio::select! {
                frame = reader.next() => {
                    let Some(frame) = frame? else { return Ok(()) };
                    heard = Instant::now();
                    *state.heard.lock() = Some(heard);
                    match frame.tag {
                        Tag::Answer => if let Some(answer) = pending.remove(&frame.number) {
                            answer_with(answer, Ok(frame.body));
                        },
                        Tag::Pong => self.links.timed(self.peer, self.kind, pinged.elapsed()),
                        _ => return Err(io::ErrorKind::InvalidData.into()),
                    }
                }
                outgoing = self.waiting.recv() => match outgoing {
                    None => return Ok(()),
                    Some(Outgoing::Message(body)) => {
                        self.state.bytes.fetch_sub(body.len(), Ordering::AcqRel);
                        writer.send(Frame::new(Tag::Message, 0, body)).await?;
                    }
                    Some(Outgoing::Request { body, answer }) => {
                        next_number += 1;
                        if pending.len() > PENDING_MANY {
                            pending.retain(|_, answer: &mut oneshot::Sender<_>| !answer.is_closed());
                        }
                        pending.insert(next_number, answer);
                        writer.send(Frame::new(Tag::Request, next_number, body)).await?;
                    }
                },
                _ = ping.tick() => {
                    if heard.elapsed() > LINK_SILENCE_MAX {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    pinged = Instant::now();
                    writer.send(Frame::new(Tag::Ping, 0, Bytes::new())).await?;
                }
                changed = later(applied_from, &mut applied), if self.kind == Kind::Events => {
                    let Some(index) = changed else { return Ok(()) };
                    applied_from = tokio::time::Instant::now() + APPLIED_EVERY;
                    writer.send(Frame::new(Tag::Applied, index, Bytes::new())).await?;
                }
                _ = cluster.changed() => return Ok(()),
            }
        }
    }
}

fn answer_with(answer: oneshot::Sender<Result<Bytes, LinkError>>, body: Result<Bytes, LinkError>) {
    // Whoever asked may have given up.
    let _ = answer.send(body);
}

/// The next value that is new, not before `from`.
async fn later(from: tokio::time::Instant, applied: &mut tokio::sync::watch::Receiver<u64>) -> Option<u64> {
    tokio::time::sleep_until(from).await;
    applied.changed().await.ok()?;
    Some(*applied.borrow_and_update())
}

/// Half of it up to all of it, so that nodes that lost each other don't knock in step.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without randomness there is no jitter.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    pause / 2 + pause * u32::from(byte[0]) / 512
}
