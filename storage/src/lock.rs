//! One process per data directory: an exclusive lock that ends with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::files;

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process (or another part of this one) has it open.
    #[error("{} is in use by process {holder}: stop that one first, or give this one a directory of its own", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process id that the holder left in it, or `unknown`.
        holder: String,
    },
    /// The lock file could not be made or read.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Holds the directory until it is dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Creates `dir` when it is missing, and locks it.
    ///
    /// # Errors
    /// [`LockError::Held`] when somebody else has it.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        let path = dir.join("LOCK");
        let io_error = |source| LockError::Io { path: path.clone(), source };
        files::create_dir(dir).map_err(io_error)?;
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io_error)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                let holder = if known { holder.trim().to_owned() } else { "unknown".to_owned() };
                return Err(LockError::Held { path, holder });
            }
            Err(error) => return Err(io_error(error.into())),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io_error)?;
        writeln!(file, "{}", std::process::id()).map_err(io_error)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_it_and_gets_it_once_the_first_is_gone() -> Result<(), Box<dyn std::error::Error>>
    {
        let dir = tempfile::tempdir()?;
        let first = DirLock::acquire(dir.path())?;
        let refused = DirLock::acquire(dir.path()).map(|_| ()).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|text| text.contains(&std::process::id().to_string())));
        drop(first);
        DirLock::acquire(dir.path())?;
        Ok(())
    }
}
