//! Free space: how much there is, and a ballast file that gives some back when there is none.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::files;

/// Bytes that this process may still write to the file system of `path`.
///
/// # Errors
/// When the path doesn't exist or the system cannot say.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A file that only takes up space. When the disk is full, its space lets the process finish what it has begun.
#[derive(Clone, Debug)]
pub struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// A ballast of `bytes` in `dir`; nothing is written yet.
    #[must_use]
    pub fn new(dir: &Path, bytes: u64) -> Self {
        Self { path: dir.join("ballast"), bytes }
    }

    /// Makes the file as large as it should be.
    ///
    /// # Errors
    /// When there is no space for it. The caller may go on without.
    pub fn fill(&self) -> io::Result<()> {
        if self.bytes == 0 {
            return files::remove_if_there(&self.path);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
        if file.metadata()?.len() > self.bytes {
            file.set_len(self.bytes)?;
        }
        Ok(fallocate(&file, FallocateFlags::empty(), 0, self.bytes)?)
    }

    /// Gives the space back. `false` when there was none to give.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn free(&self) -> io::Result<bool> {
        let there = self.path.exists();
        files::remove_if_there(&self.path)?;
        Ok(there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ballast_takes_its_bytes_and_gives_them_back_once() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let ballast = Ballast::new(dir.path(), 1 << 20);
        ballast.fill()?;
        assert_eq!(std::fs::metadata(dir.path().join("ballast"))?.len(), 1 << 20);
        assert!(ballast.free()?);
        assert!(!ballast.free()?);
        assert!(free_bytes(dir.path())? > 0);
        Ok(())
    }
}
