//! Retries: the first answer to a key is kept for a day, or until a tenant has a million newer ones.

use super::{
    RecordsError,
    apply::Step,
    command::Idempotency,
    keys::{Key, Table},
    reply::Reply,
    rows::{Answered, AnsweredCount, AnsweredOrder},
    txn::{self, first_rows, get},
};
use crate::{
    config::limits::{IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_SECONDS},
    protocol::Timestamp,
};
use carillon_storage::tables::Read;

/// Each new key takes up to this many expired ones with it, so that the table shrinks faster than it grows.
const EXPIRED_AT_ONCE: usize = 4;

/// The answer that this key got before, unless that was too long ago.
pub(crate) fn look_up<S: Read>(
    step: &Step<'_, '_, S>,
    idempotency: &Idempotency,
) -> Result<Option<Answered>, RecordsError> {
    let Some(answered) = get::<Answered>(step.txn, &Key::idempotency(step.tenant, &idempotency.key))? else {
        return Ok(None);
    };
    let order = get::<AnsweredOrder>(step.txn, &order_key(step, answered.pos.0))?;
    Ok(order.filter(|order| order.at >= oldest_kept(step.at)).map(|_| answered))
}

/// Keeps the first answer to a key.
pub(crate) fn remember<S: Read>(
    step: &mut Step<'_, '_, S>,
    idempotency: &Idempotency,
    reply: &Reply,
) -> Result<(), RecordsError> {
    let key = Key::idempotency(step.tenant, &idempotency.key);
    let count_key = Key::tenant(Table::IdempotencyKeys, step.tenant);
    let mut count: AnsweredCount = step.txn.get_or_default(&count_key)?;
    if let Some(expired) = get::<Answered>(step.txn, &key)? {
        step.txn.remove(order_key(step, expired.pos.0));
        count.0 = count.0.saturating_sub(1);
    }
    let order = AnsweredOrder { key: key.as_bytes().to_vec(), at: step.at };
    step.txn.put(order_key(step, step.pos.0), &order)?;
    step.txn.put(key, &Answered { body: idempotency.body, reply: reply.packed(), pos: step.pos })?;
    count.0 += 1;
    forget_expired(step, &mut count)?;
    step.txn.put(count_key, &count)?;
    Ok(())
}

fn forget_expired<S: Read>(step: &mut Step<'_, '_, S>, count: &mut AnsweredCount) -> Result<(), RecordsError> {
    let order = Key::tenant(Table::IdempotencyOrder, step.tenant);
    for (order_key, value) in first_rows(step.txn, &order, EXPIRED_AT_ONCE)? {
        let row: AnsweredOrder = txn::decode(&value)?;
        if row.at >= oldest_kept(step.at) && count.0 <= IDEMPOTENCY_KEYS_MAX {
            break;
        }
        step.txn.remove(Key::stored(&row.key));
        step.txn.remove(order_key);
        count.0 = count.0.saturating_sub(1);
    }
    Ok(())
}

fn order_key<S: Read>(step: &Step<'_, '_, S>, pos: u64) -> Key {
    Key::tenant_row(Table::IdempotencyOrder, step.tenant, pos)
}

fn oldest_kept(now: Timestamp) -> Timestamp {
    now.plus_seconds(-IDEMPOTENCY_SECONDS)
}
