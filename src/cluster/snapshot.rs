//! Snapshots: the tables as they stood at one log position, in a file, while applying goes on.

use super::{
    codec::AppliedState,
    types::{SnapshotMeta, StorageError, StorageIOError, TypeConfig},
};
use carillon_storage::{
    snapshot::{SnapshotError, SnapshotFile, Snapshots},
    tables::{Direction, Read, TableError, Tables, Writes},
};
use openraft::{AnyError, RaftSnapshotBuilder, Snapshot};
use std::{io::Read as _, ops::ControlFlow};

/// How often a scan that fell behind the writers is begun anew before giving up.
const ATTEMPTS_MAX: u32 = 5;
/// Rows copied while commits wait.
const ROWS_PER_CHUNK: usize = 256;

/// Builds one snapshot at a time.
#[derive(Debug)]
pub(crate) struct SnapshotBuilder {
    pub(crate) tables: Tables,
    pub(crate) snapshots: Snapshots,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Tables(#[from] TableError),
    #[error(transparent)]
    Codec(#[from] carillon_storage::CodecError),
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error("the snapshot's thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl SnapshotBuilder {
    fn write_once(&self) -> Result<SnapshotFile, BuildError> {
        let mut scan = self.tables.scan_consistently()?;
        let mut writer = self.snapshots.create(scan.applied().unwrap_or_default())?;
        while let Some(rows) = scan.next_chunk(ROWS_PER_CHUNK)? {
            for (key, value) in rows {
                writer.push(&key, &value)?;
            }
        }
        Ok(writer.finish()?)
    }

    fn write(&self) -> Result<SnapshotFile, BuildError> {
        let mut attempt = 1;
        loop {
            match self.write_once() {
                Err(BuildError::Tables(TableError::ScanAborted(_))) if attempt < ATTEMPTS_MAX => attempt += 1,
                done => return done,
            }
        }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let builder = Self { tables: self.tables.clone(), snapshots: self.snapshots.clone() };
        let built = tokio::task::spawn_blocking(move || builder.write()).await;
        let file = built.map_err(BuildError::from).and_then(|file| file);
        let snapshot = file.and_then(|file| as_openraft(file).map_err(BuildError::from));
        snapshot.map_err(|e| StorageIOError::write_snapshot(None, AnyError::new(&e)).into())
    }
}

/// A snapshot file with what openraft wants to know of it.
fn as_openraft(file: SnapshotFile) -> Result<Snapshot<TypeConfig>, carillon_storage::CodecError> {
    let applied = AppliedState::decode(&file.meta)?;
    let index = applied.last.map_or(0, |last| last.index);
    let meta = SnapshotMeta {
        last_log_id: applied.last,
        last_membership: applied.membership,
        snapshot_id: format!("{index}-{}", file.bytes),
    };
    Ok(Snapshot { meta, snapshot: Box::new(file) })
}

/// The newest snapshot that is not ahead of what is `applied`, if there is one.
///
/// After a crash the tables may be an older state of themselves, and a snapshot that was made since is ahead of them
/// until the log is replayed. openraft holds such a snapshot for impossible, and panics.
pub(crate) fn newest(
    snapshots: &Snapshots,
    applied: Option<u64>,
) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
    let read = |e: &dyn std::error::Error| StorageIOError::read_snapshot(None, AnyError::error(e));
    for file in snapshots.list().map_err(|e| read(&e))? {
        let snapshot = as_openraft(file).map_err(|e| read(&e))?;
        if snapshot.meta.last_log_id.map(|id| id.index) <= applied {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

/// Copies a snapshot file into this node's directory, every byte checked.
pub(crate) fn adopt(snapshots: &Snapshots, from: &SnapshotFile) -> Result<SnapshotFile, BuildError> {
    let mut source = std::fs::File::open(&from.path)?;
    let mut receiver = snapshots.receive()?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            return Ok(receiver.finish()?);
        }
        receiver.write(&buffer[..n])?;
    }
}

/// Puts a snapshot's rows in place of all that the tables hold, in one commit.
pub(crate) fn replace(tables: &Tables, with: &SnapshotFile) -> Result<(), BuildError> {
    let mut writes = Writes::new();
    tables.reader().scan(&[], &[], Direction::Forward, &mut |key, _| {
        writes.insert(key.to_vec(), None);
        ControlFlow::Continue(())
    })?;
    for record in with.records()? {
        let (key, value) = record?;
        writes.insert(key, Some(value));
    }
    Ok(tables.commit(&writes, &with.meta)?)
}
