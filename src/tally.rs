//! How many sessions a publish or a close reached: counted by the shards, awaited by those who care.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// The shards' side.
#[derive(Debug)]
pub(crate) struct Count {
    reached: AtomicU64,
    shards_left: AtomicU32,
    done: Notify,
}

impl Count {
    pub(crate) fn new(shards: usize) -> Self {
        let shards_left = AtomicU32::new(u32::try_from(shards).unwrap_or(u32::MAX));
        Self { reached: AtomicU64::new(0), shards_left, done: Notify::new() }
    }

    /// One shard has done its part.
    pub(crate) fn add(&self, reached: u64) {
        self.reached.fetch_add(reached, Relaxed);
        if self.shards_left.fetch_sub(1, AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

/// A count under way. Dropping it costs nothing: what was published is delivered all the same.
#[derive(Clone, Debug)]
#[must_use = "wait for it, or drop it where nobody asks how many were reached"]
pub struct Tally(pub(crate) Arc<Count>);

/// Where it is counted whom something reached on other nodes: once.
#[derive(Debug)]
pub struct Elsewhere(pub(crate) Arc<Count>);

impl Elsewhere {
    /// So many there.
    pub fn reached(self, sessions: u64) {
        self.0.add(sessions);
    }
}

/// How many outboxes were reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipients {
    /// Outboxes that took the frames.
    pub count: u64,
    /// Whether the count was not complete in time.
    pub partial: bool,
}

impl Tally {
    /// Nothing here, and what is yet to be counted elsewhere.
    #[cfg(test)]
    pub(crate) fn elsewhere() -> (Self, Elsewhere) {
        let count = Arc::new(Count::new(1));
        (Self(count.clone()), Elsewhere(count))
    }

    /// One more has to count before it is complete.
    pub(crate) fn one_more(&self) -> Elsewhere {
        self.0.shards_left.fetch_add(1, AcqRel);
        Elsewhere(self.0.clone())
    }

    /// Waits until every shard has counted, at most `limit`.
    pub async fn wait(self, limit: Duration) -> Recipients {
        let count = &self.0;
        let all = async {
            while count.shards_left.load(Acquire) > 0 {
                count.done.notified().await;
            }
        };
        let partial = tokio::time::timeout(limit, all).await.is_err();
        Recipients { count: count.reached.load(Relaxed), partial }
    }
}
