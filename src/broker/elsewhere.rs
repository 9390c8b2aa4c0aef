//! What goes to other nodes: a line that whoever keeps links to them empties.

use super::{
    Broker, CloseTarget, NoPlace, Publication,
    interest::{Interest, Interests},
};
use crate::{
    config::limits::GREETING_WAIT,
    planted::{self, Bug},
    protocol::{Close, Group},
    tally::{Elsewhere, Tally},
};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tokio::{sync::mpsc, time::Instant};

/// Something for other nodes, in the order in which it was done here.
#[derive(Debug)]
pub enum Outgoing {
    /// An ephemeral event, for nodes with members of its group.
    Publish(Publication, Elsewhere),
    /// Sockets to close, for every node.
    Close(CloseTarget, Close, Elsewhere),
}

/// A node's place among others.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) interests: Interests,
    line: mpsc::Sender<Outgoing>,
    started: Instant,
    /// Until when events may be published, in ms from `started`: later, others may have stopped sending theirs here.
    held_until: AtomicU64,
    /// Given up for good: this node stops.
    is_left: AtomicBool,
    /// Counts how often the place was lost.
    number: AtomicU32,
}

impl Place {
    pub(super) fn new(room: usize) -> (Self, mpsc::Receiver<Outgoing>) {
        let (line, outgoing) = mpsc::channel(room);
        let interests = Interests::default();
        let place = Self {
            interests,
            line,
            started: Instant::now(),
            held_until: 0.into(),
            is_left: false.into(),
            number: 0.into(),
        };
        (place, outgoing)
    }

    pub(super) fn is_fenced(&self) -> bool {
        // By the clock at every publish: a process that stood still must not go on where it was.
        let is_over = self.started.elapsed().as_millis() >= u128::from(self.held_until.load(Ordering::Acquire));
        is_over || self.is_left.load(Ordering::Acquire)
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

/// What a broker does for a node that may have company.
impl Broker {
    /// A session is about to be let in to a group: completes once no node that may publish misses it, and holds that for
    /// as long as the interest is kept. A lone node has nobody to tell.
    ///
    /// # Errors
    /// When the others can't be told in time.
    pub async fn take_interest(&self, group: Group) -> Result<Option<Box<Interest>>, NoPlace> {
        let Some(place) = self.inner.place.get() else { return Ok(None) };
        if place.is_fenced() {
            return Err(NoPlace);
        }
        let (interest, waits) = place.interests.take(group);
        if let Some(waits) = waits.filter(|_| !planted::has(Bug::GreetEarly)) {
            tokio::time::timeout(GREETING_WAIT, waits).await.map_err(|_| NoPlace)?.map_err(|_| NoPlace)?;
        }
        // What was known counts for nothing if the others have given this node up meanwhile.
        if place.is_fenced() { Err(NoPlace) } else { Ok(Some(Box::new(interest))) }
    }

    /// Which of its places among other nodes this node has: sessions of an earlier one have to go.
    pub fn place_number(&self) -> u32 {
        self.inner.place.get().map_or(0, Place::number)
    }

    /// Gives this node a place among others, before the first session: it starts out fenced. At most `room` events wait
    /// to be sent.
    pub fn take_place(&self, room: usize) -> (Interests, mpsc::Receiver<Outgoing>) {
        let (place, outgoing) = Place::new(room);
        let interests = place.interests.clone();
        // A second one would never be asked.
        let _ = self.inner.place.set(place);
        (interests, outgoing)
    }

    /// Whether this node may have company.
    pub fn has_place(&self) -> bool {
        self.inner.place.get().is_some()
    }

    /// The place is this node's until then. After that it is fenced: it publishes nothing and lets nobody in, for others
    /// may have given it up.
    pub fn hold_place(&self, until: Instant) {
        if let Some(place) = self.inner.place.get() {
            place.hold(until);
        }
    }

    /// Whether this node has company and has lost touch with it.
    pub fn is_fenced(&self) -> bool {
        self.inner.place.get().is_some_and(Place::is_fenced)
    }

    /// This node goes: from now on it publishes nothing and lets nobody in.
    pub fn leave_place(&self) {
        if let Some(place) = self.inner.place.get() {
            place.is_left.store(true, Ordering::Release);
        }
    }

    /// The others have given this node up: whoever is here is sent away, to come back at once, here or elsewhere.
    pub async fn lose_place(&self) {
        if let Some(place) = self.inner.place.get() {
            place.lose();
        }
        let _uncounted = self.close(CloseTarget::All, Close::LostPlace).await;
    }

    /// Closes sessions of this node and of all others. The tally counts those that were not closing already.
    pub async fn close_everywhere(&self, which: CloseTarget, why: Close) -> Tally {
        let Some(place) = self.inner.place.get() else { return self.close(which, why).await };
        let tally = self.close_counted(which.clone(), (why, 1)).await;
        place.send(Outgoing::Close(which, why, Elsewhere(tally.0.clone()))).await;
        tally
    }
}
