//! Notifications and their read state.
//!
//! "Read all" writes one row however many notifications there are: what counts as read is decided by comparing
//! positions (see [`Inbox::has_read`]). `unread` always equals a recount.

use super::{
    RecordsError, Reply,
    apply::Step,
    keys::{Key, Table},
    levels,
    rows::{Inbox, Notification, TenantFigures},
    txn::{self, first_rows, get},
};
use crate::protocol::{
    GroupName, InV1, SessionId, Tenant, Timestamp, UserId,
    frames::{self, NotificationView},
};
use carillon_storage::tables::{Direction, Read};
use serde_json::value::RawValue;
use std::ops::ControlFlow;

/// Rows that one page may look at before it ends early: bounds the time a query holds up commits.
const ROWS_PER_PAGE_MAX: usize = 500;
/// Notifications that one command forgets at most.
const EXPIRED_AT_ONCE: u64 = 500;

/// What a notification says.
pub(crate) struct Content<'a> {
    pub(crate) title: &'a str,
    pub(crate) message: &'a str,
    pub(crate) level: &'a str,
    pub(crate) data: &'a str,
}

/// A notification as its frames show it.
pub fn view<'a>(id: u64, row: &'a Notification, is_read: bool) -> NotificationView<'a> {
    NotificationView {
        id,
        title: &row.title,
        message: &row.message,
        level: &row.level,
        is_read,
        created_at: row.created_at.to_string(),
        // Validated before it was proposed; a reader still gets an object if it ever were not.
        data: serde_json::from_str::<&RawValue>(&row.data).unwrap_or(RawValue::NULL),
    }
}

pub(crate) fn send<S: Read>(
    step: &mut Step<'_, '_, S>,
    users: &[UserId],
    content: &Content<'_>,
) -> Result<Reply, RecordsError> {
    let figures_key = Key::tenant(Table::Tenants, step.tenant);
    let mut figures: TenantFigures = step.txn.get_or_default(&figures_key)?;
    let row = Notification {
        title: content.title.into(),
        message: content.message.into(),
        level: content.level.into(),
        data: content.data.into(),
        created_at: step.at,
        is_read: false,
        read_state_at: step.pos,
    };
    let mut made = Vec::with_capacity(users.len());
    for user in users {
        figures.last_notification += 1;
        let id = figures.last_notification;
        let inbox_key = step.user_key(Table::Inboxes, user);
        let mut inbox: Inbox = step.txn.get_or_default(&inbox_key)?;
        inbox.unread += 1;
        inbox.total += 1;
        step.txn.put(inbox_key, &inbox)?;
        step.txn.put(Key::user_row(Table::Notifications, (step.tenant, user), id), &row)?;
        let news = frames::with_data("new_notification", view(id, &row, false));
        show(step, user, vec![news, frames::unread_count(inbox.unread)], None);
        made.push((user.clone(), id));
    }
    step.txn.put(figures_key, &figures)?;
    Ok(Reply::Created { notifications: made, created_at: step.at })
}

pub(crate) fn set_read<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    id: u64,
    (read, actor): (bool, Option<SessionId>),
) -> Result<Reply, RecordsError> {
    let inbox_key = step.user_key(Table::Inboxes, user);
    let mut inbox: Inbox = step.txn.get_or_default(&inbox_key)?;
    let key = Key::user_row(Table::Notifications, (step.tenant, user), id);
    let Some(mut row) = get::<Notification>(step.txn, &key)? else {
        return Ok(Reply::Inbox { found: false, changed: false, unread: inbox.unread });
    };
    if inbox.has_read(&row) == read {
        return Ok(Reply::Inbox { found: true, changed: false, unread: inbox.unread });
    }
    row.is_read = read;
    row.read_state_at = step.pos;
    inbox.unread = if read { inbox.unread.saturating_sub(1) } else { inbox.unread + 1 };
    step.txn.put(key, &row)?;
    step.txn.put(inbox_key, &inbox)?;
    let count = frames::unread_count(inbox.unread);
    if read {
        show(step, user, vec![frames::notification_read(id), count], actor);
    } else {
        let v1 = vec![frames::notification_unread(id), count.clone()];
        show_as(step, user, (vec![count], InV1::Instead(v1)), actor);
    }
    Ok(Reply::Inbox { found: true, changed: true, unread: inbox.unread })
}

pub(crate) fn read_all<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    actor: Option<SessionId>,
) -> Result<Reply, RecordsError> {
    let inbox_key = step.user_key(Table::Inboxes, user);
    let mut inbox: Inbox = step.txn.get_or_default(&inbox_key)?;
    let changed = inbox.unread > 0;
    if changed {
        inbox.unread = 0;
        inbox.read_all_at = step.pos;
        step.txn.put(inbox_key, &inbox)?;
        show(step, user, vec![frames::all_notifications_read(), frames::unread_count(0)], actor);
    }
    Ok(Reply::Inbox { found: true, changed, unread: 0 })
}

pub(crate) fn delete<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, id: u64) -> Result<Reply, RecordsError> {
    let inbox_key = step.user_key(Table::Inboxes, user);
    let mut inbox: Inbox = step.txn.get_or_default(&inbox_key)?;
    let key = Key::user_row(Table::Notifications, (step.tenant, user), id);
    let Some(row) = get::<Notification>(step.txn, &key)? else {
        return Ok(Reply::Inbox { found: false, changed: false, unread: inbox.unread });
    };
    step.txn.remove(key);
    let was_unread = take_out(&mut inbox, &row);
    show_deleted(step, user, (frames::notification_deleted(id), was_unread.then_some(inbox.unread)));
    step.txn.put(inbox_key, &inbox)?;
    levels::uncount(step, user, std::iter::once((id, row.level.as_str())))?;
    Ok(Reply::Inbox { found: true, changed: true, unread: inbox.unread })
}

pub(crate) fn expire<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    keep: u64,
    before: Option<Timestamp>,
) -> Result<Reply, RecordsError> {
    let inbox_key = step.user_key(Table::Inboxes, user);
    let inbox: Inbox = step.txn.get_or_default(&inbox_key)?;
    let range = step.user_key(Table::Notifications, user);
    let over = if keep == 0 { 0 } else { inbox.total.saturating_sub(keep) };
    let mut gone = Vec::new();
    let mut failed = None;
    let mut more = false;
    step.txn.scan(range.as_bytes(), range.end().as_bytes(), Direction::Forward, &mut |key, value| {
        let row: Notification = match txn::decode(value) {
            Ok(row) => row,
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        };
        let expired = (gone.len() as u64) < over || before.is_some_and(|before| row.created_at < before);
        more = expired && gone.len() as u64 == EXPIRED_AT_ONCE;
        if !expired || more {
            return ControlFlow::Break(());
        }
        gone.push((Key::stored(key), row));
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    levels::uncount(step, user, gone.iter().map(|(key, row)| (Key::last_number(key.as_bytes()), row.level.as_str())))?;
    let removed = gone.len() as u64;
    forget(step, user, (inbox, gone))?;
    Ok(Reply::Progress { removed, more })
}

/// Removes notifications from an inbox and says so.
pub(crate) fn forget<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    (mut inbox, gone): (Inbox, Vec<(Key, Notification)>),
) -> Result<(), RecordsError> {
    if gone.is_empty() {
        return Ok(());
    }
    let unread_before = inbox.unread;
    let mut ids = Vec::with_capacity(gone.len());
    for (key, row) in gone {
        ids.push(Key::last_number(key.as_bytes()));
        step.txn.remove(key);
        take_out(&mut inbox, &row);
    }
    step.txn.put(step.user_key(Table::Inboxes, user), &inbox)?;
    let unread = (inbox.unread != unread_before).then_some(inbox.unread);
    show_deleted(step, user, (frames::notifications_deleted(&ids), unread));
    Ok(())
}

/// Counts a notification out; whether it was unread.
fn take_out(inbox: &mut Inbox, row: &Notification) -> bool {
    let was_unread = !inbox.has_read(row);
    inbox.total = inbox.total.saturating_sub(1);
    if was_unread {
        inbox.unread = inbox.unread.saturating_sub(1);
    }
    was_unread
}

fn show<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, frames: Vec<String>, except: Option<SessionId>) {
    show_as(step, user, (frames, InV1::Same), except);
}

fn show_as<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, frames: (Vec<String>, InV1), except: Option<SessionId>) {
    step.publish_as(GroupName::NotificationsUser(user.clone()), frames, except);
}

/// What has gone, in v1; and the unread count, if it changed.
fn show_deleted<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, (deleted, unread): (String, Option<u64>)) {
    let count: Vec<String> = unread.map(frames::unread_count).into_iter().collect();
    let v1 = std::iter::once(deleted).chain(count.clone()).collect();
    show_as(step, user, (count, InV1::Instead(v1)), None);
}

/// Which notifications a caller wants to see.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only unread, or only read ones.
    pub unread: Option<bool>,
    /// Only of this level.
    pub level: Option<String>,
    /// Only ids below.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// Newest first, and where to go on.
#[derive(Debug)]
pub struct Page {
    /// Id, row, effective read state.
    pub items: Vec<(u64, Notification, bool)>,
    /// The user's unread count.
    pub unread: u64,
    /// Pass as `before` for what follows; a page may be short of `limit` and still have more.
    pub next_before: Option<u64>,
}

/// How many notifications of a user are unread.
///
/// # Errors
/// When rows can't be read.
pub fn unread_count(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<u64, RecordsError> {
    Ok(inbox_of(read, tenant, user)?.unread)
}

/// Whether a user has this notification and has not read it.
///
/// # Errors
/// When rows can't be read.
pub fn is_unread(read: &impl Read, (tenant, user): (&Tenant, &UserId), id: u64) -> Result<bool, RecordsError> {
    let row: Option<Notification> = get(read, &Key::user_row(Table::Notifications, (tenant, user), id))?;
    let inbox = inbox_of(read, tenant, user)?;
    Ok(row.is_some_and(|row| !inbox.has_read(&row)))
}

fn inbox_of(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<Inbox, RecordsError> {
    Ok(get(read, &Key::user(Table::Inboxes, tenant, user))?.unwrap_or_default())
}

/// A page of a user's notifications.
///
/// # Errors
/// When rows can't be read.
pub fn page(read: &impl Read, (tenant, user): (&Tenant, &UserId), filter: &Filter) -> Result<Page, RecordsError> {
    let inbox = inbox_of(read, tenant, user)?;
    let all = Key::user(Table::Notifications, tenant, user);
    let to = filter.before.map_or_else(|| all.end(), |id| Key::user_row(Table::Notifications, (tenant, user), id));
    let mut items = Vec::new();
    let mut looked_at = 0;
    let mut next_before = None;
    let mut last_id = 0;
    let mut failed = None;
    read.scan(all.as_bytes(), to.as_bytes(), Direction::Reverse, &mut |key, value| {
        if items.len() == filter.limit || looked_at == ROWS_PER_PAGE_MAX {
            next_before = Some(last_id);
            return ControlFlow::Break(());
        }
        looked_at += 1;
        last_id = Key::last_number(key);
        match txn::decode::<Notification>(value) {
            Ok(row) => {
                let is_read = inbox.has_read(&row);
                let wanted = filter.unread.is_none_or(|unread| unread != is_read)
                    && filter.level.as_ref().is_none_or(|level| *level == row.level);
                if wanted {
                    items.push((last_id, row, is_read));
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(Page { items, unread: inbox.unread, next_before }), Err)
}

/// All pages of a user's notifications as one.
#[cfg(test)]
pub(super) fn everything(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<Page, RecordsError> {
    let mut all = page(read, (tenant, user), &Filter { limit: ROWS_PER_PAGE_MAX, ..Filter::default() })?;
    while let Some(before) = all.next_before {
        let filter = Filter { limit: ROWS_PER_PAGE_MAX, before: Some(before), ..Filter::default() };
        let next = page(read, (tenant, user), &filter)?;
        all.items.extend(next.items);
        all.next_before = next.next_before;
    }
    Ok(all)
}

/// When the oldest notification of a user was made.
///
/// # Errors
/// When rows can't be read.
pub fn oldest(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<Option<Timestamp>, RecordsError> {
    let all = Key::user(Table::Notifications, tenant, user);
    let first = first_rows(read, &all, 1)?.pop();
    first.map(|(_, value)| Ok(txn::decode::<Notification>(&value)?.created_at)).transpose()
}

/// Inboxes with their users, and the cursor to go on from.
pub type Inboxes = (Vec<(Tenant, UserId, Inbox)>, Option<Vec<u8>>);

/// Users of any tenant whose inbox may hold something to expire: more than `keep`, or anything at all.
///
/// Goes through at most `limit` inboxes after `after`; the cursor to go on from is in the answer.
///
/// # Errors
/// When rows can't be read.
pub fn inboxes(read: &impl Read, after: Option<&[u8]>, limit: usize) -> Result<Inboxes, RecordsError> {
    let all = Key::table(Table::Inboxes);
    let from = after.map_or_else(|| all.as_bytes().to_vec(), |key| [key, &[0]].concat());
    let mut found = Vec::new();
    let mut cursor = None;
    let mut rows = Vec::new();
    read.scan(&from, all.end().as_bytes(), Direction::Forward, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        if rows.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let full = rows.len() == limit;
    for (key, value) in rows {
        if let Some((tenant, user)) = super::keys::tenant_and_user(&key) {
            found.push((tenant, user, txn::decode(&value)?));
        }
        cursor = Some(key);
    }
    Ok((found, if full { cursor } else { None }))
}
