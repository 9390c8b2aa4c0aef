//! Where each live entry stands: one slot per entry, 32 bytes each. Pure.
//!
//! An entry has a slot as soon as it is accepted; its place is filled in once the writer has written it. Until then
//! it is read from the cache.

use std::collections::VecDeque;
use std::ops::Range;

/// Where one entry stands on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the segment, from 1.
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Size of the entry itself.
    pub(super) bytes: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    seq: u64,
    place: Place,
}

/// The slots of consecutive entries.
#[derive(Debug, Default)]
pub(super) struct Slots {
    first: u64,
    slots: VecDeque<Slot>,
}

/// Segments count from 1: a place in segment 0 is not known yet.
const NOWHERE: Place = Place { segment: 0, offset: 0, bytes: 0 };

impl Slots {
    /// No slots; the next entry is `next`.
    pub(super) fn starting_at(next: u64) -> Self {
        Self { first: next, slots: VecDeque::new() }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.first..self.first + self.slots.len() as u64
    }

    /// A slot for entry `index`, written as record `seq`; `index` was checked by the ledger.
    pub(super) fn push(&mut self, index: u64, seq: u64) {
        if self.slots.is_empty() {
            self.first = index;
        }
        self.slots.push_back(Slot { seq, place: NOWHERE });
    }

    /// Record `seq` was written. Ignored when the entry has been truncated or purged meanwhile.
    pub(super) fn settle(&mut self, index: u64, seq: u64, place: Place) {
        let at = index.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at))
            && slot.seq == seq
        {
            slot.place = place;
        }
    }

    /// Where entry `index` stands; `None` when it isn't written yet or isn't there.
    pub(super) fn place(&self, index: u64) -> Option<Place> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get(at).map(|slot| slot.place).filter(|place| *place != NOWHERE)
    }

    pub(super) fn truncate(&mut self, from: u64) {
        let keep = from.saturating_sub(self.first);
        self.slots.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.first = self.first.min(from);
    }

    pub(super) fn purge(&mut self, upto: u64) {
        while self.first <= upto && self.slots.pop_front().is_some() {
            self.first += 1;
        }
        self.first = self.first.max(upto + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reported_for_a_truncated_record_is_ignored() {
        let place = |offset| Place { segment: 1, offset, bytes: 8 };
        let mut slots = Slots::starting_at(0);
        slots.push(4, 1);
        slots.push(5, 2);
        slots.truncate(5);
        slots.push(5, 4);
        slots.settle(5, 2, place(100));
        assert_eq!(slots.place(5), None);
        slots.settle(5, 4, place(200));
        assert_eq!(slots.place(5), Some(place(200)));
        slots.purge(4);
        assert_eq!((slots.range(), slots.place(4)), (5..6, None));
    }
}
