//! The time of what is applied: what leaders have stamped, without small steps back.
//!
//! Leaders' clocks differ, and a clock that is set back would make what comes later look older. A large step back is taken
//! as it is: the time before it was wrong, and must not hold everything up until the clocks have reached it again.

use super::{
    RecordsError,
    keys::{Key, Table},
    rows::Clock,
    txn::Txn,
};
use crate::{config::limits::CLOCK_STEP_BACK_SECONDS, protocol::Timestamp};
use carillon_storage::tables::Read;

impl Clock {
    /// As the entry before has left it.
    pub(super) fn begin<S: Read>(txn: &Txn<'_, S>) -> Result<Self, RecordsError> {
        txn.get_or_default(&Key::table(Table::Clock))
    }

    /// The time of a command with this stamp.
    pub(super) fn at(&mut self, stamp: Timestamp) -> Timestamp {
        if stamp.plus_seconds(CLOCK_STEP_BACK_SECONDS) >= self.0 {
            self.0 = self.0.max(stamp);
        } else {
            self.0 = stamp;
        }
        self.0
    }

    /// Leaves it for the entry behind.
    pub(super) fn keep<S: Read>(&self, txn: &mut Txn<'_, S>) -> Result<(), RecordsError> {
        txn.put(Key::table(Table::Clock), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_back_are_levelled_and_large_ones_are_taken() {
        let at = Timestamp::from_seconds;
        let mut clock = Clock(at(0));
        let table = [
            (1_000, 1_000),
            (999, 1_000),
            (1_000 - CLOCK_STEP_BACK_SECONDS, 1_000),
            (1_001, 1_001),
            // The clock was a year ahead and has been set right.
            (31_536_000, 31_536_000),
            (1_002, 1_002),
        ];
        for (stamp, want) in table {
            assert_eq!(clock.at(at(stamp)), at(want), "{stamp}");
        }
    }
}
