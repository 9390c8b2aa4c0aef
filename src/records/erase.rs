//! Erasing a user: what a caller can see goes with the first command, the rest in bounded parts.
//!
//! The erasure itself is a row, so a crash between two parts does not leave anything behind for good.

use super::{
    EffectKind, RecordsError, Reply,
    apply::Step,
    directory, journal,
    keys::{Key, Table, tenant_and_user},
    presence,
    rows::{Demoted, Erasure, LockedOut, Presence, Subscription, TenantFigures, User},
    txn::{self, first_rows, get},
};
use crate::protocol::{Tenant, UserId};
use carillon_storage::tables::{Direction, Read};
use std::ops::ControlFlow;

/// Rows that one command removes at most.
const ROWS_AT_ONCE: usize = 1_000;

pub(crate) fn erase<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId) -> Result<Reply, RecordsError> {
    let marker = step.user_key(Table::Erasures, user);
    let mut removed = 0;
    if get::<Erasure>(step.txn, &marker)?.is_none() {
        step.txn.put(marker.clone(), &Erasure { asked_at: step.at })?;
        removed += forget_person(step, user)?;
    }
    let many = [
        Table::Notifications,
        Table::Subscriptions,
        Table::SubscriptionHistory,
        Table::Payments,
        Table::ExpiryWarnings,
        // Last: while there are notifications, their counts stay with them.
        Table::LevelCounts,
        Table::Inboxes,
    ];
    for table in many {
        for (key, value) in first_rows(step.txn, &step.user_key(table, user), ROWS_AT_ONCE.saturating_sub(removed))? {
            if table == Table::Subscriptions {
                uncount(step, &txn::decode(&value)?)?;
            }
            step.txn.remove(key);
            removed += 1;
        }
        if removed >= ROWS_AT_ONCE {
            return Ok(Reply::Progress { removed: removed as u64, more: true });
        }
    }
    removed += journal::forget_user(step, user, ROWS_AT_ONCE - removed)?;
    if removed >= ROWS_AT_ONCE {
        return Ok(Reply::Progress { removed: removed as u64, more: true });
    }
    step.txn.remove(marker);
    Ok(Reply::Progress { removed: removed as u64, more: false })
}

/// Directory, presence and dashboard: at once, and the sockets with them.
fn forget_person<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId) -> Result<usize, RecordsError> {
    let mut removed = 0;
    let key = step.user_key(Table::Presence, user);
    if let Some(mut row) = get::<Presence>(step.txn, &key)? {
        presence::announce_offline(step, user, &mut row)?;
        step.txn.remove(key);
        removed += 1;
    }
    let row = directory::of(step.txn, step.tenant, user)?;
    leave_refusals(step, user, row.as_ref())?;
    if let Some(row) = row {
        let figures_key = Key::tenant(Table::Tenants, step.tenant);
        let mut figures: TenantFigures = step.txn.get_or_default(&figures_key)?;
        directory::count(&mut figures, Some(&row), None);
        step.txn.put(figures_key, &figures)?;
        step.txn.remove(step.user_key(Table::Users, user));
        removed += 1;
    }
    let dashboard = step.user_key(Table::Dashboards, user);
    if step.txn.get(dashboard.as_bytes())?.is_some() {
        step.txn.remove(dashboard);
        removed += 1;
    }
    step.effect(EffectKind::Close { user: user.clone(), staff_only: false });
    Ok(removed)
}

/// What was issued before the erasure opens nothing any more, or an open page would bring the user back.
fn leave_refusals<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, row: Option<&User>) -> Result<(), RecordsError> {
    let key = step.user_key(Table::LockedOut, user);
    let earlier = get::<LockedOut>(step.txn, &key)?.map(|left| left.revoked_before);
    let earlier = earlier.max(row.and_then(|row| row.revoked_before));
    let revoked_before = earlier.map_or(step.at, |before| before.max(step.at));
    step.txn.put(key, &LockedOut { revoked_before })?;
    if let Some((Some(stated_at), false)) = row.map(|row| (row.stated_at, row.is_staff)) {
        step.txn.put(step.user_key(Table::Demoted, user), &Demoted { stated_at })?;
    }
    Ok(())
}

fn uncount<S: Read>(step: &mut Step<'_, '_, S>, row: &Subscription) -> Result<(), RecordsError> {
    let key = Key::tenant(Table::Tenants, step.tenant);
    let mut figures: TenantFigures = step.txn.get_or_default(&key)?;
    figures.subscriptions = figures.subscriptions.saturating_sub(1);
    figures.active_subscriptions = figures.active_subscriptions.saturating_sub(u64::from(row.status == "active"));
    step.txn.put(key, &figures)?;
    Ok(())
}

/// Erasures that were begun and are not finished.
///
/// # Errors
/// When rows can't be read.
pub fn unfinished(read: &impl Read) -> Result<Vec<(Tenant, UserId)>, RecordsError> {
    let all = Key::table(Table::Erasures);
    let mut found = Vec::new();
    read.scan(all.as_bytes(), all.end().as_bytes(), Direction::Forward, &mut |key, _| {
        found.extend(tenant_and_user(key));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
