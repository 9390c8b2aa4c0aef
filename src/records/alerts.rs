//! Alerts for admins: shown at once, and the latest thousand kept.

use super::{
    RecordsError, Reply,
    apply::Step,
    keys::{Key, Table},
    rows::{Alert, TenantFigures},
    txn,
};
use crate::protocol::{GroupName, Tenant, frames};
use carillon_storage::tables::{Direction, Read};
use std::ops::ControlFlow;

/// How many alerts a tenant keeps.
const ALERTS_KEPT: u64 = 1_000;

pub(crate) fn raise<S: Read>(step: &mut Step<'_, '_, S>, alert_type: &str, data: &str) -> Result<Reply, RecordsError> {
    let figures_key = Key::tenant(Table::Tenants, step.tenant);
    let mut figures: TenantFigures = step.txn.get_or_default(&figures_key)?;
    figures.last_alert += 1;
    let id = figures.last_alert;
    step.txn.put(figures_key, &figures)?;
    let row = Alert { alert_type: alert_type.into(), data: data.into(), created_at: step.at };
    step.txn.put(Key::tenant_row(Table::Alerts, step.tenant, id), &row)?;
    if let Some(oldest) = id.checked_sub(ALERTS_KEPT) {
        step.txn.remove(Key::tenant_row(Table::Alerts, step.tenant, oldest));
    }
    let frame = frames::with_raw_data(&format!("{alert_type}_alert"), data);
    step.publish(GroupName::SubscriptionAdmin, vec![frame], None);
    Ok(Reply::Alert { id })
}

/// Alerts with their ids, and the cursor for what follows.
pub type Page = (Vec<(u64, Alert)>, Option<u64>);

/// The latest alerts, newest first, with ids below `before`; and the cursor for what follows.
///
/// # Errors
/// When rows can't be read.
pub fn newest(read: &impl Read, tenant: &Tenant, (limit, before): (usize, Option<u64>)) -> Result<Page, RecordsError> {
    let all = Key::tenant(Table::Alerts, tenant);
    let to = before.map_or_else(|| all.end(), |id| Key::tenant_row(Table::Alerts, tenant, id));
    let mut rows = Vec::new();
    read.scan(all.as_bytes(), to.as_bytes(), Direction::Reverse, &mut |key, value| {
        rows.push((Key::last_number(key), value.to_vec()));
        if rows.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(|(id, _)| *id) } else { None };
    let alerts =
        rows.into_iter().map(|(id, bytes)| Ok((id, txn::decode(&bytes)?))).collect::<Result<_, RecordsError>>()?;
    Ok((alerts, next))
}
