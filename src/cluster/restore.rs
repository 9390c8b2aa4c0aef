//! A data directory from a backup: a group of one that goes on where the backup stands, in a history of its own.

use super::{
    backup::{Header, HeaderError},
    codec::{self, AppliedState},
    node::new_identity,
    types::{Membership, Vote},
};
use crate::{
    protocol::NodeId,
    records::{self, RecordsError},
};
use carillon_storage::{
    CodecError, LogError, LogOptions, SnapshotError, SnapshotFile, Snapshots, TableError,
    log::Log,
    staging::{Staging, StagingError},
    tables,
};
use openraft::BasicNode;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::mpsc,
};

/// What a data directory is made of.
const PARTS: &[&str] = &["log", "snapshots", "tables"];

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is no backup, or not of a format that this version knows.
    #[error("{file} cannot be restored: {source}")]
    Header {
        /// Which file.
        file: String,
        /// What is wrong with it.
        source: HeaderError,
    },
    /// The rows are not those that the header promises.
    #[error("{file} cannot be restored: its header promises {promised} records, and there are {found}")]
    Count {
        /// Which file.
        file: String,
        /// What the header says.
        promised: u64,
        /// What was read.
        found: u64,
    },
    /// A damaged or unreadable file; the new directory's snapshot can't be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The place where it should be.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// A row of the backup is none.
    #[error("the backup holds a row that cannot be read: {0}")]
    Records(#[from] RecordsError),
    /// The new directory's tables can't be written.
    #[error("the tables: {0}")]
    Tables(#[from] TableError),
    /// The new directory's log can't be written.
    #[error("the log: {0}")]
    Log(#[from] LogError),
    /// See [`Self::Log`].
    #[error("the log: {0}")]
    Write(#[from] io::Error),
    /// Raft's values do not encode.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl RestoreError {
    /// Whether the backup itself is no good, rather than the place or the disk.
    pub fn is_bad_data(&self) -> bool {
        match self {
            Self::Header { .. } | Self::Count { .. } | Self::Records(_) | Self::Codec(_) => true,
            Self::Snapshot(error) => !matches!(error, SnapshotError::Io { .. }),
            _ => false,
        }
    }
}

/// Makes the data directory `dir` from the backup `from`, for the node with this id (else the one that made the
/// backup). Everything is checked before anything is made; under its name the directory is there whole or not at all.
///
/// # Errors
/// See [`RestoreError`]; then there is no directory.
pub fn restore(from: &Path, dir: &Path, node: Option<NodeId>) -> Result<Header, RestoreError> {
    let backup = SnapshotFile::open(from)?;
    let header = checked_header(&backup)?;
    let node = node.unwrap_or(header.node);
    let staging = Staging::begin(dir, PARTS)?;
    let applied = AppliedState { last: Some(header.log_id()), membership: group_of_one(&header, node) };
    let snapshot = copy_rows(&backup, &staging.path().join("snapshots"), (&applied, node))?;
    let (tables, options) = (staging.path().join("tables"), tables::Options::default());
    drop(tables::restore_from(&tables, &options, &snapshot, &snapshot.meta)?);
    begin_log(&staging.path().join("log"), &header, node)?;
    staging.publish()?;
    Ok(header)
}

/// The header, once every byte behind it has been read.
fn checked_header(backup: &SnapshotFile) -> Result<Header, RestoreError> {
    let file = || backup.path.display().to_string();
    let header = Header::read(backup).map_err(|source| RestoreError::Header { file: file(), source })?;
    let mut found = 0;
    for record in backup.records()? {
        record?;
        found += 1;
    }
    if found == header.records {
        Ok(header)
    } else {
        Err(RestoreError::Count { file: file(), promised: header.records, found })
    }
}

/// Whoever else was in the backed-up cluster is none of this one.
fn group_of_one(header: &Header, node: NodeId) -> Membership {
    let nodes = BTreeMap::from([(node, BasicNode::default())]);
    let members = openraft::Membership::new(vec![BTreeSet::from([node])], nodes);
    Membership::new(Some(header.log_id()), members)
}

fn copy_rows(
    backup: &SnapshotFile,
    dir: &Path,
    (applied, node): (&AppliedState, NodeId),
) -> Result<SnapshotFile, RestoreError> {
    let mut writer = Snapshots::open(dir)?.create(&applied.encode()?)?;
    for record in backup.records()? {
        let (key, value) = record?;
        // What belongs to the old history stays behind; everything else comes along.
        if let Some(value) = records::restored(&key, value, node)? {
            writer.push(&key, &value)?;
        }
    }
    Ok(writer.finish()?)
}

/// A log without entries that goes on behind the backup, in a later term than any of the backup's.
fn begin_log(dir: &Path, header: &Header, node: NodeId) -> Result<(), RestoreError> {
    // The server that starts here makes its own ballast.
    let options = LogOptions { identity: new_identity(), ballast_bytes: 0, ..LogOptions::default() };
    let log = Log::open(dir, options)?;
    let (told, done) = mpsc::sync_channel(2);
    let tell = || {
        let told = told.clone();
        // Received below.
        move |result| drop(told.send(result))
    };
    log.save_vote(codec::encode(&Vote::new(header.log_term, node))?, tell())?;
    log.purge(header.log_index, codec::encode(&header.log_id())?, tell())?;
    for _ in 0..2 {
        done.recv().map_err(io::Error::other)??;
    }
    Ok(())
}
