//! Subscriptions as the backend states them: rows, their history, payments and expiry warnings.

use super::{
    RecordsError, Rejection, Reply,
    apply::Step,
    dashboard, json,
    keys::{Key, Table},
    rows::{KeptEvent, Subscription, TenantFigures},
    txn,
};
use crate::protocol::{GroupName, JSON_INTEGER_MAX, Tenant, UserId, frames};
use carillon_storage::tables::{Direction, Read};
use serde_json::json;
use std::ops::ControlFlow;

/// Subscription rows that a user may have.
const ROWS_MAX: usize = 500;
/// Events of one kind that are kept per user: history steps, payments, warnings.
const EVENTS_KEPT: u64 = 1_000;
/// Steps that a `subscription_history` frame shows.
const HISTORY_SHOWN: usize = 200;

pub(crate) fn update<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, data: &str) -> Result<Reply, RecordsError> {
    let given = json::fields(data);
    let rows = rows_of(step.txn, step.tenant, user)?;
    let found = match given.get("id") {
        Some(id) => rows.iter().find(|(_, row)| same_id(&row.id, id.get())),
        None => {
            let plan = json::string(&given, "plan_name");
            rows.iter().rev().find(|(_, row)| Some(&row.plan_name) == plan.as_ref())
        }
    };
    let old = found.map(|(_, row)| row);
    let merged = json::merge(old.map_or("", |row| &row.data), data);
    if let Err(rejection) = dashboard::check_size("subscription", &merged) {
        return Ok(Reply::Rejected(rejection));
    }
    let fields = json::fields(&merged);
    let Some(plan_name) = json::string(&fields, "plan_name") else {
        return Ok(Reply::Rejected(Rejection::NoPlan));
    };
    if old.is_none() && rows.len() >= ROWS_MAX {
        return Ok(Reply::Rejected(Rejection::TooMany { what: "subscriptions".into(), max: ROWS_MAX as u64 }));
    }
    let status = json::string(&fields, "status").unwrap_or_default();
    let id = count(step, (old, &status), given.get("id").map(|id| id.get()))?;
    let number = found.map_or_else(|| rows.last().map_or(1, |(n, _)| n + 1), |(n, _)| *n);
    let row = Subscription { id: id.clone(), plan_name, status, data: merged };
    step.txn.put(Key::user_row(Table::Subscriptions, (step.tenant, user), number), &row)?;
    let step_of_history = json::merge(&row.data, &format!(r#"{{"id":{id}}}"#));
    keep(step, (Table::SubscriptionHistory, user), &step_of_history)?;
    show(step, user, "subscription_status_update", data);
    Ok(Reply::Subscription { id })
}

/// Keeps the tenant's figures right; the row's id as JSON text.
fn count<S: Read>(
    step: &mut Step<'_, '_, S>,
    (old, status): (Option<&Subscription>, &str),
    given_id: Option<&str>,
) -> Result<String, RecordsError> {
    let key = Key::tenant(Table::Tenants, step.tenant);
    let mut figures: TenantFigures = step.txn.get_or_default(&key)?;
    let was_active = old.is_some_and(|row| row.status == "active");
    figures.active_subscriptions =
        (figures.active_subscriptions + u64::from(status == "active")).saturating_sub(u64::from(was_active));
    figures.subscriptions += u64::from(old.is_none());
    let id = match (old, given_id) {
        (Some(row), _) => row.id.clone(),
        (None, Some(given)) => {
            // Ids that are made here never collide with those the backend gives.
            let number: Option<u64> = given.trim_matches('"').parse().ok();
            let number = number.filter(|n| *n < JSON_INTEGER_MAX);
            figures.last_subscription = figures.last_subscription.max(number.unwrap_or(0));
            given.into()
        }
        (None, None) => {
            figures.last_subscription += 1;
            figures.last_subscription.to_string()
        }
    };
    step.txn.put(key, &figures)?;
    Ok(id)
}

/// Backends write the same id as 7 and as "7".
fn same_id(a: &str, b: &str) -> bool {
    a.trim_matches('"') == b.trim_matches('"')
}

pub(crate) fn record_payment<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    data: &str,
) -> Result<Reply, RecordsError> {
    keep(step, (Table::Payments, user), data)?;
    show(step, user, "payment_confirmation", data);
    Ok(Reply::Done)
}

pub(crate) fn warn_of_expiry<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    data: &str,
) -> Result<Reply, RecordsError> {
    keep(step, (Table::ExpiryWarnings, user), data)?;
    show(step, user, "subscription_expiry_warning", data);
    Ok(Reply::Done)
}

fn show<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, kind: &str, data: &str) {
    let frame = frames::with_raw_data(kind, data);
    step.publish(GroupName::SubscriptionsUser(user.clone()), vec![frame], None);
}

/// Keeps an event of a user under the next number, and forgets the one that is too old by it.
fn keep<S: Read>(step: &mut Step<'_, '_, S>, (table, user): (Table, &UserId), data: &str) -> Result<(), RecordsError> {
    let all = step.user_key(table, user);
    let mut number = 1;
    step.txn.scan(all.as_bytes(), all.end().as_bytes(), Direction::Reverse, &mut |key, _| {
        number = Key::last_number(key) + 1;
        ControlFlow::Break(())
    })?;
    let row = KeptEvent { data: data.into(), created_at: step.at, pos: step.pos };
    step.txn.put(Key::user_row(table, (step.tenant, user), number), &row)?;
    if let Some(oldest) = number.checked_sub(EVENTS_KEPT) {
        step.txn.remove(Key::user_row(table, (step.tenant, user), oldest));
    }
    Ok(())
}

type Rows = Vec<(u64, Subscription)>;

/// A user's rows, oldest first.
fn rows_of(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<Rows, RecordsError> {
    let all = Key::user(Table::Subscriptions, tenant, user);
    let mut rows = Vec::new();
    read.scan(all.as_bytes(), all.end().as_bytes(), Direction::Forward, &mut |key, value| {
        rows.push((Key::last_number(key), txn::decode(value)));
        ControlFlow::Continue(())
    })?;
    rows.into_iter().map(|(n, row)| Ok((n, row?))).collect()
}

/// The fields of `object` by these names, as they came; `null` where there is none, and what is given in their place.
fn select(object: &str, names: &[&str], (given, instead): (&str, &str)) -> String {
    let fields = json::fields(object);
    let text = |name: &&str| {
        let value = if *name == given { instead } else { json::raw(&fields, name).get() };
        format!("\"{name}\":{value}")
    };
    format!("{{{}}}", names.iter().map(text).collect::<Vec<_>>().join(","))
}

/// The `subscription_status` that answers a request.
///
/// # Errors
/// When rows can't be read.
pub fn status_frame(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<String, RecordsError> {
    const FIELDS: [&str; 7] = ["id", "plan_name", "status", "start_date", "end_date", "amount", "currency"];
    let mut active = Vec::new();
    for (_, row) in rows_of(read, tenant, user)? {
        if row.status == "active" {
            active.push(select(&row.data, &FIELDS, ("id", &row.id)));
        }
    }
    let (count, active) = (active.len(), active.join(","));
    let data = format!(r#"{{"active_subscriptions":[{active}],"total_active_count":{count}}}"#);
    Ok(frames::with_raw_data("subscription_status", &data))
}

/// The `subscription_history` that answers a request: newest first.
///
/// # Errors
/// When rows can't be read.
pub fn history_frame(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<String, RecordsError> {
    const FIELDS: [&str; 6] = ["id", "plan_name", "status", "created_at", "amount", "currency"];
    let events = kept(read, (Table::SubscriptionHistory, tenant, user), HISTORY_SHOWN)?;
    let show = |event: &KeptEvent| select(&event.data, &FIELDS, ("created_at", &format!("\"{}\"", event.created_at)));
    let shown: Vec<_> = events.iter().map(show).collect();
    Ok(frames::with_raw_data("subscription_history", &format!("[{}]", shown.join(","))))
}

/// The `subscription_stats` that answers an admin's request.
///
/// # Errors
/// When rows can't be read.
pub fn stats_frame(read: &impl Read, tenant: &Tenant) -> Result<String, RecordsError> {
    let figures = dashboard::figures(read, tenant)?;
    let data = json!({
        "total_subscriptions": figures.subscriptions,
        "active_subscriptions": figures.active_subscriptions,
        "inactive_subscriptions": figures.subscriptions.saturating_sub(figures.active_subscriptions),
        "last_updated": frames::optional_time(dashboard::admin_updated_at(read, tenant)?),
    });
    Ok(frames::with_data("subscription_stats", data))
}

/// A user's payments, newest first.
///
/// # Errors
/// When rows can't be read.
pub fn payments(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<Vec<KeptEvent>, RecordsError> {
    kept(read, (Table::Payments, tenant, user), HISTORY_SHOWN)
}

fn kept(
    read: &impl Read,
    (table, tenant, user): (Table, &Tenant, &UserId),
    limit: usize,
) -> Result<Vec<KeptEvent>, RecordsError> {
    let all = Key::user(table, tenant, user);
    let mut events = Vec::new();
    read.scan(all.as_bytes(), all.end().as_bytes(), Direction::Reverse, &mut |_, value| {
        events.push(txn::decode(value));
        if events.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    events.into_iter().collect()
}
