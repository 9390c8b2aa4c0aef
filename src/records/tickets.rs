//! One-time tickets: kept as hashes, spent through the log, so that no node lets anybody in twice with one.
//!
//! A ticket is a row under its hash, and stands in the order of its tenant's expiries. Spending removes both; so does
//! the sweep, a bounded part at a time, once it has expired.

use super::{
    RecordsError, Rejection, Reply,
    apply::Step,
    command::TicketGrant,
    keys::{Key, Table},
    rows::{Ticket, TicketCount, TicketOrder},
    txn::{self, first_rows, get},
};
use crate::{
    config::limits::TICKETS_LIVE_MAX,
    protocol::{Tenant, Timestamp},
};
use carillon_storage::tables::{Direction, Read};
use std::ops::ControlFlow;

/// Each new ticket takes up to this many expired ones with it, so that the table shrinks faster than it grows.
const EXPIRED_AT_ONCE: usize = 4;
/// Expired tickets that one sweep removes.
const SWEPT_AT_ONCE: usize = 500;

pub(crate) fn issue<S: Read>(
    step: &mut Step<'_, '_, S>,
    hash: [u8; 32],
    (grant, expires_at): (&TicketGrant, Timestamp),
) -> Result<Reply, RecordsError> {
    forget_expired(step, EXPIRED_AT_ONCE)?;
    let count = count(step)?;
    if count >= TICKETS_LIVE_MAX {
        return Ok(Reply::Rejected(Rejection::TooManyTickets { max: TICKETS_LIVE_MAX }));
    }
    let key = Key::ticket(&hash);
    if get::<Ticket>(step.txn, &key)?.is_some() {
        // Of 256 random bits none comes twice; if one did, the first holder's must not become another's.
        return Ok(Reply::Rejected(Rejection::TicketGone));
    }
    let row =
        Ticket { tenant: step.tenant.clone(), grant: grant.clone(), issued_at: step.at, expires_at, pos: step.pos };
    step.txn.put(key, &row)?;
    step.txn.put(order_key(step, step.pos.0), &TicketOrder { hash, expires_at })?;
    set_count(step, count + 1)?;
    Ok(Reply::Done)
}

pub(crate) fn spend<S: Read>(step: &mut Step<'_, '_, S>, hash: &[u8; 32]) -> Result<Reply, RecordsError> {
    match get::<Ticket>(step.txn, &Key::ticket(hash))? {
        Some(row) if row.tenant == *step.tenant && step.at < row.expires_at => {
            remove(step, hash, order_key(step, row.pos.0))?;
            Ok(Reply::Done)
        }
        _ => Ok(Reply::Rejected(Rejection::TicketGone)),
    }
}

pub(crate) fn sweep<S: Read>(step: &mut Step<'_, '_, S>) -> Result<Reply, RecordsError> {
    let removed = forget_expired(step, SWEPT_AT_ONCE)?;
    Ok(Reply::Progress { removed: removed as u64, more: removed == SWEPT_AT_ONCE })
}

/// Removes expired tickets of the tenant, the oldest first, and says how many.
fn forget_expired<S: Read>(step: &mut Step<'_, '_, S>, most: usize) -> Result<usize, RecordsError> {
    let order = Key::tenant(Table::TicketOrder, step.tenant);
    let mut removed = 0;
    for (order_key, value) in first_rows(step.txn, &order, most)? {
        let row: TicketOrder = txn::decode(&value)?;
        if step.at < row.expires_at {
            break;
        }
        remove(step, &row.hash, order_key)?;
        removed += 1;
    }
    Ok(removed)
}

fn remove<S: Read>(step: &mut Step<'_, '_, S>, hash: &[u8; 32], order_key: Key) -> Result<(), RecordsError> {
    step.txn.remove(Key::ticket(hash));
    step.txn.remove(order_key);
    let left = count(step)?.saturating_sub(1);
    set_count(step, left)
}

fn count<S: Read>(step: &Step<'_, '_, S>) -> Result<u64, RecordsError> {
    let count: TicketCount = step.txn.get_or_default(&Key::tenant(Table::TicketCounts, step.tenant))?;
    Ok(count.0)
}

fn set_count<S: Read>(step: &mut Step<'_, '_, S>, count: u64) -> Result<(), RecordsError> {
    step.txn.put(Key::tenant(Table::TicketCounts, step.tenant), &TicketCount(count))
}

fn order_key<S: Read>(step: &Step<'_, '_, S>, pos: u64) -> Key {
    Key::tenant_row(Table::TicketOrder, step.tenant, pos)
}

/// The ticket that has this hash, if it was issued, is not spent and was not swept; it may have expired.
///
/// # Errors
/// When rows can't be read.
pub fn find(read: &impl Read, hash: &[u8; 32]) -> Result<Option<Ticket>, RecordsError> {
    get(read, &Key::ticket(hash))
}

/// Tickets of a tenant that are neither spent nor swept.
///
/// # Errors
/// When rows can't be read.
pub fn live(read: &impl Read, tenant: &Tenant) -> Result<u64, RecordsError> {
    Ok(get::<TicketCount>(read, &Key::tenant(Table::TicketCounts, tenant))?.unwrap_or_default().0)
}

/// Tenants that have expired tickets at `now`.
///
/// # Errors
/// When rows can't be read.
pub fn expired(read: &impl Read, now: Timestamp) -> Result<Vec<Tenant>, RecordsError> {
    let all = Key::table(Table::TicketCounts);
    let mut tenants = Vec::new();
    read.scan(all.as_bytes(), all.end().as_bytes(), Direction::Forward, &mut |key, _| {
        tenants.extend(super::keys::tenant_of(key));
        ControlFlow::Continue(())
    })?;
    let mut found = Vec::new();
    for tenant in tenants {
        let order = Key::tenant(Table::TicketOrder, &tenant);
        let first = first_rows(read, &order, 1)?.pop();
        let first = first.map(|(_, value)| txn::decode::<TicketOrder>(&value)).transpose()?;
        if first.is_some_and(|row| row.expires_at <= now) {
            found.push(tenant);
        }
    }
    Ok(found)
}
