//! A shard: one task that owns some of the sessions and the groups they are in, and writes to them.
//!
//! It takes publishes in, queues each to all its members, and then writes to those that wait, first come first
//! served, in chunks, taking in new publishes between chunks: a session that has not been reached yet gets
//! everything in one write. It never waits for a socket.

use super::{
    drain::Draining,
    gathering::{self, Change, Gathering},
    job::{self, Job},
    metrics::Meters,
    roster::Roster,
    seats::Seats,
};
use crate::{
    config::limits::{SHARD_PASS_BYTES_MAX, SHARD_PASS_FRAMES_MAX},
    protocol::{Close, Edition, Group, GroupName, InV1, OtherServer, SessionId, Tenant, UserId},
    session::{
        Common, Flushed, Session,
        outbox::{Chunk, Pushed, Room},
    },
    tally::Count,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Sessions that are written to between two looks at the queue.
const CHUNK: usize = 64;
/// Commands taken in at once.
const COMMANDS: usize = 128;

/// What a shard is told.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Arc<Job>),
    Join { session: Arc<Session>, group: Group, done: oneshot::Sender<()> },
    Leave(SessionId),
    Renew(SessionId),
    Close { which: CloseTarget, why: Close, count: Arc<Count> },
    Drain(Duration, Arc<[&'static OtherServer]>),
}

/// Whose sessions to close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseTarget {
    /// One user's.
    User {
        /// Whose user.
        tenant: Tenant,
        /// Which user.
        user: UserId,
        /// Only those on endpoints that are for staff.
        staff_only: bool,
    },
    /// One.
    Session {
        /// Whose user.
        tenant: Tenant,
        /// Which user.
        user: UserId,
        /// Which session of the user.
        session: SessionId,
    },
    /// Everybody's.
    All,
}

impl CloseTarget {
    fn matches(&self, session: &Session) -> bool {
        let client = &session.client;
        match self {
            Self::All => true,
            Self::Session { session, .. } => client.id == *session,
            Self::User { tenant, user, staff_only } => {
                client.user == *user && client.tenant == *tenant && (!staff_only || client.endpoint.staff_only())
            }
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) queue: mpsc::Receiver<Command>,
    pub(super) common: Arc<Common>,
    pub(super) meters: Meters,
    pub(super) open: Arc<AtomicUsize>,
    pub(super) roster: Roster<Arc<Session>>,
    pub(super) seats: Seats,
    pub(super) dirty: VecDeque<Arc<Session>>,
    pub(super) pass: Pass,
    pub(super) draining: Option<Draining>,
    /// Presence changes that wait for their frame.
    pub(super) gathering: Gathering,
    /// This shard's part of the gauge of waiting bytes.
    pub(super) waiting_shown: u64,
}

/// How much was taken in since the round of writes began. Without this bound a burst of publishes to a big group
/// would overflow the outboxes of readers who are perfectly quick, only because their turn hasn't come.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Sessions that waited when it began and still do.
    left: usize,
    frames: u32,
    bytes: usize,
}

impl Pass {
    /// A quarter of an outbox is enough for one round: a reader may be a whole round behind and have room to spare.
    fn is_full(&self, room: Room) -> bool {
        self.frames >= SHARD_PASS_FRAMES_MAX.min(room.frames / 4 + 1)
            || self.bytes >= SHARD_PASS_BYTES_MAX.min(room.bytes as usize / 4 + 1)
    }
}

/// What a publication came to in this shard.
#[derive(Debug, Default)]
struct Reached {
    sessions: u64,
    /// The most that one outbox got.
    frames_each: u32,
    bytes_each: usize,
}

impl Reached {
    fn count(&mut self, pushed: Pushed, chunk: &Chunk, flush_later: impl FnOnce()) {
        match pushed {
            Pushed::First => flush_later(),
            Pushed::Behind => {}
            Pushed::Known | Pushed::Dropped | Pushed::Full | Pushed::Ending => return,
        }
        self.sessions += 1;
        self.frames_each = self.frames_each.max(chunk.frames);
        self.bytes_each = self.bytes_each.max(chunk.bytes.len());
    }
}

impl Shard {
    /// Until `stop`, or until nobody can send any more.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut swept = self.common.clock.tick();
        loop {
            if self.dirty.is_empty() {
                let wake = self.wake_at(swept);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return self.close_all(),
                    command = self.queue.recv() => match command {
                        Some(command) => self.apply(command),
                        None => return,
                    },
                    () = tokio::time::sleep_until(wake) => {}
                }
            } else if stop.is_cancelled() {
                return self.close_all();
            }
            self.take_in();
            self.write_chunk();
            let now = self.common.clock.tick();
            if now > swept {
                swept = now;
                self.sweep(now);
            }
            self.go_on_draining();
            self.show_gathered();
            if !self.dirty.is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The end: sessions say goodbye by themselves.
    fn close_all(&self) {
        for session in self.seats.iter() {
            session.close(Close::GoingAway);
        }
    }

    fn wake_at(&self, swept: u32) -> Instant {
        let sweep = self.common.clock.at(swept.saturating_add(1));
        let draining = self.draining.as_ref().and_then(Draining::next_at);
        [draining, self.gathering.next_at()].into_iter().flatten().fold(sweep, Instant::min)
    }

    fn take_in(&mut self) {
        for _ in 0..COMMANDS {
            if self.pass.is_full(self.common.room) {
                return;
            }
            let Ok(command) = self.queue.try_recv() else { return };
            self.apply(command);
        }
    }

    fn apply(&mut self, command: Command) {
        match command {
            Command::Publish(job) => self.deliver(&job),
            Command::Join { session, group, done } => self.join(session, group, done),
            Command::Leave(id) => self.leave(id),
            Command::Renew(id) => self.seats.renew(id),
            Command::Close { which: CloseTarget::Session { session, .. }, why, count } => {
                count.add(u64::from(self.seats.get(session).is_some_and(|s| s.close(why))));
            }
            Command::Close { which, why, count } => {
                let closed = self.seats.iter().filter(|s| which.matches(s)).filter(|s| s.close(why)).count();
                count.add(closed as u64);
            }
            Command::Drain(window, places) => {
                let ids = self.seats.iter().map(|s| s.client.id).collect();
                self.draining.get_or_insert_with(|| Draining::start(ids, (window, places)));
            }
        }
    }

    fn deliver(&mut self, job: &Job) {
        let mut reached = Reached::default();
        let mut gathers = false;
        for entry in self.roster.members(&job.group) {
            if Some(entry.id) == job.except {
                if entry.member.client.edition == Edition::V1 {
                    entry.member.expect_reply();
                }
                continue;
            }
            let chunk = match (entry.member.client.edition, &job.v1) {
                (Edition::V0, _) => job.chunk.as_ref(),
                (Edition::V1, InV1::Change { .. }) => {
                    gathers = true;
                    reached.sessions += 1;
                    None
                }
                (Edition::V1, _) => Some(job.v1_chunk()),
            };
            if let Some(chunk) = chunk {
                reached.count(entry.member.queue(chunk), chunk, || self.dirty.push_back(entry.member.clone()));
            }
        }
        if gathers && let (InV1::Change { entry, .. }, Some(pos)) = (&job.v1, job.pos()) {
            self.gathering.add(&job.group.tenant, (pos, entry.clone()), Instant::now());
        }
        let largest = job.chunk.as_ref().map_or(0, |chunk| chunk.bytes.len());
        self.took(&reached, largest);
        job.count.add(reached.sessions);
    }

    /// Counts what was queued, for the bound on one pass.
    fn took(&mut self, reached: &Reached, bytes: usize) {
        self.pass.frames += reached.frames_each;
        self.pass.bytes += bytes.max(reached.bytes_each);
    }

    /// Presence changes whose window is over.
    fn show_gathered(&mut self) {
        if self.gathering.next_at().is_none() {
            return;
        }
        for tenant in self.gathering.due(Instant::now()) {
            self.show_changes(tenant);
        }
    }

    /// One frame for everybody who stood here before the first change. Whoever was greeted in between gets them one
    /// by one: those that the greeting contains fall away.
    fn show_changes(&mut self, tenant: Tenant) {
        let changes = self.gathering.take(&tenant);
        let history = self.common.history();
        let chunk_of = |changes: &[Change]| {
            gathering::frame(changes, history).map(|(text, pos)| job::v1_message(&text, Some(pos)))
        };
        let (Some((first, _)), Some(whole)) = (changes.first(), chunk_of(&changes)) else { return };
        let mut single: Option<Vec<_>> = None;
        let mut reached = Reached::default();
        for entry in self.roster.members(&Group { tenant, name: GroupName::Presence }) {
            let member = &entry.member;
            if member.client.edition == Edition::V0 {
                continue;
            }
            if member.stood_before(*first) {
                reached.count(member.queue(&whole), &whole, || self.dirty.push_back(member.clone()));
                continue;
            }
            let chunks = || changes.iter().filter_map(|change| chunk_of(std::slice::from_ref(change))).collect();
            for chunk in single.get_or_insert_with(chunks) {
                reached.count(member.queue(chunk), chunk, || self.dirty.push_back(member.clone()));
            }
        }
        self.took(&reached, whole.bytes.len());
    }

    fn join(&mut self, session: Arc<Session>, group: Group, done: oneshot::Sender<()>) {
        let endpoint = session.client.endpoint;
        if let Some(draining) = &self.draining {
            session.close(draining.close_for(session.client.id));
        }
        self.roster.join(group, session.client.id, session.clone());
        if self.seats.insert(session) {
            self.meters.sessions(endpoint).increment(1.0);
            self.open.fetch_add(1, Relaxed);
        }
        // A session that has gone meanwhile leaves behind this command.
        let _ = done.send(());
    }

    fn leave(&mut self, id: SessionId) {
        self.roster.leave(id);
        if let Some(session) = self.seats.remove(id) {
            self.meters.sessions(session.client.endpoint).decrement(1.0);
            self.open.fetch_sub(1, Relaxed);
        }
    }

    fn write_chunk(&mut self) {
        for _ in 0..CHUNK {
            let Some(session) = self.dirty.pop_front() else { break };
            if session.flush() != Flushed::Empty {
                // Full: its task waits for room. Broken: its task notices.
                session.wake();
            }
        }
        self.pass.left = self.pass.left.saturating_sub(CHUNK);
        if self.pass.left == 0 {
            self.pass = Pass { left: self.dirty.len(), ..Pass::default() };
        }
    }

    fn sweep(&mut self, now: u32) {
        for session in self.seats.take_expired(now) {
            session.close(Close::TokenExpired);
        }
        for session in self.seats.sweep(now) {
            if session.ping() == Pushed::First {
                self.dirty.push_back(session);
            }
        }
        // Shards share the gauge, so each moves it by its own change.
        let waiting = self.seats.outbox_bytes();
        #[allow(clippy::cast_precision_loss)]
        self.common.meters.outbox_bytes.increment(waiting as f64 - self.waiting_shown as f64);
        self.waiting_shown = waiting;
    }

    fn go_on_draining(&mut self) {
        let Some(draining) = &mut self.draining else { return };
        for id in draining.due(Instant::now()) {
            if let Some(session) = self.seats.get(id) {
                session.close(draining.close_for(id));
            }
        }
    }
}
