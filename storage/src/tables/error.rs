//! What can go wrong with the tables.

use std::io;
use std::path::{Path, PathBuf};

use super::{KEY_BYTES_MAX, TABLE_RESERVED, VALUE_BYTES_MAX};
use crate::snapshot::SnapshotError;

/// Why the tables could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The store does not hold what was committed: wipe it, restore the newest snapshot, replay the log.
    #[error("the tables in {} are damaged: {what}", dir.display())]
    Damaged {
        /// The store's directory.
        dir: PathBuf,
        /// What was found.
        what: String,
    },
    /// The store was never completed: its creation, restoration or removal was interrupted. To be wiped, like damage.
    #[error("the tables in {} are incomplete: their making or removal was interrupted", .0.display())]
    Incomplete(PathBuf),
    /// The system refused an operation.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier commit failed.
    #[error("the tables stopped after a failed commit: {0}")]
    Broken(String),
    /// A key is empty, too long, or in the reserved table.
    #[error(
        "a key of {bytes} bytes in table {table:?} is not allowed: 1 to {KEY_BYTES_MAX} bytes, table below {TABLE_RESERVED}"
    )]
    Key {
        /// Its length.
        bytes: usize,
        /// Its first byte.
        table: Option<u8>,
    },
    /// A value is too large.
    #[error("a value of {0} bytes is too large: the limit is {VALUE_BYTES_MAX}")]
    ValueTooLarge(usize),
    /// The meta record could not be encoded.
    #[error(transparent)]
    Codec(#[from] crate::codec::CodecError),
    /// The snapshot to restore is at fault.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Another scan is running.
    #[error("a scan is running already")]
    ScanRunning,
    /// Commits changed more than the scan may hold back; try again.
    #[error("the scan was aborted: commits changed more than {0} bytes that it had not reached yet")]
    ScanAborted(usize),
}

impl TableError {
    /// Whether the store itself is at fault, and wiping and restoring it is the remedy.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Incomplete(_))
    }

    pub(super) fn damaged(dir: &Path, what: &str) -> Self {
        Self::Damaged { dir: dir.to_owned(), what: what.to_owned() }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    pub(super) fn of_sled(dir: &Path, error: &sled::Error) -> Self {
        match error {
            sled::Error::Io(source) => Self::Io {
                doing: "use the tables in",
                path: dir.to_owned(),
                source: io::Error::new(source.kind(), source.to_string()),
            },
            other => Self::damaged(dir, &other.to_string()),
        }
    }
}
