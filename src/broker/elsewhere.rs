//! What goes to other nodes: a line that whoever keeps links to them empties.

use super::{CloseTarget, Publication, interest::Interests};
use crate::{protocol::Close, tally::Count};
use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
use tokio::{sync::mpsc, time::Instant};

/// Something for other nodes, in the order in which it was done here.
#[derive(Debug)]
pub enum Outgoing {
    /// An ephemeral event, for nodes with members of its group.
    Publish(Publication, Elsewhere),
    /// Sockets to close, for every node.
    Close(CloseTarget, Close, Elsewhere),
}

/// Where it is counted whom something reached on other nodes: once.
#[derive(Debug)]
pub struct Elsewhere(pub(crate) Arc<Count>);

impl Elsewhere {
    /// So many there.
    pub fn reached(self, sessions: u64) {
        self.0.add(sessions);
    }
}

/// A node's place among others.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) interests: Interests,
    line: mpsc::Sender<Outgoing>,
    started: Instant,
    /// Until when events may be published, in ms from `started`: later, others may have stopped sending theirs here.
    held_until: AtomicU64,
    /// Counts how often the place was lost.
    number: AtomicU32,
}

impl Place {
    pub(super) fn new(room: usize) -> (Self, mpsc::Receiver<Outgoing>) {
        let (line, outgoing) = mpsc::channel(room);
        let interests = Interests::default();
        let place = Self { interests, line, started: Instant::now(), held_until: 0.into(), number: 0.into() };
        (place, outgoing)
    }

    pub(super) fn is_fenced(&self) -> bool {
        // By the clock at every publish: a process that stood still must not go on where it was.
        self.started.elapsed().as_millis() >= u128::from(self.held_until.load(Ordering::Acquire))
    }

    pub(super) fn hold(&self, until: Instant) {
        let until = until.saturating_duration_since(self.started).as_millis();
        self.held_until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn number(&self) -> u32 {
        self.number.load(Ordering::Acquire)
    }

    /// The place is lost: those who were let in before have to go.
    pub(super) fn lose(&self) {
        self.hold(self.started);
        self.number.fetch_add(1, Ordering::AcqRel);
        self.interests.forgotten();
    }

    /// Room for one more.
    pub(super) fn reserve(&self) -> Option<mpsc::Permit<'_, Outgoing>> {
        self.line.try_reserve().ok()
    }

    /// Waits for room.
    pub(super) async fn send(&self, outgoing: Outgoing) {
        // A stopping server sends nothing any more.
        let _ = self.line.send(outgoing).await;
    }
}
