//! Taking over what another system has: users, notifications, presence. Nobody is told, and doing it again changes
//! nothing.
//!
//! A notification's id follows from its key in the other system (`Ids`), and one bit a key remembers that it came: so
//! a repeat neither makes it twice nor brings back what was deleted here since.

mod ids;
mod record;
#[cfg(test)]
mod tests;

use super::{
    RecordsError, Reply,
    apply::Step,
    directory,
    keys::{Key, Table},
    rows::{Inbox, Notification, Presence},
    txn::get,
};
use carillon_storage::tables::Read;
use ids::Ids;
pub use record::{BadRecord, ImportNotification, ImportOutcome, ImportPresence, ImportRecord, ImportUser};

/// Takes the records over, after keeping ids free for keys up to `reserve`.
pub(crate) fn import<S: Read>(
    step: &mut Step<'_, '_, S>,
    reserve: u64,
    records: &[ImportRecord],
) -> Result<Reply, RecordsError> {
    let mut ids = Ids::load(step)?;
    let highest = records.iter().filter_map(|record| match record {
        ImportRecord::Notification(notification) => Some(notification.key),
        _ => None,
    });
    if let Err(rejection) = ids.cover(highest.max().unwrap_or(0).max(reserve)) {
        return Ok(Reply::Rejected(rejection));
    }
    let mut outcomes = Vec::with_capacity(records.len());
    for record in records {
        outcomes.push(match record {
            ImportRecord::User(user) => directory::import(step, user)?,
            ImportRecord::Notification(one) => notification(step, &mut ids, one)?,
            ImportRecord::Presence(one) => presence(step, one)?,
        });
    }
    let shift = ids.shift();
    ids.store(step)?;
    Ok(Reply::Imported { outcomes, shift })
}

fn notification<S: Read>(
    step: &mut Step<'_, '_, S>,
    ids: &mut Ids,
    one: &ImportNotification,
) -> Result<ImportOutcome, RecordsError> {
    let key = Key::user_row(Table::Notifications, (step.tenant, &one.user), ids.of(one.key));
    if !ids.take(step, one.key)? {
        return Ok(match get::<Notification>(step.txn, &key)? {
            Some(row) if is_same(&row, one) => ImportOutcome::Same,
            Some(_) => ImportOutcome::Differs,
            None => ImportOutcome::Gone,
        });
    }
    let row = Notification {
        title: one.title.clone(),
        message: one.message.clone(),
        level: one.level.clone(),
        data: one.data.clone(),
        created_at: one.created_at,
        is_read: one.is_read,
        read_state_at: step.pos,
    };
    let inbox_key = step.user_key(Table::Inboxes, &one.user);
    let mut inbox: Inbox = step.txn.get_or_default(&inbox_key)?;
    inbox.total += 1;
    inbox.unread += u64::from(!one.is_read);
    step.txn.put(inbox_key, &inbox)?;
    step.txn.put(key, &row)?;
    // Its id may be one that was counted past: the levels are counted anew when they are asked for.
    step.txn.remove(step.user_key(Table::LevelCounts, &one.user));
    Ok(ImportOutcome::Made)
}

/// The read state does not count: it may have changed here.
fn is_same(row: &Notification, one: &ImportNotification) -> bool {
    let stored = (&row.title, &row.message, &row.level, &row.data, row.created_at);
    stored == (&one.title, &one.message, &one.level, &one.data, one.created_at)
}

/// Nobody comes online by it, and nothing that is known here goes back in time.
fn presence<S: Read>(step: &mut Step<'_, '_, S>, one: &ImportPresence) -> Result<ImportOutcome, RecordsError> {
    let key = step.user_key(Table::Presence, &one.user);
    let old: Option<Presence> = get(step.txn, &key)?;
    let mut row = old.clone().unwrap_or_default();
    row.last_activity = row.last_activity.max(one.last_activity);
    row.last_seen = row.last_seen.max(one.last_seen);
    if old.as_ref() == Some(&row) {
        return Ok(ImportOutcome::Same);
    }
    step.txn.put(key, &row)?;
    Ok(ImportOutcome::Made)
}
