//! What can go wrong with the log, told so that a person knows which file to look at.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::lock::LockError;

/// Why the log could not be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// A file holds what no crash can leave behind. The node's disk has lost or changed acknowledged entries:
    /// it must be given a new directory and join its cluster again, or be restored from a backup.
    #[error("{} is damaged at byte {offset}: {what}", file.display())]
    Damaged {
        /// The file, or the directory when a whole file is missing.
        file: PathBuf,
        /// Where in the file.
        offset: u64,
        /// What was found, and what should be there.
        what: String,
    },
    /// The system refused an operation while opening or reading.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another process has the log open.
    #[error(transparent)]
    Locked(Arc<LockError>),
    /// A write or a sync failed earlier. Nobody knows what is on the disk since, so nothing is written any more:
    /// the process must end and open the log anew.
    #[error("the log stopped after a failed write: {0}")]
    Poisoned(Arc<str>),
    /// Entries must follow each other without a gap.
    #[error("entry {got} cannot follow: the next one must be {expected}")]
    NotContiguous {
        /// The index that would be right.
        expected: u64,
        /// The index that was given.
        got: u64,
    },
    /// What was purged is gone and cannot be truncated.
    #[error("cannot truncate from {from}: the log is purged up to {purged}")]
    TruncatesPurged {
        /// The first index to remove.
        from: u64,
        /// The last index that was purged.
        purged: u64,
    },
    /// One entry, vote or log id is larger than the log takes.
    #[error("a record of {bytes} bytes is too large: the limit is {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// [`super::RECORD_BYTES_MAX`]
        max: usize,
    },
}

impl LogError {
    /// Whether the files themselves are at fault (a caller exits with 65, `EX_DATAERR`).
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    pub(super) fn damaged(file: impl Into<PathBuf>, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.into(), offset, what: what.into() }
    }

    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source: Arc::new(source) }
    }
}
