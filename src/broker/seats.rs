//! All sessions of one shard: found by id, swept by the second, and ordered by when their credentials run out.

use crate::{
    protocol::SessionId,
    session::{Session, metrics::End, state::Liveness},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

#[derive(Debug)]
struct Seat {
    session: Arc<Session>,
    /// The second of the last ping.
    asked: Option<u32>,
    /// Under which second it stands among the expiries.
    expires: u32,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Seats {
    liveness: Liveness,
    /// One map for each second of the ping interval.
    phases: Vec<HashMap<SessionId, Seat>>,
    expiries: BTreeSet<(u32, SessionId)>,
    /// Bytes that waited in the outboxes of each phase when it was last swept.
    waiting: Vec<u64>,
}

impl Seats {
    pub(super) fn new(liveness: Liveness) -> Self {
        let phases: Vec<_> = (0..liveness.phases()).map(|_| HashMap::new()).collect();
        let waiting = vec![0; phases.len()];
        Self { liveness, phases, expiries: BTreeSet::new(), waiting }
    }

    fn phase(&mut self, id: SessionId) -> &mut HashMap<SessionId, Seat> {
        // Ids count up, so sessions spread evenly over the phases.
        let phase = id.0 % self.phases.len() as u64;
        &mut self.phases[usize::try_from(phase).unwrap_or(0)]
    }

    /// False if it was there already.
    pub(super) fn insert(&mut self, session: Arc<Session>) -> bool {
        let (id, expires) = (session.client.id, session.expires());
        self.expiries.insert((expires, id));
        self.phase(id).insert(id, Seat { session, asked: None, expires }).is_none()
    }

    /// Its credential was replaced: it stands under another second now.
    pub(super) fn renew(&mut self, id: SessionId) {
        let Some(seat) = self.phase(id).get_mut(&id) else { return };
        let expires = seat.session.expires();
        let old = std::mem::replace(&mut seat.expires, expires);
        self.expiries.remove(&(old, id));
        self.expiries.insert((expires, id));
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Arc<Session>> {
        let seat = self.phase(id).remove(&id)?;
        self.expiries.remove(&(seat.expires, id));
        Some(seat.session)
    }

    pub(super) fn get(&mut self, id: SessionId) -> Option<&Arc<Session>> {
        self.phase(id).get(&id).map(|seat| &seat.session)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.phases.iter().flat_map(|phase| phase.values().map(|seat| &seat.session))
    }

    /// Takes out those whose credentials are no good at second `now`.
    pub(super) fn take_expired(&mut self, now: u32) -> Vec<Arc<Session>> {
        let later = self.expiries.split_off(&(now.saturating_add(1), SessionId(0)));
        let expired = std::mem::replace(&mut self.expiries, later);
        expired.into_iter().filter_map(|(_, id)| self.get(id).cloned()).collect()
    }

    /// One second's sweep: ends those that did not answer, returns those to ping now.
    pub(super) fn sweep(&mut self, now: u32) -> Vec<Arc<Session>> {
        let liveness = self.liveness;
        let checked = liveness.to_check(now) as usize;
        self.waiting[checked] = 0;
        for seat in self.phases[checked].values_mut() {
            self.waiting[checked] += u64::from(seat.session.age(now));
            if liveness.is_gone(seat.asked, seat.session.heard(), now) {
                seat.session.abort(End::Dead);
            }
        }
        let asked = self.phases[liveness.to_ping(now) as usize].values_mut().map(|seat| {
            seat.asked = Some(now);
            seat.session.clone()
        });
        asked.collect()
    }

    /// Bytes that wait in all outboxes, as of their last sweep.
    pub(super) fn outbox_bytes(&self) -> u64 {
        self.waiting.iter().sum()
    }
}
