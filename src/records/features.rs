//! What every node of the cluster understands: a level that is raised once all do, and never lowered. A node proposes no
//! command above it, so that nodes of two releases run side by side while one after the other is replaced.

use super::{
    RecordsError, Reply,
    apply::Step,
    keys::{Key, Table},
    txn::{Row, get},
};
use carillon_storage::tables::Read;
use serde::{Deserialize, Serialize};

/// From this level on, users of an ended boot go in one command.
pub(crate) const END_STAYS: u32 = 2;
/// From this level on, events between nodes say after which entry they are to be shown.
pub(crate) const PEER_ORDER: u32 = 3;

/// The level of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Features {
    level: u32,
}

impl Row for Features {
    const NAME: &'static str = "feature level";
}

pub(crate) fn raise<S: Read>(step: &mut Step<'_, '_, S>, level: u32) -> Result<Reply, RecordsError> {
    let key = Key::table(Table::Features);
    let now: Features = step.txn.get_or_default(&key)?;
    if level > now.level {
        step.txn.put(key, &Features { level })?;
    }
    Ok(Reply::Done)
}

/// The level that every member is known to understand.
///
/// # Errors
/// When rows can't be read.
pub fn level(read: &impl Read) -> Result<u32, RecordsError> {
    let row: Option<Features> = get(read, &Key::table(Table::Features))?;
    Ok(row.map_or(1, |row| row.level.max(1)))
}
