//! The latest dashboard of each user, and that of the admins.

use super::{
    RecordsError, Rejection, Reply,
    apply::Step,
    json,
    keys::{Key, Table},
    rows::{AdminDashboard, Dashboard, TenantFigures},
    txn::get,
};
use crate::protocol::{GroupName, Tenant, Timestamp, UserId, frames};
use carillon_storage::tables::Read;

/// Largest row of merged JSON, in bytes: what is stored stays below what a table value may have.
pub(crate) const MERGED_BYTES_MAX: usize = 48 << 10;

/// Refuses merged JSON that grew too large.
pub(crate) fn check_size(what: &str, merged: &str) -> Result<(), Rejection> {
    let (bytes, max) = (merged.len() as u64, MERGED_BYTES_MAX as u64);
    if bytes > max { Err(Rejection::TooLarge { what: what.into(), bytes, max }) } else { Ok(()) }
}

pub(crate) fn update<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, data: &str) -> Result<Reply, RecordsError> {
    let key = step.user_key(Table::Dashboards, user);
    let old = get::<Dashboard>(step.txn, &key)?;
    let merged = json::merge(&old.map_or_else(String::new, |row| json::without(&row.data, "last_updated")), data);
    if let Err(rejection) = check_size("dashboard", &merged) {
        return Ok(Reply::Rejected(rejection));
    }
    step.txn.put(key, &Dashboard { data: merged, updated_at: step.at })?;
    let frame = frames::with_raw_data("dashboard_update", data);
    step.publish(GroupName::DashboardUser(user.clone()), vec![frame], None);
    Ok(Reply::Done)
}

pub(crate) fn update_admin<S: Read>(step: &mut Step<'_, '_, S>, data: &str) -> Result<Reply, RecordsError> {
    let row = AdminDashboard { data: data.into(), updated_at: step.at };
    step.txn.put(Key::tenant(Table::AdminDashboards, step.tenant), &row)?;
    step.publish(GroupName::AdminDashboard, vec![frames::with_raw_data("system_update", data)], None);
    Ok(Reply::Done)
}

/// The `dashboard_update` that answers a request: what was sent so far, over the figures of a new user.
///
/// # Errors
/// When rows can't be read.
pub fn frame(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<String, RecordsError> {
    const NEVER: &str =
        r#"{"total_subscriptions":0,"active_subscriptions":0,"total_revenue":"0.00","last_updated":null}"#;
    let data = match get::<Dashboard>(read, &Key::user(Table::Dashboards, tenant, user))? {
        None => NEVER.into(),
        Some(row) => {
            let base = json::merge(NEVER, &format!(r#"{{"last_updated":"{}"}}"#, row.updated_at));
            json::merge(&base, &row.data)
        }
    };
    Ok(frames::with_raw_data("dashboard_update", &data))
}

/// When the admin dashboard was last updated.
///
/// # Errors
/// When rows can't be read.
pub fn admin_updated_at(read: &impl Read, tenant: &Tenant) -> Result<Option<Timestamp>, RecordsError> {
    let row = get::<AdminDashboard>(read, &Key::tenant(Table::AdminDashboards, tenant))?;
    Ok(row.map(|row| row.updated_at))
}

/// A tenant's counters.
///
/// # Errors
/// When rows can't be read.
pub fn figures(read: &impl Read, tenant: &Tenant) -> Result<TenantFigures, RecordsError> {
    Ok(get(read, &Key::tenant(Table::Tenants, tenant))?.unwrap_or_default())
}

/// The `system_stats` that answers an admin's request.
///
/// # Errors
/// When rows can't be read.
pub fn system_stats_frame(read: &impl Read, tenant: &Tenant) -> Result<String, RecordsError> {
    let figures = figures(read, tenant)?;
    let data = serde_json::json!({
        "total_users": figures.users,
        "active_users": figures.active_users,
        "staff_users": figures.staff_users,
        "last_updated": frames::optional_time(admin_updated_at(read, tenant)?),
    });
    Ok(frames::with_data("system_stats", data))
}
