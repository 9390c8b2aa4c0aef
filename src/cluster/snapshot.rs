//! Snapshots: the tables as they stood at one log position, in a file, while applying goes on.

use super::{
    codec::AppliedState,
    types::{SnapshotMeta, StorageError, StorageIOError, TypeConfig},
};
use carillon_storage::{
    snapshot::{SnapshotError, SnapshotFile, SnapshotWriter, Snapshots},
    tables::{ConsistentScan, TableError, Tables},
};
use openraft::{AnyError, RaftSnapshotBuilder, Snapshot};
use parking_lot::Mutex;
use std::{io::Read, sync::Arc};

/// How often a scan that fell behind the writers is begun anew before giving up.
const ATTEMPTS_MAX: u32 = 5;
/// Rows copied while commits wait.
const ROWS_PER_CHUNK: usize = 256;

/// Builds one snapshot at a time.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotBuilder {
    pub(crate) tables: Tables,
    pub(crate) snapshots: Snapshots,
    pub(crate) written: WrittenSlot,
}

/// Shared between who writes a snapshot file and the builder that openraft asks.
pub(crate) type WrittenSlot = Arc<Written>;

/// See [`WrittenSlot`].
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// A file that was written before openraft was told to ask for it.
    pub(crate) file: Mutex<Option<SnapshotFile>>,
    /// Held by whoever reads all of the tables: they allow one scan at a time.
    turn: Mutex<()>,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file can't be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The tables can't be read.
    #[error(transparent)]
    Tables(#[from] TableError),
    /// What the tables say of themselves can't be read.
    #[error(transparent)]
    Codec(#[from] carillon_storage::CodecError),
    /// A file that was sent can't be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The thread ended.
    #[error("the snapshot's thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Writes a snapshot of the tables as they are when it begins, by `begin` and the scan: anew if commits change too much
/// meanwhile.
pub(crate) fn scan_into<W>(
    (tables, written): (&Tables, &Written),
    mut begin: impl FnMut(&ConsistentScan) -> Result<(SnapshotWriter, W), BuildError>,
) -> Result<(SnapshotWriter, W), BuildError> {
    let mut attempt = 1;
    loop {
        let turn = written.turn.lock();
        let copied = copy_all(tables, &mut begin);
        drop(turn);
        match copied {
            Err(BuildError::Tables(TableError::ScanAborted(_))) if attempt < ATTEMPTS_MAX => attempt += 1,
            done => return done,
        }
    }
}

fn copy_all<W>(
    tables: &Tables,
    begin: &mut impl FnMut(&ConsistentScan) -> Result<(SnapshotWriter, W), BuildError>,
) -> Result<(SnapshotWriter, W), BuildError> {
    let mut scan = tables.scan_consistently()?;
    let (mut writer, with) = begin(&scan)?;
    while let Some(rows) = scan.next_chunk(ROWS_PER_CHUNK)? {
        for (key, value) in rows {
            writer.push(&key, &value)?;
        }
    }
    Ok((writer, with))
}

impl SnapshotBuilder {
    /// Writes a snapshot file, on a thread of its own. Nothing depends on its success.
    pub(crate) async fn write(&self) -> Result<SnapshotFile, BuildError> {
        let builder = self.clone();
        let write = move || {
            let begin = |scan: &ConsistentScan| Ok((builder.snapshots.create(scan.applied().unwrap_or_default())?, ()));
            let (writer, ()) = scan_into((&builder.tables, &builder.written), begin)?;
            Ok(writer.finish()?)
        };
        tokio::task::spawn_blocking(write).await?
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    /// Hands over the file that waits. An error here would stop openraft for good, so whoever wants a snapshot writes
    /// it first ([`Self::write`]), and a full disk costs no more than the snapshot.
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let written = self.written.file.lock().take();
        let file = match written {
            Some(file) => Ok(file),
            None => self.write().await,
        };
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
#[expect(clippy::result_large_err, reason = "openraft's error type")]
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

/// Copies a snapshot file into this node's directory, every byte checked; one that a peer has sent is there already.
pub(crate) fn adopt(snapshots: &Snapshots, from: &SnapshotFile) -> Result<SnapshotFile, BuildError> {
    if let Some(there) = snapshots.list()?.into_iter().find(|file| file.path == from.path) {
        return Ok(there);
    }
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
