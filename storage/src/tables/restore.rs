//! A store from a snapshot.

use std::path::Path;

use super::{Options, TableError, Tables, Writes, wipe};
use crate::snapshot::SnapshotFile;

/// Records per commit while restoring.
const BATCH_RECORDS: usize = 1_000;

/// Replaces whatever is in `dir` by the records of `snapshot`, at the position `applied`. Interrupted, it leaves a store
/// that [`Tables::open`] calls incomplete. The snapshot is checked on the way.
///
/// # Errors
/// A damaged snapshot; when the disk refuses.
pub fn restore_from(
    dir: &Path,
    options: &Options,
    snapshot: &SnapshotFile,
    applied: &[u8],
) -> Result<Tables, TableError> {
    wipe(dir)?;
    let tables = Tables::begin(dir, options)?;
    let mut batch = Writes::new();
    for record in snapshot.records()? {
        let (key, value) = record?;
        batch.insert(key, Some(value));
        if batch.len() == BATCH_RECORDS {
            tables.commit(&batch, applied)?;
            batch.clear();
        }
    }
    tables.commit(&batch, applied)?;
    tables.complete()?;
    Ok(tables)
}
