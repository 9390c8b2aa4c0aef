//! Snapshots: a whole state as one file of records.
//!
//! **Promises.** A file under its final name is complete: it is written under a temporary one, synced, renamed, and the
//! directory synced. Every record has a checksum; the trailer has their number, their digest and a checksum over the
//! whole file, so any changed, missing or added byte is noticed. The two newest are kept.
//!
//! **Not here.** What the records mean, and whether the log reaches back to a snapshot.

mod alone;
mod format;
mod reader;
mod writer;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::files;
pub use alone::{create_at, receive_at};
pub use reader::{Pair, Records, SnapshotFile};
pub use writer::{SnapshotReceiver, SnapshotWriter};

/// How many snapshots are kept.
pub const KEPT: usize = 2;

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file does not hold what was written.
    #[error("the snapshot {} is damaged at byte {offset}: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// The system refused an operation.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is of a format that this version does not know.
    #[error("{} was written by a newer version (its format is {found}, this one knows 1): use that version", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u8,
    },
    /// There is a file of that name already.
    #[error("{} is there already and is not overwritten: choose another name, or move it away", .0.display())]
    Exists(PathBuf),
    /// A key, value or meta is too large.
    #[error("a snapshot record of {bytes} bytes is too large: the limit is {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

/// Removes a file that is needed no more; that it is gone already is fine.
///
/// # Errors
/// When the system refuses.
pub fn remove(file: &Path) -> Result<(), SnapshotError> {
    files::remove_if_there(file).map_err(SnapshotError::io("remove", file))
}

impl SnapshotError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// The directory of snapshots. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct Snapshots {
    dir: PathBuf,
    /// The number that the next file gets.
    next: Arc<Mutex<u64>>,
    /// Files that were left out, each named in the logs once: the list is asked for every second.
    left_out: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Snapshots {
    /// Opens the directory, creating it when it is missing, and removes what was never finished.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn open(dir: &Path) -> Result<Self, SnapshotError> {
        files::create_dir(dir).map_err(SnapshotError::io("create", dir))?;
        files::remove_temporaries(dir).map_err(SnapshotError::io("clean up", dir))?;
        let newest = numbered(dir)?.first().map_or(0, |(number, _)| *number);
        Ok(Self { dir: dir.to_owned(), next: Arc::new(Mutex::new(newest + 1)), left_out: Arc::default() })
    }

    /// Where they are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Begins a snapshot; `meta` is the caller's and comes back in [`SnapshotFile::meta`].
    ///
    /// # Errors
    /// When the file cannot be created, `meta` over 64 KiB.
    pub fn create(&self, meta: &[u8]) -> Result<SnapshotWriter, SnapshotError> {
        SnapshotWriter::create(self.reserve(), meta)
    }

    /// Begins to receive a snapshot file from another node, byte by byte as it stands there.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn receive(&self) -> Result<SnapshotReceiver, SnapshotError> {
        SnapshotReceiver::create(self.reserve())
    }

    /// The snapshots, newest first. A file whose beginning cannot be read is left out (and logged).
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<SnapshotFile>, SnapshotError> {
        let mut found = Vec::new();
        for (_, path) in numbered(&self.dir)? {
            match SnapshotFile::open(&path) {
                Ok(file) => found.push(file),
                Err(error) => {
                    if self.left_out.lock().insert(path) {
                        tracing::warn!(%error, "leaving out a snapshot");
                    }
                }
            }
        }
        Ok(found)
    }

    /// Takes a snapshot that was found damaged out of the list, for whoever wants to look at it: it keeps its name with
    /// `.damaged` behind it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_aside(&self, file: &SnapshotFile) -> Result<(), SnapshotError> {
        let aside = file.path.with_extension("snap.damaged");
        fs::rename(&file.path, aside).map_err(SnapshotError::io("rename", &file.path))?;
        files::sync_dir(&self.dir).map_err(SnapshotError::io("sync", &self.dir))
    }

    /// The newest snapshot that is whole, every byte checked.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn newest_verified(&self) -> Result<Option<SnapshotFile>, SnapshotError> {
        for file in self.list()? {
            match file.verify() {
                Ok(()) => return Ok(Some(file)),
                Err(error) => tracing::warn!(%error, "leaving out a snapshot"),
            }
        }
        Ok(None)
    }

    fn reserve(&self) -> writer::Destination {
        let mut next = self.next.lock();
        let number = *next;
        *next += 1;
        writer::Destination {
            temporary: self.dir.join(format!("{number:020}.tmp")),
            path: self.dir.join(file_name(number)),
            dir: self.dir.clone(),
            kind: writer::Kind::Numbered,
        }
    }
}

fn file_name(number: u64) -> String {
    format!("{number:020}.snap")
}

/// The snapshot files by number, newest first.
fn numbered(dir: &Path) -> Result<Vec<(u64, PathBuf)>, SnapshotError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(SnapshotError::io("list", dir))? {
        let path = entry.map_err(SnapshotError::io("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(number) = name.strip_suffix(".snap").and_then(|number| number.parse().ok()) {
            found.push((number, path));
        }
    }
    found.sort_by(|one, other| other.cmp(one));
    Ok(found)
}

/// Removes all but the newest [`KEPT`]. A reader that has one open can finish.
fn remove_older(dir: &Path) -> Result<(), SnapshotError> {
    let older: Vec<_> = numbered(dir)?.into_iter().skip(KEPT).collect();
    for (_, path) in &older {
        files::remove_if_there(path).map_err(SnapshotError::io("remove", path))?;
    }
    if older.is_empty() { Ok(()) } else { files::sync_dir(dir).map_err(SnapshotError::io("sync", dir)) }
}

#[cfg(test)]
mod tests;
