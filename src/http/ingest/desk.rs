//! Who may have how many streams, and how many of their calls may wait for the log together.

use crate::{
    config::limits::{INGEST_PER_KEY_MAX, INGEST_TOTAL_MAX},
    telemetry::names::INGEST_STREAMS,
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// No stream more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FullOfStreams {
    /// 429
    #[error("this key has {INGEST_PER_KEY_MAX} streams open, as many as a key may: close some, or send more on each")]
    Key,
    /// 503
    #[error("this server has {INGEST_TOTAL_MAX} streams open, as many as it can hold: try again, or another one")]
    Node,
}

/// See the module.
#[derive(Debug)]
pub(in crate::http) struct Desk {
    tracker: TaskTracker,
    taken: Arc<Mutex<Taken>>,
    /// Calls of all streams that wait for the log: fewer than it lets wait, so that none is refused for that, and so
    /// that single calls find room.
    pub(super) turns: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// By the hash of the key.
    keys: HashMap<[u8; 32], usize>,
}

impl Taken {
    fn changed(&self) {
        #[expect(clippy::cast_precision_loss, reason = "a count of streams")]
        metrics::gauge!(INGEST_STREAMS).set(self.total as f64);
    }
}

/// One stream's place, held while it lives.
#[derive(Debug)]
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    key: [u8; 32],
}

impl Desk {
    /// `waiting`: how many commands the log lets wait.
    pub(in crate::http) fn new(tracker: TaskTracker, waiting: usize) -> Self {
        let turns = Arc::new(Semaphore::new((waiting / 2).clamp(1, Semaphore::MAX_PERMITS)));
        Self { tracker, taken: Arc::default(), turns }
    }

    /// A place for a stream of this key.
    pub(super) fn take(&self, key: [u8; 32]) -> Result<Place, FullOfStreams> {
        let mut taken = self.taken.lock();
        if taken.total >= INGEST_TOTAL_MAX {
            return Err(FullOfStreams::Node);
        }
        let of_key = taken.keys.entry(key).or_default();
        if *of_key >= INGEST_PER_KEY_MAX {
            return Err(FullOfStreams::Key);
        }
        *of_key += 1;
        taken.total += 1;
        taken.changed();
        Ok(Place { taken: self.taken.clone(), key })
    }

    /// Streams that are open.
    pub(in crate::http) fn streams(&self) -> usize {
        self.taken.lock().total
    }

    pub(super) fn spawn(&self, stream: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(stream);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.total -= 1;
        if let Some(of_key) = taken.keys.get_mut(&self.key) {
            *of_key -= 1;
            if *of_key == 0 {
                taken.keys.remove(&self.key);
            }
        }
        taken.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_per_key_and_in_all_and_come_back() {
        let desk = Desk::new(TaskTracker::new(), 8);
        let key = |n: usize| {
            let mut key = [0; 32];
            key[0] = u8::try_from(n).expect("few keys");
            key
        };
        let mut places = Vec::new();
        for nth in 0..INGEST_TOTAL_MAX {
            places.push(desk.take(key(nth / INGEST_PER_KEY_MAX)).expect("room"));
            if nth + 1 == INGEST_PER_KEY_MAX {
                assert_eq!(desk.take(key(0)).err(), Some(FullOfStreams::Key));
            }
        }
        assert_eq!(desk.take(key(200)).err(), Some(FullOfStreams::Node));
        places.pop();
        assert!(desk.take(key(200)).is_ok(), "the place came back");
        places.clear();
        assert_eq!((desk.streams(), desk.taken.lock().keys.len()), (0, 0));
    }
}
