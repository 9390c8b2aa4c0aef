//! Opening a node's directory: log, snapshots and tables must tell one story, or the node does not start.
//!
//! The log is the truth. Tables that are missing or damaged are built anew from the newest good snapshot (or from
//! nothing) and the log after it. What cannot be rebuilt completely is refused with what is wrong: a node never serves
//! less than it acknowledged without saying so.

use super::codec::{self, AppliedState};
use carillon_storage::{
    CodecError, LockError, LogError, LogOptions,
    log::Log,
    snapshot::{SnapshotError, SnapshotFile, Snapshots},
    tables::{self, TableError, Tables},
};
use std::path::Path;

/// What is on disk, found whole.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) log: Log,
    pub(crate) snapshots: Snapshots,
    pub(crate) tables: Tables,
    pub(crate) applied: AppliedState,
}

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Another process serves it.
    #[error(
        "the data directory {dir} is in use by another server, process {holder}: stop that one first, or give this one \
         a directory of its own (server.data_dir)"
    )]
    InUse {
        /// The data directory.
        dir: String,
        /// The other's process id, or `unknown`.
        holder: String,
    },
    /// The log can't be opened.
    #[error("the log: {0}")]
    Log(#[from] LogError),
    /// The snapshots can't be opened.
    #[error("the snapshots: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The tables can't be opened, and not be rebuilt either.
    #[error("the tables: {0}")]
    Tables(#[from] TableError),
    /// What the tables say of themselves can't be read.
    #[error("the tables' position: {0}")]
    Codec(#[from] CodecError),
    /// The log can't be cut.
    #[error("the log cannot be cut behind a snapshot: {0}")]
    Purge(std::io::Error),
    /// The log does not reach back to anything that could be rebuilt from.
    #[error(
        "the tables are unusable ({why}) and cannot be rebuilt: the log begins after entry {purged}, and no intact \
         snapshot reaches that far. Restore a backup, or the missing files of the snapshots directory"
    )]
    NothingToRebuildFrom {
        /// What is wrong with the tables.
        why: String,
        /// The last entry that the log no longer has.
        purged: u64,
    },
    /// The log is older than the tables.
    #[error(
        "the log ends at entry {log} but entry {tables} was applied: acknowledged entries are missing from \
         the log directory. Restore its files, or a backup"
    )]
    LogBehindTables {
        /// Where the log ends.
        log: u64,
        /// What the tables, or a snapshot, have applied.
        tables: u64,
    },
}

impl RecoverError {
    /// Whether the data is damaged, rather than unreachable or in use.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::InUse { .. } => false,
            Self::Log(error) => error.is_damage(),
            Self::Snapshot(error) => !matches!(error, SnapshotError::Io { .. }),
            Self::Tables(error) => error.is_damage(),
            Self::Purge(_) => false,
            Self::Codec(_) | Self::NothingToRebuildFrom { .. } | Self::LogBehindTables { .. } => true,
        }
    }
}

/// Opens everything under `dir`, rebuilding the tables if need be. `installing` is the last entry of a snapshot whose
/// taking in, from a peer, was begun and maybe not ended.
pub(crate) fn open(
    dir: &Path,
    log: LogOptions,
    tables: &tables::Options,
    installing: Option<u64>,
) -> Result<Opened, RecoverError> {
    let log = Log::open(&dir.join("log"), log).map_err(|error| in_use(dir, error))?;
    let snapshots = Snapshots::open(&dir.join("snapshots"))?;
    if let Some(index) = installing {
        finish_installing(&log, &snapshots, index)?;
    }
    check_snapshots_are_behind(&log, &snapshots)?;
    let at = dir.join("tables");
    let (tables, applied) = match usable(&at, tables, &log) {
        Ok(opened) => opened,
        Err(Unusable::Fatal(error)) => return Err(error),
        Err(Unusable::Rebuild(why)) => rebuild(&at, tables, (&log, &snapshots), why)?,
    };
    Ok(Opened { log, snapshots, tables, applied })
}

fn in_use(dir: &Path, error: LogError) -> RecoverError {
    if let LogError::Locked(lock) = &error
        && let LockError::Held { holder, .. } = &**lock
    {
        return RecoverError::InUse { dir: dir.display().to_string(), holder: holder.clone() };
    }
    error.into()
}

/// Brings a snapshot from a peer to its end: it is whole, and everything in it is committed, so the log goes on behind it.
fn finish_installing(log: &Log, snapshots: &Snapshots, index: u64) -> Result<(), RecoverError> {
    let state = log.state();
    let end = state.entries.end.checked_sub(1).max(state.last_purged.map(|(purged, _)| purged));
    if end >= Some(index) {
        return Ok(());
    }
    for snapshot in snapshots.list()? {
        let last = AppliedState::decode(&snapshot.meta)?.last.filter(|last| last.index == index);
        if let Some(last) = last {
            tracing::info!(index, "the log goes on behind a snapshot that was being taken in");
            let (done, is_done) = std::sync::mpsc::sync_channel(1);
            log.purge(index, codec::encode(&last)?, move |result| {
                let _ = done.send(result); // Waited for below.
            })?;
            return match is_done.recv() {
                Ok(Ok(())) => Ok(()),
                Ok(Err(source)) => Err(RecoverError::Purge(source)),
                Err(_) => Err(RecoverError::Purge(std::io::ErrorKind::BrokenPipe.into())),
            };
        }
    }
    Ok(())
}

/// A log that does not even reach the snapshots has lost something, whatever the tables say.
fn check_snapshots_are_behind(log: &Log, snapshots: &Snapshots) -> Result<(), RecoverError> {
    let state = log.state();
    let end = state.entries.end.checked_sub(1).max(state.last_purged.map(|(index, _)| index));
    for snapshot in snapshots.list()? {
        let at = AppliedState::decode(&snapshot.meta)?.last.map(|last| last.index);
        if at > end {
            let (log, tables) = (end.unwrap_or(0), at.unwrap_or(0));
            return Err(RecoverError::LogBehindTables { log, tables });
        }
    }
    Ok(())
}

enum Unusable {
    Rebuild(String),
    Fatal(RecoverError),
}

/// The tables as they are, if the log can continue them.
fn usable(dir: &Path, options: &tables::Options, log: &Log) -> Result<(Tables, AppliedState), Unusable> {
    let tables = Tables::open(dir, options).map_err(|error| {
        if error.is_damage() { Unusable::Rebuild(error.to_string()) } else { Unusable::Fatal(error.into()) }
    })?;
    let applied = tables.applied().map(|bytes| AppliedState::decode(&bytes)).transpose();
    let applied = applied.map_err(|error| Unusable::Rebuild(error.to_string()))?.unwrap_or_default();
    let at = applied.last.map(|last| last.index);
    let state = log.state();
    let end = state.entries.end.checked_sub(1);
    if at > end {
        let (log, tables) = (end.unwrap_or(0), at.unwrap_or(0));
        return Err(Unusable::Fatal(RecoverError::LogBehindTables { log, tables }));
    }
    match state.last_purged {
        Some((purged, _)) if at.is_none_or(|at| at < purged) => {
            let at = at.map_or_else(|| "empty".into(), |at| format!("at entry {at}"));
            Err(Unusable::Rebuild(format!("they are {at}, before the log begins")))
        }
        _ => Ok((tables, applied)),
    }
}

fn rebuild(
    dir: &Path,
    options: &tables::Options,
    (log, snapshots): (&Log, &Snapshots),
    why: String,
) -> Result<(Tables, AppliedState), RecoverError> {
    let state = log.state();
    let purged = state.last_purged.map(|(index, _)| index);
    tracing::warn!(%why, "the tables are rebuilt from snapshot and log");
    for snapshot in snapshots.list()? {
        let Some(applied) = fits(&snapshot, purged, state.entries.end) else { continue };
        if let Err(error) = snapshot.verify() {
            tracing::warn!(%error, path = %snapshot.path.display(), "a damaged snapshot is set aside");
            // Left in the list, it would count as one that the log can be cut behind.
            snapshots.set_aside(&snapshot)?;
        } else {
            let tables = tables::restore_from(dir, options, &snapshot, &snapshot.meta)?;
            return Ok((tables, applied));
        }
    }
    match purged {
        Some(purged) => Err(RecoverError::NothingToRebuildFrom { why, purged }),
        None => {
            tables::wipe(dir)?;
            Ok((Tables::open(dir, options)?, AppliedState::default()))
        }
    }
}

/// What a snapshot has applied, if the log continues it.
fn fits(snapshot: &SnapshotFile, purged: Option<u64>, end: u64) -> Option<AppliedState> {
    let applied = AppliedState::decode(&snapshot.meta).ok()?;
    let index = applied.last?.index;
    if purged.is_some_and(|purged| index < purged) || index >= end.max(purged.map_or(0, |p| p + 1)) {
        return None;
    }
    Some(applied)
}
