//! What the log holds, without where: the pure rules of append, truncate and purge.
//!
//! Three places keep one each, and must agree: the callers' view (as of the last call), the writer's (as of the last
//! record written, stored in every segment's head) and recovery's.

use serde::{Deserialize, Serialize};

use super::error::LogError;

/// The log's summary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// The first entry that must be there; equal to `next` when there is none.
    pub(super) first: u64,
    /// The index of the next entry.
    pub(super) next: u64,
    pub(super) purged: Option<(u64, Vec<u8>)>,
    pub(super) vote: Option<Vec<u8>>,
    pub(super) committed: Option<Vec<u8>>,
}

impl Ledger {
    /// Entry `index` is appended. The first entry of a log that never held any may have any index.
    pub(super) fn append(&mut self, index: u64) -> Result<(), LogError> {
        if self.purged.is_none() && self.first == self.next {
            self.first = index;
            self.next = index;
        }
        if index != self.next {
            return Err(LogError::NotContiguous { expected: self.next, got: index });
        }
        self.next += 1;
        Ok(())
    }

    /// Entries from `from` on are removed.
    pub(super) fn truncate(&mut self, from: u64) -> Result<(), LogError> {
        if let Some((purged, _)) = &self.purged
            && from <= *purged
        {
            return Err(LogError::TruncatesPurged { from, purged: *purged });
        }
        if from < self.next {
            self.next = from;
            self.first = self.first.min(from);
        }
        Ok(())
    }

    /// Entries up to `upto` are removed; beyond the end the log goes on behind it. Purging what is purged changes nothing.
    pub(super) fn purge(&mut self, upto: u64, meta: Vec<u8>) {
        if self.purged.as_ref().is_some_and(|(purged, _)| upto <= *purged) {
            return;
        }
        self.purged = Some((upto, meta));
        self.next = self.next.max(upto + 1);
        self.first = self.first.max(upto + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(first: u64, next: u64) -> Ledger {
        Ledger { first, next, ..Ledger::default() }
    }

    #[test]
    fn entries_follow_each_other_from_any_first_index() -> Result<(), LogError> {
        let mut log = ledger(0, 0);
        log.append(5)?;
        log.append(6)?;
        assert!(matches!(log.append(8), Err(LogError::NotContiguous { expected: 7, got: 8 })));
        assert!(log.append(6).is_err());
        assert_eq!((log.first, log.next), (5, 7));
        Ok(())
    }

    #[test]
    fn purging_beyond_the_end_moves_the_log_there() -> Result<(), LogError> {
        let mut log = ledger(0, 3);
        log.purge(9, vec![1]);
        assert_eq!((log.first, log.next), (10, 10));
        log.purge(4, vec![2]);
        assert_eq!(log.purged, Some((9, vec![1])));
        assert!(log.append(11).is_err());
        log.append(10)
    }

    #[test]
    fn what_was_purged_cannot_be_truncated() -> Result<(), LogError> {
        let mut log = ledger(0, 9);
        log.purge(4, vec![]);
        assert!(log.truncate(4).is_err());
        log.truncate(20)?;
        log.truncate(5)?;
        assert_eq!((log.first, log.next), (5, 5));
        Ok(())
    }
}
