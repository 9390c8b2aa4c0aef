//! Who is online, in memory: the presence rows of each tenant, ready to be sent.
//!
//! Entries are encoded when a user comes online, the list once a change. Built from the rows at start-up and kept by
//! the effects of each applied command.

use super::{Effect, EffectKind, RecordsError, directory, presence};
use crate::protocol::{Pos, Tenant, Timestamp, UserId, frames};
use carillon_storage::tables::Read;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Everybody who is online, by tenant.
#[derive(Debug, Default)]
pub struct Roster {
    tenants: HashMap<Tenant, Online>,
    /// Every effect up to here is in.
    applied: Pos,
}

#[derive(Debug, Default)]
struct Online {
    since: HashMap<UserId, Pos>,
    /// In the order of coming online.
    people: BTreeMap<Pos, Present>,
    /// `online_users` with everybody, until the next change.
    encoded: Option<Arc<str>>,
}

#[derive(Debug)]
struct Present {
    user: UserId,
    /// The entry of v0.
    person: Arc<str>,
    /// When the user came.
    seen: Option<Timestamp>,
}

impl Roster {
    /// Reads who is online from the rows.
    ///
    /// # Errors
    /// When rows can't be read.
    pub fn load(read: &impl Read, applied: Pos) -> Result<Self, RecordsError> {
        let mut roster = Self { applied, ..Self::default() };
        for (tenant, user, row) in presence::all(read)? {
            if let Some(since) = row.online_since {
                let profile = directory::of(read, &tenant, &user)?.unwrap_or_default();
                let person = presence::person(&user, &profile).into();
                roster.tenants.entry(tenant).or_default().add(since, Present { user, person, seen: row.last_seen });
            }
        }
        Ok(roster)
    }

    /// Takes in an effect; those that are not about presence only move the position.
    pub fn take(&mut self, effect: &Effect) {
        self.applied = self.applied.max(effect.pos);
        match &effect.kind {
            EffectKind::Online { user, person, seen } => {
                let present = Present { user: user.clone(), person: person.as_str().into(), seen: Some(*seen) };
                self.tenants.entry(effect.tenant.clone()).or_default().add(effect.pos, present);
            }
            EffectKind::Offline { user } => {
                if let Some(online) = self.tenants.get_mut(&effect.tenant) {
                    online.remove(user);
                }
            }
            EffectKind::Renamed { user, person } => {
                if let Some(online) = self.tenants.get_mut(&effect.tenant)
                    && let Some(since) = online.since.get(user)
                    && let Some(present) = online.people.get_mut(since)
                {
                    present.person = person.as_str().into();
                    online.encoded = None;
                }
            }
            EffectKind::Publish { .. } | EffectKind::Close { .. } | EffectKind::BootEnded { .. } => {}
        }
    }

    /// What greets a new presence socket of `user`: the list as it stood just before the user's own coming if that
    /// was `joined`, else as it stands now; the user's own entry; and the position of the list.
    pub fn greeting(&mut self, tenant: &Tenant, user: &UserId, joined: Option<Pos>) -> Greeting {
        let online = self.tenants.entry(tenant.clone()).or_default();
        let own = online.own(user).map(|present| present.person.clone());
        match joined {
            Some(at) => {
                let before = online.people.range(..at).map(|(_, present)| present.person.as_ref());
                Greeting { list: frames::online_users(before).into(), own, at }
            }
            None => Greeting { list: online.list(), own, at: self.applied },
        }
    }

    /// As [`Self::greeting`], in entries of v1.
    pub fn entries(&self, tenant: &Tenant, user: &UserId, joined: Option<Pos>) -> Entries {
        use std::ops::Bound::{Excluded, Unbounded};
        let Some(online) = self.tenants.get(tenant) else {
            return Entries { people: Vec::new(), own: None, at: joined.unwrap_or(self.applied) };
        };
        let before = joined.map_or(Unbounded, Excluded);
        Entries {
            people: online.people.range((Unbounded, before)).map(|(_, present)| present.entry()).collect(),
            own: online.own(user).map(Present::entry),
            at: joined.unwrap_or(self.applied),
        }
    }

    /// Whether a user is online.
    pub fn has(&self, tenant: &Tenant, user: &UserId) -> bool {
        self.tenants.get(tenant).is_some_and(|online| online.since.contains_key(user))
    }

    /// How many users are online, over all tenants.
    pub fn len(&self) -> usize {
        self.tenants.values().map(|online| online.people.len()).sum()
    }

    /// Whether nobody is online.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries of users who came online after `after`, in that order, at most `limit`; and the position of the roster.
    pub fn page(&self, tenant: &Tenant, after: Pos, limit: usize) -> (Vec<(Pos, Arc<str>)>, Pos) {
        use std::ops::Bound::{Excluded, Unbounded};
        let page = self.tenants.get(tenant).map_or_else(Vec::new, |online| {
            let range = online.people.range((Excluded(after), Unbounded)).take(limit);
            range.map(|(since, present)| (*since, present.person.clone())).collect()
        });
        (page, self.applied)
    }
}

/// The first frames of a presence socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The whole `online_users` frame.
    pub list: Arc<str>,
    /// The user's own entry; `None` if the user is not online (any more).
    pub own: Option<Arc<str>>,
    /// Later transitions follow.
    pub at: Pos,
}

/// What greets a presence socket that speaks v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Everybody, in the order of coming online.
    pub people: Vec<String>,
    /// The user's own; `None` if the user is not online (any more).
    pub own: Option<String>,
    /// Later transitions follow.
    pub at: Pos,
}

impl Present {
    fn entry(&self) -> String {
        frames::person_seen(&self.person, self.seen)
    }
}

impl Online {
    fn own(&self, user: &UserId) -> Option<&Present> {
        self.people.get(self.since.get(user)?)
    }

    fn add(&mut self, since: Pos, present: Present) {
        self.remove(&present.user);
        self.since.insert(present.user.clone(), since);
        self.people.insert(since, present);
    }

    fn remove(&mut self, user: &UserId) {
        self.encoded = None;
        if let Some(since) = self.since.remove(user) {
            self.people.remove(&since);
        }
    }

    fn list(&mut self) -> Arc<str> {
        let people = &self.people;
        let encode = || frames::online_users(people.values().map(|present| present.person.as_ref())).into();
        self.encoded.get_or_insert_with(encode).clone()
    }
}
