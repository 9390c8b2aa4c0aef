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

/// A file that only takes up space. When the disk is full, its space lets the process finish what it has begun, and a
/// later one begin at all.
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

    /// Holds the space back where there is as much again beside it, and gives it up where less than half as much is left.
    /// `true` when it was given up now.
    ///
    /// # Errors
    /// When the system refuses. The caller may go on without.
    pub fn balance(&self) -> io::Result<bool> {
        let free = free_bytes(&files::parent(&self.path))?;
        let held = self.held();
        if held > 0 && free < self.bytes / 2 {
            return self.free();
        }
        if held != self.bytes && free.saturating_add(held) >= self.bytes.saturating_mul(2) {
            self.fill()?;
        }
        Ok(false)
    }

    /// Free bytes that are nobody's: what the ballast lacks is its own.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn room(&self) -> io::Result<u64> {
        let lacking = self.bytes.saturating_sub(self.held());
        Ok(free_bytes(&files::parent(&self.path))?.saturating_sub(lacking))
    }

    fn held(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    fn fill(&self) -> io::Result<()> {
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
        assert!(!ballast.balance()?, "there is room");
        assert_eq!(std::fs::metadata(dir.path().join("ballast"))?.len(), 1 << 20);
        assert!(ballast.free()?);
        assert!(!ballast.free()?);
        let (free, room) = (free_bytes(dir.path())?, ballast.room()?);
        assert!(room < free, "what was given up is not to be used by everybody: {room} of {free}");
        Ok(())
    }

    #[test]
    fn a_ballast_is_not_filled_without_room_and_given_up_when_there_is_hardly_any() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let free = free_bytes(dir.path())?;
        // Larger than half of what is free: nothing would be left beside it.
        assert!(!Ballast::new(dir.path(), free / 4 * 3).balance()?);
        assert!(!dir.path().join("ballast").exists());
        Ballast::new(dir.path(), 1 << 20).balance()?;
        // For one that should be so large, what is free is hardly anything.
        let large = Ballast::new(dir.path(), free.saturating_mul(4));
        assert!(large.balance()?, "given up");
        assert!(!large.balance()?, "there is none any more");
        Ok(())
    }
}
