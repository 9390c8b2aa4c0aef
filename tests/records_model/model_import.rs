//! Imports in the naive model: a list of keys with the ids they got.

use super::{Note, Of};
use carillon::records::{
    Reply,
    import::{ImportOutcome, ImportRecord},
};

impl Of {
    pub(super) fn import(&mut self, reserve: u64, records: &[ImportRecord]) -> Reply {
        let key = |record: &ImportRecord| if let ImportRecord::Notification(one) = record { one.key } else { 0 };
        let upto = records.iter().map(key).max().unwrap_or(0).max(reserve);
        while (self.keys.len() as u64) < upto {
            self.last_note += 1;
            self.keys.push((self.last_note, false));
        }
        let outcomes = records.iter().map(|record| self.import_one(record)).collect();
        let shift = self.keys.last().map_or(0, |(id, _)| id - self.keys.len() as u64);
        Reply::Imported { outcomes, shift }
    }

    fn import_one(&mut self, record: &ImportRecord) -> ImportOutcome {
        match record {
            ImportRecord::Notification(one) => {
                let (id, was_imported) = &mut self.keys[one.key as usize - 1];
                if std::mem::replace(was_imported, true) {
                    let is_there = self.notes.iter().any(|note| note.id == *id && note.user == one.user);
                    return if is_there { ImportOutcome::Same } else { ImportOutcome::Gone };
                }
                let level = one.level.clone();
                self.notes.push(Note { id: *id, user: one.user.clone(), read: one.is_read, at: one.created_at, level });
                self.notes.sort_by_key(|note| note.id);
                ImportOutcome::Made
            }
            ImportRecord::Presence(one) => {
                let is_new = !self.presence.contains_key(&one.user);
                let here = self.presence.entry(one.user.clone()).or_default();
                let before = (here.seen, here.activity);
                here.seen = here.seen.max(one.last_seen);
                here.activity = here.activity.max(one.last_activity);
                let is_same = !is_new && before == (here.seen, here.activity);
                if is_same { ImportOutcome::Same } else { ImportOutcome::Made }
            }
            ImportRecord::User(_) => panic!("its own tests have users"),
        }
    }
}
