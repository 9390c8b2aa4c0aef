//! A directory in the making: built beside its final name, which it gets once everything in it is on disk.
//!
//! **Promises.** Under the final name there is the whole directory or nothing, wherever a process or a machine stops.
//! What an interrupted run left is removed by the next one; a directory that holds anything else is never touched.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::files;
use crate::lock::{DirLock, LockError};

const LOCK: &str = "LOCK";

/// Why a directory could not be begun or finished.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// There is something already.
    #[error("{} is not empty and is not overwritten: choose another directory, or move it away", .0.display())]
    NotEmpty(PathBuf),
    /// The place for building holds what no interrupted run leaves.
    #[error("{} holds {found:?}, which no interrupted run left there: move it away", path.display())]
    Foreign {
        /// The place.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// Another run is building.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StagingError {
    let path = path.to_owned();
    move |source| StagingError::Io { doing, path, source }
}

/// A directory in the making. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    path: PathBuf,
    parts: &'static [&'static str],
    lock: Option<DirLock>,
}

impl Staging {
    /// Begins to build what will be at `target`, out of these `parts` (names directly in it), for this user alone.
    ///
    /// # Errors
    /// See [`StagingError`]; nothing was changed.
    pub fn begin(target: &Path, parts: &'static [&'static str]) -> Result<Self, StagingError> {
        if !entries(target)?.is_empty() {
            return Err(StagingError::NotEmpty(target.to_owned()));
        }
        let mut name = target.components().as_path().as_os_str().to_owned();
        name.push(".restoring");
        let path = PathBuf::from(name);
        refuse_foreign(&path, parts)?;
        files::create_dir(&files::parent(&path)).map_err(failed("create", &path))?;
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create", &path)(error)),
            _ => {}
        }
        let lock = Some(DirLock::acquire(&path)?);
        let staging = Self { target: target.to_owned(), path, parts, lock };
        staging.remove_parts().map_err(failed("clear", &staging.path))?;
        Ok(staging)
    }

    /// Where to build.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the directory its name, durably. What is in its parts was synced by whoever made it.
    ///
    /// # Errors
    /// When the name was taken meanwhile, or the system refuses; then nothing is there.
    pub fn publish(mut self) -> Result<(), StagingError> {
        files::remove_if_there(&self.path.join(LOCK)).map_err(failed("clear", &self.path))?;
        files::sync_dir(&self.path).map_err(failed("sync", &self.path))?;
        // Takes the place of nothing but an empty directory.
        fs::rename(&self.path, &self.target).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty => StagingError::NotEmpty(self.target.clone()),
            _ => failed("rename", &self.path)(error),
        })?;
        self.parts = &[];
        self.lock = None;
        let above = files::parent(&self.target);
        files::sync_dir(&above).map_err(failed("sync", &above))
    }

    fn remove_parts(&self) -> io::Result<()> {
        for part in self.parts {
            match fs::remove_dir_all(self.path.join(part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // Else the next run does it.
            let removed = self.remove_parts().and_then(|()| files::remove_if_there(&self.path.join(LOCK)));
            let _ = removed.and_then(|()| fs::remove_dir(&self.path));
        }
    }
}

fn refuse_foreign(path: &Path, parts: &[&str]) -> Result<(), StagingError> {
    let ours = |name: &String| name == LOCK || parts.contains(&name.as_str());
    match entries(path)?.into_iter().find(|name| !ours(name)) {
        Some(found) => Err(StagingError::Foreign { path: path.to_owned(), found }),
        None => Ok(()),
    }
}

/// The names in a directory; none if it is missing.
fn entries(dir: &Path) -> Result<Vec<String>, StagingError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", dir)(error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(failed("list", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: &[&str] = &["a", "b"];

    #[test]
    fn a_directory_is_there_whole_or_not_at_all() -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let target = home.path().join("above/data");
        let staging = Staging::begin(&target, PARTS)?;
        fs::create_dir(staging.path().join("a"))?;
        assert!(matches!(Staging::begin(&target, PARTS), Err(StagingError::Lock(LockError::Held { .. }))));
        drop(staging);
        assert!(entries(&home.path().join("above"))?.is_empty());

        // What a killed run left is no obstacle.
        fs::create_dir_all(home.path().join("above/data.restoring/b"))?;
        let staging = Staging::begin(&target, PARTS)?;
        assert_eq!(entries(staging.path())?, [LOCK]);
        fs::create_dir(staging.path().join("a"))?;
        staging.publish()?;
        assert_eq!(entries(&target)?, ["a"]);
        assert!(matches!(Staging::begin(&target, PARTS), Err(StagingError::NotEmpty(_))));
        Ok(())
    }

    #[test]
    fn what_is_not_ours_is_not_touched() -> Result<(), Box<dyn std::error::Error>> {
        let home = tempfile::tempdir()?;
        let target = home.path().join("data");
        fs::create_dir_all(home.path().join("data.restoring/holiday-pictures"))?;
        assert!(matches!(Staging::begin(&target, PARTS), Err(StagingError::Foreign { .. })));
        assert_eq!(entries(&home.path().join("data.restoring"))?, ["holiday-pictures"]);
        // The name is taken while it is built.
        let target = home.path().join("other");
        let staging = Staging::begin(&target, PARTS)?;
        fs::create_dir_all(target.join("x"))?;
        assert!(matches!(staging.publish(), Err(StagingError::NotEmpty(_))));
        assert_eq!(entries(&target)?, ["x"]);
        Ok(())
    }
}
