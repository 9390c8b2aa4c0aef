//! Retention in the naive model: what is over a bound goes, in the order of ids, up to the first that stays.

use super::{Note, Of};
use carillon::{
    protocol::{Timestamp, UserId},
    records::{LevelBound, Reply},
};

impl Of {
    pub(super) fn expire(&mut self, user: &UserId, keep: u64, before: Option<Timestamp>) -> Reply {
        let removed = self.forget((keep, before), |note| note.user == *user);
        Reply::Progress { removed, more: false }
    }

    pub(super) fn expire_levels(&mut self, user: &UserId, bounds: &[LevelBound]) -> Reply {
        let mut removed = 0;
        for bound in bounds {
            let is_meant = |note: &Note| note.user == *user && note.level == bound.level;
            removed += self.forget((bound.keep, bound.before), is_meant);
        }
        Reply::Progress { removed, more: false }
    }

    /// Of those that are meant, the newest `keep` stay, and none from before; how many went.
    fn forget(&mut self, (keep, before): (u64, Option<Timestamp>), is_meant: impl Fn(&Note) -> bool) -> u64 {
        let mut left = self.notes.iter().filter(|note| is_meant(note)).count() as u64;
        let total = self.notes.len();
        // In the order of ids, up to the first that stays.
        let mut goes = true;
        self.notes.retain(|note| {
            if !is_meant(note) {
                return true;
            }
            goes &= (keep > 0 && left > keep) || before.is_some_and(|before| note.at < before);
            left -= 1;
            !goes
        });
        (total - self.notes.len()) as u64
    }
}
