//! The newest entries in memory. Pure. It holds every entry that isn't written yet, and beyond that as many as fit.

use std::collections::VecDeque;

use bytes::Bytes;

/// Consecutive entries up to the end of the log.
#[derive(Debug, Default)]
pub(super) struct Cache {
    first: u64,
    entries: VecDeque<Bytes>,
    bytes: usize,
}

impl Cache {
    pub(super) fn push(&mut self, index: u64, entry: Bytes) {
        if self.entries.is_empty() {
            self.first = index;
        }
        self.bytes += entry.len();
        self.entries.push_back(entry);
    }

    pub(super) fn get(&self, index: u64) -> Option<&Bytes> {
        self.entries.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn truncate(&mut self, from: u64) {
        while self.first + self.entries.len() as u64 > from {
            let Some(entry) = self.entries.pop_back() else { return };
            self.bytes -= entry.len();
        }
    }

    pub(super) fn purge(&mut self, upto: u64) {
        while self.first <= upto && self.pop_front() {}
    }

    /// Drops the oldest entries until `max` bytes are left; stops at the first that isn't `written`.
    pub(super) fn shrink(&mut self, max: usize, written: impl Fn(u64) -> bool) {
        while self.bytes > max && written(self.first) && self.pop_front() {}
    }

    fn pop_front(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        self.bytes -= entry.len();
        self.first += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_leave_first_and_unwritten_ones_never() {
        let mut cache = Cache::default();
        for index in 10..15 {
            cache.push(index, Bytes::from(vec![0; 100]));
        }
        cache.shrink(200, |index| index < 12);
        assert_eq!((cache.get(11), cache.get(12).is_some(), cache.bytes), (None, true, 300));
        cache.truncate(14);
        cache.purge(12);
        assert_eq!((cache.get(14), cache.get(12), cache.get(13).is_some(), cache.bytes), (None, None, true, 100));
    }
}
