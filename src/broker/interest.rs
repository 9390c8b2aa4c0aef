//! Which groups have members on this node, for the table that all nodes share.
//!
//! A session's interest in its group is taken before the session is let in, and given back when it is over. With
//! company, it is good once every node that may publish knows of it; who needs that waits here. The last interest in
//! a group is held for a while after it was given back: a page that is loaded again costs nothing.

use crate::protocol::Group;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// How long a group without members is still said to have some.
const LINGER: Duration = Duration::from_secs(5);

/// A handle; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interests {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<Group, Held>,
    /// Nobody else has to know.
    is_alone: bool,
    /// Groups that others are to be told of.
    unsaid: Vec<Group>,
    /// Groups whose last interest was given back then.
    left: Vec<(Instant, Group)>,
    /// Counts how often everything that was said became void.
    generation: u64,
    /// Numbers edits.
    edits: u64,
}

#[derive(Debug)]
struct Held {
    sessions: u32,
    said: Said,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Held {
    fn release(&mut self) {
        for waiting in self.waiting.drain(..) {
            // Whoever waited may have given up.
            let _ = waiting.send(());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Nobody else knows.
    No,
    /// On its way into the log, in this edit: an earlier one was taken back by one between.
    Underway(u64),
    /// Every node that may publish knows.
    Known,
}

/// One session's. Given back when it is dropped.
#[derive(Debug)]
pub struct Interest {
    group: Group,
    interests: Interests,
}

/// What others are to be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Groups that have members now.
    pub joined: Vec<Group>,
    /// Groups that have none any more.
    pub left: Vec<Group>,
    generation: u64,
    number: u64,
}

impl Edits {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.interests.give_back(&self.group);
    }
}

impl Interests {
    /// Takes an interest. The receiver completes when all others know of it, and fails if they will not; `None`: they
    /// know already.
    pub(super) fn take(&self, group: Group) -> (Interest, Option<oneshot::Receiver<()>>) {
        let interest = Interest { group: group.clone(), interests: self.clone() };
        let mut table = self.shared.table.lock();
        let Table { groups, is_alone, unsaid, .. } = &mut *table;
        let held = match groups.entry(group) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => {
                if !*is_alone {
                    unsaid.push(place.key().clone());
                    self.shared.news.notify_one();
                }
                place.insert(Held { sessions: 0, said: Said::No, waiting: Vec::new() })
            }
        };
        held.sessions += 1;
        if *is_alone || held.said == Said::Known {
            return (interest, None);
        }
        let (known, waits) = oneshot::channel();
        held.waiting.push(known);
        (interest, Some(waits))
    }

    fn give_back(&self, group: &Group) {
        let mut table = self.shared.table.lock();
        let Some(held) = table.groups.get_mut(group) else { return };
        held.sessions = held.sessions.saturating_sub(1);
        if held.sessions == 0 {
            if table.is_alone {
                table.groups.remove(group);
            } else {
                table.left.push((Instant::now() + LINGER, group.clone()));
            }
        }
    }

    /// Completes when there may be something to tell.
    pub async fn changed(&self) {
        let next = self.shared.table.lock().left.first().map(|(at, _)| *at);
        let lingering = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                // Whatever is given back meanwhile lingers first.
                None => tokio::time::sleep(LINGER).await,
            }
        };
        tokio::select! {
            () = self.shared.news.notified() => {}
            () = lingering => {}
        }
    }

    /// What is to be told now, at most `limit` groups. The caller answers with [`Self::known`] or [`Self::failed`].
    pub fn take_edits(&self, limit: usize) -> Edits {
        let mut table = self.shared.table.lock();
        table.edits += 1;
        let Table { groups, unsaid, left, generation, edits: number, .. } = &mut *table;
        let mut edits = Edits { generation: *generation, number: *number, ..Edits::default() };
        while edits.joined.len() < limit
            && let Some(group) = unsaid.pop()
        {
            if let Some(held) = groups.get_mut(&group).filter(|held| held.said == Said::No) {
                held.said = Said::Underway(edits.number);
                edits.joined.push(group);
            }
        }
        let now = Instant::now();
        let ripe = left.iter().take(limit).take_while(|(at, _)| *at <= now).count();
        for (_, group) in left.drain(..ripe) {
            if groups.get(&group).is_some_and(|held| held.sessions == 0) {
                groups.remove(&group);
                edits.left.push(group);
            }
        }
        if !unsaid.is_empty() {
            self.shared.news.notify_one();
        }
        edits
    }

    /// Every node that may publish knows that these groups have members here.
    pub fn known(&self, edits: &Edits) {
        let mut table = self.shared.table.lock();
        if edits.generation != table.generation {
            return;
        }
        for group in &edits.joined {
            if let Some(held) = table.groups.get_mut(group).filter(|held| held.said == Said::Underway(edits.number)) {
                held.said = Said::Known;
                held.release();
            }
        }
    }

    /// It is not known whether they know; they are told again.
    pub fn failed(&self, edits: Edits) {
        let mut table = self.shared.table.lock();
        if edits.generation != table.generation {
            return;
        }
        let Table { groups, unsaid, left, .. } = &mut *table;
        for group in edits.joined {
            if let Some(held) = groups.get_mut(&group).filter(|held| held.said == Said::Underway(edits.number)) {
                held.said = Said::No;
                unsaid.push(group);
            }
        }
        for group in edits.left {
            // Somebody may have come back meanwhile; then others are told that.
            if let Entry::Vacant(place) = groups.entry(group.clone()) {
                place.insert(Held { sessions: 0, said: Said::No, waiting: Vec::new() });
                left.push((Instant::now(), group));
            }
        }
        left.sort_by_key(|(at, _)| *at);
        self.shared.news.notify_one();
    }

    /// Nobody who may publish knows of any group here, because the boot that told them is over. Those who wait are let
    /// down.
    pub fn forgotten(&self) {
        let mut table = self.shared.table.lock();
        table.generation += 1;
        let Table { groups, unsaid, left, .. } = &mut *table;
        left.clear();
        unsaid.clear();
        groups.retain(|group, held| {
            if held.sessions > 0 {
                unsaid.push(group.clone());
            }
            (held.said, held.waiting) = (Said::No, Vec::new());
            held.sessions > 0
        });
        self.shared.news.notify_one();
    }

    /// Whether there is nobody else to be told. Whoever gets company tells of everything there is.
    pub fn set_alone(&self, is_alone: bool) {
        let mut table = self.shared.table.lock();
        if table.is_alone == is_alone {
            return;
        }
        table.generation += 1;
        let Table { groups, unsaid, left, is_alone: was_alone, .. } = &mut *table;
        *was_alone = is_alone;
        unsaid.clear();
        left.clear();
        groups.retain(|_, held| held.sessions > 0);
        for (group, held) in groups.iter_mut() {
            held.said = Said::No;
            if is_alone {
                held.release();
            } else {
                unsaid.push(group.clone());
            }
        }
        self.shared.news.notify_one();
    }

    /// Whether no group has members.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.shared.table.lock().groups.is_empty()
    }
}

#[cfg(test)]
#[path = "interest_tests.rs"]
mod tests;
