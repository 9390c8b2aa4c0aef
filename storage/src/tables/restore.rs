//! A store from a snapshot: at start, or under a running node that has fallen too far behind its leader.

use std::path::Path;

use super::meta::Meta;
use super::{Options, TableError, Tables, Writes, files_of, trees, value, wipe};
use crate::snapshot::SnapshotFile;

/// Records per batch while restoring.
const BATCH_RECORDS: usize = 1_000;
/// Batches between two syncs: one of everything at the end would keep other writers of the disk waiting.
const BATCHES_PER_CHECKPOINT: usize = 4;

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
    let tree = tables.inner.state.read().tree.clone();
    let meta = tables.fill(&tree, snapshot, applied)?;
    tables.inner.state.write().meta = meta;
    tables.complete()?;
    Ok(tables)
}

impl Tables {
    /// Replaces all records by those of `snapshot`, at the position `applied`, while handles stay valid. Until it is done
    /// readers see what was there before; nobody may commit. A running scan is aborted. Durable when it returns;
    /// interrupted by the end of the process, it leaves what was there before. For a while the store takes up the space of
    /// both.
    ///
    /// # Errors
    /// A damaged snapshot; when the disk refuses. Then nothing has changed, but for what [`Self::commit`] says of sled.
    pub fn replace_with(&self, snapshot: &SnapshotFile, applied: &[u8]) -> Result<(), TableError> {
        if let Some(reason) = &self.inner.state.read().broken {
            return Err(TableError::Broken(reason.clone()));
        }
        let tree = trees::open_new(&self.inner.dir, &self.inner.db)?;
        let filled = self.fill(&tree, snapshot, applied).and_then(|meta| self.seal(&tree, &meta).map(|()| meta));
        let (needless, done) = match filled {
            Ok(meta) => (self.change_over(&tree, meta)?, Ok(())),
            Err(error) => (tree, Err(error)),
        };
        // If it stays, the next open drops it.
        let _ = trees::drop_tree(&self.inner.dir, &self.inner.db, &needless.name());
        done
    }

    /// Has everybody read another tree from now on; the one before.
    fn change_over(&self, tree: &sled::Tree, meta: Meta) -> Result<sled::Tree, TableError> {
        let mut state = self.inner.state.write();
        if let Err(error) = files_of::write_marker(&self.inner.dir, &tree.name()) {
            // Which of the two the next open finds is not known: both stay.
            state.broken = Some(error.to_string());
            return Err(error);
        }
        if let Some(images) = &mut state.images {
            images.abort();
        }
        state.meta = meta;
        Ok(std::mem::replace(&mut state.tree, tree.clone()))
    }

    /// Puts the snapshot's records into an empty tree; the sums of them. The snapshot is checked on the way.
    fn fill(&self, tree: &sled::Tree, snapshot: &SnapshotFile, applied: &[u8]) -> Result<Meta, TableError> {
        let mut meta = Meta::default();
        meta.applied = Some(applied.to_vec());
        let mut batch = Writes::new();
        let mut batches = 0;
        for record in snapshot.records()? {
            let (key, value) = record?;
            value::check(&key, Some(&value))?;
            batch.insert(key, Some(value));
            if batch.len() == BATCH_RECORDS {
                self.insert_new(tree, &mut meta, &std::mem::take(&mut batch))?;
                batches += 1;
                if batches % BATCHES_PER_CHECKPOINT == 0 {
                    self.checkpoint()?;
                }
            }
        }
        self.insert_new(tree, &mut meta, &batch)?;
        Ok(meta)
    }

    /// Inserts records whose keys are new, as they are in a snapshot.
    fn insert_new(&self, tree: &sled::Tree, meta: &mut Meta, records: &Writes) -> Result<(), TableError> {
        let mut batch = sled::Batch::default();
        for (key, value) in records {
            if let Some(value) = value {
                meta.replace(key, None, Some(value));
                batch.insert(key.as_slice(), value::seal(key, value));
            }
        }
        tree.apply_batch(batch).map_err(|error| self.sled_error(&error))
    }
}
