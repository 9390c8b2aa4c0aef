//! The leader's time in place of the asked node's.

use super::{Batch, Op};
use crate::protocol::Timestamp;

impl Batch {
    /// Has the leader's time in place of the asked node's: `now` becomes every command's time, and the times that were
    /// reckoned from the asked node's clock move with it.
    pub fn stamp(&mut self, now: Timestamp) {
        for command in &mut self.commands {
            let by = now.0.saturating_sub(command.at.0);
            command.at = now;
            command.op.shift_times(by);
        }
    }
}

impl Op {
    /// Moves the times that were reckoned from the clock of the node that was asked, by microseconds. Times that others
    /// have stated, as in tokens and imports, stay.
    fn shift_times(&mut self, by: i64) {
        let shift = |time: &mut Timestamp| time.0 = time.0.saturating_add(by);
        match self {
            Self::Expire { before, .. } => before.iter_mut().for_each(shift),
            Self::ExpireLevels { bounds, .. } => {
                bounds.iter_mut().filter_map(|bound| bound.before.as_mut()).for_each(shift);
            }
            Self::IssueTicket { expires_at, .. } => shift(expires_at),
            Self::GoOffline { seen, activity, .. } => seen.iter_mut().chain(activity).for_each(shift),
            Self::NoteActivity { users } => users.iter_mut().for_each(|(_, at)| shift(at)),
            _ => {}
        }
    }
}
