//! What was shown, kept for a while: the way from a client's cursor to now.
//!
//! Every durable event stands here once per group, in the form that `carillon.v1` has it. Events lie in buckets that
//! fill one after the other, so that the oldest go by the bucket, without a count per group; a resume walks the buckets
//! from its cursor on. A bucket is full by size or by the time in the commands, never by a setting: all nodes fill
//! the same.

use super::{
    Effect, EffectKind, RecordsError, Reply,
    apply::Step,
    directory,
    keys::{Key, Table},
    presence,
    rows::{Bucket, History, Journal, JournalEvent},
    txn::{self, first_rows, get},
};
use crate::protocol::{Cursor, Group, GroupName, InV1, Pos, Tenant, Timestamp, UserId, frames};
use carillon_storage::tables::{Direction, Read};
use std::ops::ControlFlow;

/// A bucket of so many bytes is full.
const BUCKET_BYTES: u64 = 1 << 20;
/// A bucket that was begun so long ago is full.
const BUCKET_SECONDS: i64 = 600;
/// Events that one command forgets at most.
const ROWS_AT_ONCE: usize = 1_000;

/// Begins this store's history, if it has none yet.
pub(crate) fn begin_history<S: Read>(step: &mut Step<'_, '_, S>, id: u64) -> Result<Reply, RecordsError> {
    let key = Key::table(Table::History);
    if get::<History>(step.txn, &key)?.is_none() {
        step.txn.put(key, &History { id })?;
        let journal: Journal = step.txn.get_or_default(&Key::table(Table::Journal))?;
        // Of what came before nobody has a cursor.
        let began = Journal { floor: step.pos, began: step.at, ..journal };
        step.txn.put(Key::table(Table::Journal), &began)?;
    }
    Ok(Reply::Done)
}

/// Keeps what a command has announced: the effects from the `from`th on.
pub(crate) fn record<S: Read>(step: &mut Step<'_, '_, S>, from: usize) -> Result<(), RecordsError> {
    let events: Vec<(GroupName, JournalEvent)> = step.effects[from..].iter().filter_map(event).collect();
    if events.is_empty() {
        return Ok(());
    }
    let state = Key::table(Table::Journal);
    let mut journal: Journal = step.txn.get_or_default(&state)?;
    let is_full = journal.bytes >= BUCKET_BYTES || step.at > journal.began.plus_seconds(BUCKET_SECONDS);
    if is_full && journal.bytes > 0 {
        let bucket = Bucket { last: journal.last, ended: step.at, bytes: journal.bytes };
        step.txn.put(Key::bucket(journal.current), &bucket)?;
        (journal.current, journal.bytes) = (journal.current + 1, 0);
    }
    if journal.bytes == 0 {
        journal.began = step.at;
    }
    journal.last = step.pos;
    for (nth, (group, event)) in events.into_iter().enumerate() {
        let group = Group { tenant: step.tenant.clone(), name: group };
        journal.bytes += event.weight();
        step.txn.put(Key::event((journal.current, &group), (step.pos, nth)), &event)?;
    }
    step.txn.put(state, &journal)?;
    Ok(())
}

fn event(effect: &Effect) -> Option<(GroupName, JournalEvent)> {
    let EffectKind::Publish { group, frames, v1, .. } = &effect.kind else { return None };
    let event = match v1 {
        InV1::Same => JournalEvent::Frames(frames.clone()),
        InV1::Instead(frames) => JournalEvent::Frames(frames.clone()),
        InV1::Change { user, online, seen, .. } => {
            JournalEvent::Presence { user: user.clone(), online: *online, seen: *seen }
        }
    };
    Some((group.clone(), event))
}

/// Forgets a part of the oldest buckets, up to and with `through`.
pub(crate) fn trim<S: Read>(step: &mut Step<'_, '_, S>, through: u64) -> Result<Reply, RecordsError> {
    let state = Key::table(Table::Journal);
    let mut journal: Journal = step.txn.get_or_default(&state)?;
    let mut removed = 0;
    while journal.first <= through && journal.first < journal.current {
        let bucket_key = Key::bucket(journal.first);
        let bucket: Option<Bucket> = get(step.txn, &bucket_key)?;
        // Raised before the first row goes: a resume never finds half a bucket.
        journal.floor = journal.floor.max(bucket.map_or(journal.floor, |bucket| bucket.last));
        removed += remove_first(step, &Key::events(journal.first), ROWS_AT_ONCE - removed)?;
        if removed == ROWS_AT_ONCE {
            break;
        }
        step.txn.remove(bucket_key);
        journal.first += 1;
    }
    step.txn.put(state, &journal)?;
    Ok(Reply::Progress { removed: removed as u64, more: removed == ROWS_AT_ONCE })
}

/// Forgets events of a user's own groups, at most `limit`; how many went.
pub(crate) fn forget_user<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    limit: usize,
) -> Result<usize, RecordsError> {
    let journal: Journal = step.txn.get_or_default(&Key::table(Table::Journal))?;
    let mut removed = 0;
    for bucket in journal.first..=journal.current {
        for name in GroupName::of_user(user) {
            let group = Group { tenant: step.tenant.clone(), name };
            removed += remove_first(step, &Key::group_events(bucket, &group), limit - removed)?;
            if removed == limit {
                return Ok(removed);
            }
        }
    }
    Ok(removed)
}

fn remove_first<S: Read>(step: &mut Step<'_, '_, S>, all: &Key, limit: usize) -> Result<usize, RecordsError> {
    let rows = first_rows(step.txn, all, limit)?;
    let removed = rows.len();
    rows.into_iter().for_each(|(key, _)| step.txn.remove(key));
    Ok(removed)
}

/// The bucket up to which the journal is to be trimmed: those that ended before `before`, and the oldest beyond `bytes`.
///
/// # Errors
/// When rows can't be read.
pub fn to_trim(read: &impl Read, before: Timestamp, bytes: u64) -> Result<Option<u64>, RecordsError> {
    let journal = state(read)?;
    let mut kept = journal.bytes;
    let mut through = None;
    for number in (journal.first..journal.current).rev() {
        let Some(bucket) = get::<Bucket>(read, &Key::bucket(number))? else { continue };
        kept += bucket.bytes;
        if through.is_none() && (kept > bytes || bucket.ended < before) {
            through = Some(number);
        }
    }
    Ok(through)
}

/// Which history this store has; `None` before it was begun.
///
/// # Errors
/// When rows can't be read.
pub fn history(read: &impl Read) -> Result<Option<u64>, RecordsError> {
    Ok(get::<History>(read, &Key::table(Table::History))?.map(|row| row.id))
}

/// Whether the way from a cursor to the rows' own position is known.
///
/// # Errors
/// When rows can't be read.
pub fn is_known(read: &impl Read, cursor: Cursor, applied: Pos) -> Result<bool, RecordsError> {
    Ok(history(read)? == Some(cursor.history) && cursor.pos >= state(read)?.floor && cursor.pos <= applied)
}

fn state(read: &impl Read) -> Result<Journal, RecordsError> {
    Ok(get(read, &Key::table(Table::Journal))?.unwrap_or_default())
}

/// How much a page holds at most.
#[derive(Clone, Copy, Debug)]
pub struct PageSize {
    /// Events; those of one position are never parted.
    pub events: usize,
    /// Bytes of frames; a single event may be larger.
    pub bytes: usize,
}

/// Events of a group in order, and whether there are more.
#[derive(Debug)]
pub struct Page {
    /// Position and frames, as v1 has them. Frames of one position belong together.
    pub events: Vec<(Pos, Vec<String>)>,
    /// Whether it ends before the last one.
    pub more: bool,
}

/// What happened in a group after `after`; `None` if a part of that is forgotten already.
///
/// # Errors
/// When rows can't be read.
pub fn after(read: &impl Read, group: &Group, (after, size): (Pos, PageSize)) -> Result<Option<Page>, RecordsError> {
    let journal = state(read)?;
    if after < journal.floor {
        return Ok(None);
    }
    let mut found: Vec<(Pos, JournalEvent)> = Vec::new();
    let (mut bytes, mut more) = (0, false);
    let mut failed = None;
    for number in first_bucket_after(read, &journal, after)?..=journal.current {
        let (from, to) =
            (Key::event((number, group), (Pos(after.0.saturating_add(1)), 0)), Key::group_events(number, group).end());
        read.scan(from.as_bytes(), to.as_bytes(), Direction::Forward, &mut |key, value| {
            let pos = Key::event_pos(key);
            let is_full = found.len() >= size.events || bytes >= size.bytes;
            // A cursor never stands between two events of one position.
            if is_full && found.last().is_none_or(|(last, _)| *last != pos) {
                more = true;
                return ControlFlow::Break(());
            }
            bytes += value.len();
            match txn::decode(value) {
                Ok(event) => found.push((pos, event)),
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        if more || failed.is_some() {
            break;
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let events = found.into_iter().map(|(pos, event)| Ok((pos, frames_of(read, &group.tenant, event)?)));
    Ok(Some(Page { events: events.collect::<Result<_, RecordsError>>()?, more }))
}

/// The first bucket that may hold something after `after`.
fn first_bucket_after(read: &impl Read, journal: &Journal, after: Pos) -> Result<u64, RecordsError> {
    let (mut from, mut to) = (journal.first, journal.current);
    // Buckets ascend: the first whose last position is later.
    while from < to {
        let middle = from + (to - from) / 2;
        let last = get::<Bucket>(read, &Key::bucket(middle))?.map_or(Pos(0), |bucket| bucket.last);
        if last > after {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    Ok(from)
}

/// Names are not kept with a coming or going: they are those of now, and nobody's once the user is erased.
fn frames_of(read: &impl Read, tenant: &Tenant, event: JournalEvent) -> Result<Vec<String>, RecordsError> {
    match event {
        JournalEvent::Frames(frames) => Ok(frames),
        JournalEvent::Presence { user, online, seen } => {
            let profile = directory::of(read, tenant, &user)?.unwrap_or_default();
            let entry = frames::person_seen(&presence::person(&user, &profile), seen);
            let change = frames::presence_change(&entry, online);
            Ok(vec![frames::presence_changes(std::iter::once(change.as_str()))])
        }
    }
}
