//! A store from a snapshot: at start, or under a running node that has fallen too far behind its leader.

use std::path::Path;

use super::meta::Meta;
use super::{Options, TableError, Tables, Writes, files_of, value, wipe};
use crate::snapshot::SnapshotFile;

/// Records per batch while restoring.
const BATCH_RECORDS: usize = 1_000;

/// Replaces whatever is in `dir` by the records of `snapshot`, at the position `applied`. Interrupted, it leaves a store
/// that [`Tables::open`] calls incomplete. The snapshot is checked on the way. No handle to the old store may be left.
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
    let meta = tables.fill(snapshot, applied)?;
    tables.inner.state.write().meta = meta;
    tables.complete()?;
    Ok(tables)
}

impl Tables {
    /// Replaces all records by those of `snapshot`, at the position `applied`, while handles stay valid. Readers and
    /// commits wait until it is done; a running scan is aborted. Durable when it returns; interrupted by the end of the
    /// process, it leaves a store that [`Tables::open`] calls incomplete.
    ///
    /// # Errors
    /// A damaged snapshot, before anything is changed. After any later error the tables refuse everything.
    pub fn replace_with(&self, snapshot: &SnapshotFile, applied: &[u8]) -> Result<(), TableError> {
        snapshot.verify()?;
        let mut state = self.inner.state.write();
        if let Some(reason) = &state.broken {
            return Err(TableError::Broken(reason.clone()));
        }
        if let Some(images) = &mut state.images {
            images.abort();
        }
        let replace = || {
            files_of::remove_marker(&self.inner.dir)?;
            self.inner.db.clear().map_err(|error| self.sled_error(&error))?;
            let meta = self.fill(snapshot, applied)?;
            self.seal_store(&meta)?;
            Ok(meta)
        };
        match replace() {
            Ok(meta) => {
                state.meta = meta;
                Ok(())
            }
            Err(error) => {
                let error: TableError = error;
                state.broken = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Puts the snapshot's records into the empty store; the sums of them.
    fn fill(&self, snapshot: &SnapshotFile, applied: &[u8]) -> Result<Meta, TableError> {
        let mut meta = Meta::default();
        meta.applied = Some(applied.to_vec());
        let mut batch = Writes::new();
        for record in snapshot.records()? {
            let (key, value) = record?;
            value::check(&key, Some(&value))?;
            batch.insert(key, Some(value));
            if batch.len() == BATCH_RECORDS {
                self.insert_new(&mut meta, &std::mem::take(&mut batch))?;
            }
        }
        self.insert_new(&mut meta, &batch)?;
        Ok(meta)
    }

    /// Inserts records whose keys are new, as they are in a snapshot.
    fn insert_new(&self, meta: &mut Meta, records: &Writes) -> Result<(), TableError> {
        let mut batch = sled::Batch::default();
        for (key, value) in records {
            if let Some(value) = value {
                meta.replace(key, None, Some(value));
                batch.insert(key.as_slice(), value::seal(key, value));
            }
        }
        self.inner.db.apply_batch(batch).map_err(|error| self.sled_error(&error))
    }
}
