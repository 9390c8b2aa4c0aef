//! What the app said, for whom sockets are open, and when it has to be asked again. A table over values: time comes in.
//!
//! An entry with guests stays as long as they do; one without is kept until its answer runs out, and only so many of
//! those. Credentials are kept only for entries with guests.

use crate::{
    auth::{Fingerprint, Forwarded, Identity},
    config::limits::WEBHOOK_ANSWERS_MAX,
    protocol::{Close, Endpoint, SessionId, Tenant, UserId},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// When an entry that was to be asked about is looked at again, whatever became of the call.
const AGAIN: Duration = Duration::from_secs(5);

pub(super) type Who = (Tenant, UserId);

/// What the app said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) identity: Arc<Identity>,
    /// From when it is no good.
    pub(super) until: Instant,
    /// When it is time to ask again, if anybody lives on it.
    pub(super) renew: Instant,
    /// [`Book::epoch`] when the app was asked.
    pub(super) epoch: u64,
}

impl Known {
    fn who(&self) -> Who {
        (self.identity.tenant.clone(), self.identity.user.clone())
    }
}

#[derive(Debug)]
struct Entry {
    known: Known,
    /// Good for those who are in, but not for anybody new.
    is_stale: bool,
    /// While there are guests.
    forwarded: Option<Forwarded>,
    guests: HashMap<SessionId, Endpoint>,
    /// Its place in [`Book::due`] or [`Book::idle`].
    at: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: HashMap<Fingerprint, Entry>,
    /// Entries with guests, by when to ask about them.
    due: BTreeSet<(Instant, Fingerprint)>,
    /// Entries without, by when they are of no use.
    idle: BTreeSet<(Instant, Fingerprint)>,
    by_user: HashMap<Who, HashSet<Fingerprint>>,
    /// Guests who must go and have not gone.
    leaving: HashMap<SessionId, (Who, Close)>,
    /// Counts flushes: an answer to what was asked before one is not kept after it.
    epoch: u64,
}

impl Book {
    /// A kept answer that lets somebody in.
    pub(super) fn answer(&self, fingerprint: &Fingerprint, now: Instant) -> Option<Known> {
        let entry = self.entries.get(fingerprint)?;
        (!entry.is_stale && now < entry.known.until).then(|| entry.known.clone())
    }

    /// What to put into [`Known::epoch`] of an answer that is asked for now.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The app said yes. If it speaks of somebody else than before, those who are in must go.
    pub(super) fn keep(&mut self, fingerprint: Fingerprint, known: Known) {
        let is_fresh = known.epoch == self.epoch;
        if self.entries.get(&fingerprint).is_some_and(|entry| entry.known.who() != known.who()) {
            self.condemn(&fingerprint, Close::TokenExpired);
        }
        if let Some(mut entry) = self.take(&fingerprint) {
            entry.known = known;
            entry.is_stale = !is_fresh;
            self.put(fingerprint, entry);
        } else if is_fresh {
            self.insert(fingerprint, known);
        }
    }

    /// A session lives on an answer.
    pub(super) fn enter(
        &mut self,
        (forwarded, known): (Forwarded, Known),
        (session, endpoint): (SessionId, Endpoint),
        now: Instant,
    ) {
        let fingerprint = forwarded.fingerprint;
        let is_fresh = known.epoch == self.epoch && now < known.until;
        let mut entry = match self.take(&fingerprint) {
            Some(entry) if entry.known.who() == known.who() => entry,
            Some(entry) => {
                // The cookie has become another user's since this one was asked about.
                self.put(fingerprint, entry);
                self.leaving.insert(session, (known.who(), Close::TokenExpired));
                return;
            }
            // Evicted or flushed meanwhile: then it is asked about at once.
            None => Entry {
                known: Known { renew: if is_fresh { known.renew } else { now }, ..known },
                is_stale: !is_fresh,
                forwarded: None,
                guests: HashMap::new(),
                at: now,
            },
        };
        entry.forwarded = Some(forwarded);
        entry.guests.insert(session, endpoint);
        self.put(fingerprint, entry);
    }

    /// A session has ended.
    pub(super) fn leave(&mut self, fingerprint: &Fingerprint, session: SessionId, now: Instant) {
        self.leaving.remove(&session);
        let is_guest = self.entries.get(fingerprint).is_some_and(|entry| entry.guests.contains_key(&session));
        let Some(mut entry) = is_guest.then(|| self.take(fingerprint)).flatten() else { return };
        entry.guests.remove(&session);
        if !entry.guests.is_empty() {
            self.put(*fingerprint, entry);
        } else if !entry.is_stale && now < entry.known.until {
            entry.forwarded = None;
            self.put(*fingerprint, entry);
        }
    }

    /// Answers about a user are good for nobody new, neither kept ones nor those on their way.
    pub(super) fn flush(&mut self, who: &Who) {
        self.epoch += 1;
        for fingerprint in self.by_user.get(who).cloned().unwrap_or_default() {
            self.forget(&fingerprint);
        }
    }

    /// An answer is good for nobody new.
    pub(super) fn forget(&mut self, fingerprint: &Fingerprint) {
        if let Some(mut entry) = self.take(fingerprint)
            && !entry.guests.is_empty()
        {
            entry.is_stale = true;
            self.put(*fingerprint, entry);
        }
    }

    /// Everybody who lives on this answer must go.
    pub(super) fn condemn(&mut self, fingerprint: &Fingerprint, why: Close) {
        let Some(entry) = self.take(fingerprint) else { return };
        let who = entry.known.who();
        self.leaving.extend(entry.guests.into_keys().map(|session| (session, (who.clone(), why))));
    }

    /// One guest must go: what the app says of the user does not open this endpoint any more.
    pub(super) fn show_out(&mut self, fingerprint: &Fingerprint, endpoint: Endpoint, why: Close) {
        let Some(entry) = self.entries.get(fingerprint) else { return };
        let who = entry.known.who();
        let those = entry.guests.iter().filter(|(_, at)| **at == endpoint);
        self.leaving.extend(those.map(|(session, _)| (*session, (who.clone(), why))));
    }

    /// Whether the answer has been out of date for longer than `grace`.
    pub(super) fn ran_out(&self, fingerprint: &Fingerprint, grace: Duration, now: Instant) -> bool {
        self.entries.get(fingerprint).is_some_and(|entry| now >= entry.known.until + grace)
    }

    /// What the guests of an entry have open, each once.
    pub(super) fn endpoints(&self, fingerprint: &Fingerprint) -> Vec<Endpoint> {
        let Some(entry) = self.entries.get(fingerprint) else { return Vec::new() };
        Endpoint::ALL.into_iter().filter(|endpoint| entry.guests.values().any(|open| open == endpoint)).collect()
    }

    /// Who must be asked about by now, the longest due first. Looked at again soon, whatever becomes of the call.
    pub(super) fn take_due(&mut self, now: Instant, most: usize) -> Vec<Forwarded> {
        let due: Vec<_> =
            self.due.iter().take_while(|(at, _)| *at <= now).take(most).map(|(_, fingerprint)| *fingerprint).collect();
        let mut asked = Vec::with_capacity(due.len());
        for fingerprint in due {
            let Some(mut entry) = self.take(&fingerprint) else { continue };
            entry.known.renew = now + AGAIN;
            asked.extend(entry.forwarded.clone());
            self.put(fingerprint, entry);
        }
        asked
    }

    /// Forgets what is of no use any more.
    pub(super) fn tidy(&mut self, now: Instant) {
        while let Some((_, fingerprint)) = self.idle.first().copied().filter(|(at, _)| *at <= now) {
            self.take(&fingerprint);
        }
    }

    /// Guests who must go and are still there.
    pub(super) fn leaving(&self) -> Vec<(Who, SessionId, Close)> {
        self.leaving.iter().map(|(session, (who, why))| (who.clone(), *session, *why)).collect()
    }

    fn insert(&mut self, fingerprint: Fingerprint, known: Known) {
        while self.idle.len() >= WEBHOOK_ANSWERS_MAX {
            let Some((_, first)) = self.idle.first().copied() else { break };
            self.take(&first);
        }
        let at = known.until;
        self.put(fingerprint, Entry { known, is_stale: false, forwarded: None, guests: HashMap::new(), at });
    }

    /// Takes an entry out of all indexes.
    fn take(&mut self, fingerprint: &Fingerprint) -> Option<Entry> {
        let entry = self.entries.remove(fingerprint)?;
        self.due.remove(&(entry.at, *fingerprint));
        self.idle.remove(&(entry.at, *fingerprint));
        let who = entry.known.who();
        if let Some(all) = self.by_user.get_mut(&who) {
            all.remove(fingerprint);
            if all.is_empty() {
                self.by_user.remove(&who);
            }
        }
        Some(entry)
    }

    /// Puts an entry into all indexes.
    fn put(&mut self, fingerprint: Fingerprint, mut entry: Entry) {
        entry.at = if entry.guests.is_empty() { entry.known.until } else { entry.known.renew };
        let order = if entry.guests.is_empty() { &mut self.idle } else { &mut self.due };
        order.insert((entry.at, fingerprint));
        self.by_user.entry(entry.known.who()).or_default().insert(fingerprint);
        self.entries.insert(fingerprint, entry);
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
