//! How many notifications a user has of each level, and forgetting them level by level.
//!
//! Only the commands that forget do the counting, so that sending writes no more than it must, and inboxes of
//! earlier versions need no conversion: [`LevelCounts`] knows the ids up to `counted_to`, and how many came since is
//! the difference to the inbox's total. So [`is_due`] reads one small row, and a notification is looked at once to
//! count it and at most once for each level to pass over it.

use super::{
    RecordsError, Reply,
    apply::Step,
    command::LevelBound,
    inbox,
    keys::{Key, Table},
    rows::{Inbox, LevelCount, LevelCounts, Notification},
    txn::{self, get},
};
use crate::protocol::{Tenant, Timestamp, UserId};
use carillon_storage::tables::{Direction, Read};
use std::ops::ControlFlow;

/// Notifications that one command looks at, and so forgets, at most.
const ROWS_AT_ONCE: usize = 500;

/// [`LevelCount::oldest`] after its notification went: older than any bound, so that the next [`expire`] looks. The time
/// of the one that went is no bound for it: imported notifications need not ascend in time as their ids do.
const UNKNOWN: Timestamp = Timestamp(i64::MIN);

/// Whether `expire` may find something, for an inbox of `total` notifications.
///
/// # Errors
/// When rows can't be read.
pub fn is_due(
    read: &impl Read,
    (tenant, user): (&Tenant, &UserId),
    (total, bounds): (u64, &[LevelBound]),
) -> Result<bool, RecordsError> {
    Ok(counts_of(read, tenant, user)?.unwrap_or_default().is_due(total, bounds))
}

/// What has been counted of a user's notifications; `None` before the first time.
///
/// # Errors
/// When rows can't be read.
pub fn counts_of(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<Option<LevelCounts>, RecordsError> {
    get(read, &Key::user(Table::LevelCounts, tenant, user))
}

/// Counts what is new, then forgets what is over a bound: a part at a time.
pub(crate) fn expire<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    bounds: &[LevelBound],
) -> Result<Reply, RecordsError> {
    let (inbox_key, counts_key) = (step.user_key(Table::Inboxes, user), step.user_key(Table::LevelCounts, user));
    let inbox: Inbox = step.txn.get_or_default(&inbox_key)?;
    let known: Option<LevelCounts> = get(step.txn, &counts_key)?;
    // More than there are: somebody changed the inbox who did not know of the counts.
    let mut counts = known.clone().filter(|counts| counts.sum() <= inbox.total).unwrap_or_default();
    let mut budget = ROWS_AT_ONCE;
    let mut more = count(step, user, (&mut counts, &mut budget))?;
    let mut gone = Vec::new();
    for bound in bounds {
        more |= pick(step, user, (&mut counts, &mut budget), (bound, &mut gone))?;
    }
    let removed = gone.len() as u64;
    if known.as_ref() != Some(&counts) {
        step.txn.put(counts_key, &counts)?;
    }
    inbox::forget(step, user, (inbox, gone))?;
    Ok(Reply::Progress { removed, more })
}

/// Takes notifications that are gone out of the counts, as far as they are in.
pub(crate) fn uncount<'a, S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    gone: impl Iterator<Item = (u64, &'a str)>,
) -> Result<(), RecordsError> {
    let key = step.user_key(Table::LevelCounts, user);
    let Some(known) = get::<LevelCounts>(step.txn, &key)? else { return Ok(()) };
    let mut counts = known.clone();
    for (id, level) in gone.filter(|(id, _)| *id <= known.counted_to) {
        if let Some(level) = counts.levels.iter_mut().find(|of| of.level == level && id <= of.first) {
            level.oldest = UNKNOWN;
        }
        counts.take_out(level, 1);
    }
    if counts != known {
        step.txn.put(key, &counts)?;
    }
    Ok(())
}

/// Counts notifications that came since the last time; whether there are more.
fn count<S: Read>(
    step: &Step<'_, '_, S>,
    user: &UserId,
    (counts, budget): (&mut LevelCounts, &mut usize),
) -> Result<bool, RecordsError> {
    let from = counts.counted_to.saturating_add(1);
    let mut more = false;
    scan(step, user, (from, u64::MAX), &mut |id, _, row| {
        if *budget == 0 {
            more = true;
            return ControlFlow::Break(());
        }
        *budget -= 1;
        counts.put_in(id, &row);
        ControlFlow::Continue(())
    })?;
    if !more {
        counts.counted_at = step.at;
    }
    Ok(more)
}

/// Finds what is over a level's bound among what is counted, and takes it out of the counts; whether there is more.
fn pick<S: Read>(
    step: &Step<'_, '_, S>,
    user: &UserId,
    (counts, budget): (&mut LevelCounts, &mut usize),
    (bound, gone): (&LevelBound, &mut Vec<(Key, Notification)>),
) -> Result<bool, RecordsError> {
    let counted_to = counts.counted_to;
    let Some(level) = counts.levels.iter_mut().find(|level| level.level == bound.level) else { return Ok(false) };
    let over = if bound.keep == 0 { 0 } else { level.count.saturating_sub(bound.keep) };
    let is_old = |at| bound.before.is_some_and(|before| at < before);
    if over == 0 && !is_old(level.oldest) {
        return Ok(false);
    }
    let (mut picked, mut more) = (0, false);
    scan(step, user, (level.first, counted_to), &mut |id, key, row| {
        level.first = id;
        if *budget == 0 {
            (level.oldest, more) = (UNKNOWN, true);
            return ControlFlow::Break(());
        }
        *budget -= 1;
        if row.level != bound.level {
            return ControlFlow::Continue(());
        }
        if picked >= over && !is_old(row.created_at) {
            level.oldest = row.created_at;
            return ControlFlow::Break(());
        }
        picked += 1;
        gone.push((key, row));
        ControlFlow::Continue(())
    })?;
    counts.take_out(&bound.level, picked);
    Ok(more)
}

/// Notifications of a user whose ids are in a closed range, oldest first.
fn scan<S: Read>(
    step: &Step<'_, '_, S>,
    user: &UserId,
    (from, to): (u64, u64),
    visit: &mut dyn FnMut(u64, Key, Notification) -> ControlFlow<()>,
) -> Result<(), RecordsError> {
    let key = |id| Key::user_row(Table::Notifications, (step.tenant, user), id);
    let mut failed = None;
    step.txn.scan(key(from).as_bytes(), key(to).end().as_bytes(), Direction::Forward, &mut |key, value| {
        match txn::decode(value) {
            Ok(row) => visit(Key::last_number(key), Key::stored(key), row),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(()), Err)
}

impl LevelCounts {
    fn sum(&self) -> u64 {
        self.levels.iter().map(|level| level.count).sum()
    }

    fn put_in(&mut self, id: u64, row: &Notification) {
        self.counted_to = id;
        if let Some(level) = self.levels.iter_mut().find(|level| level.level == row.level) {
            level.count += 1;
        } else {
            self.levels.push(LevelCount { level: row.level.clone(), count: 1, first: id, oldest: row.created_at });
        }
    }

    fn take_out(&mut self, level: &str, count: u64) {
        if let Some(level) = self.levels.iter_mut().find(|known| known.level == level) {
            level.count = level.count.saturating_sub(count);
        }
        self.levels.retain(|level| level.count > 0);
    }

    fn is_due(&self, total: u64, bounds: &[LevelBound]) -> bool {
        // Of whatever level.
        let since = total.saturating_sub(self.sum());
        bounds.iter().any(|bound| {
            let level = self.levels.iter().find(|level| level.level == bound.level);
            let too_many = bound.keep > 0 && level.map_or(0, |level| level.count).saturating_add(since) > bound.keep;
            let too_old = bound.before.is_some_and(|before| {
                level.is_some_and(|level| level.oldest < before) || (since > 0 && self.counted_at < before)
            });
            too_many || too_old
        })
    }
}
