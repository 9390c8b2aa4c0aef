//! The next segment, made ready on a thread of its own while the current one fills up: zero-filling 16 MiB and syncing
//! them takes tens of milliseconds that no append should wait for.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::segment;
use crate::space::Ballast;

/// At most one file in the making.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    ballast: Ballast,
    making: Option<(u64, JoinHandle<io::Result<File>>)>,
}

impl Spare {
    pub(super) fn new(dir: &Path, ballast: Ballast) -> Self {
        Self { path: dir.join("spare.tmp"), ballast, making: None }
    }

    /// Where the file stands until it gets its name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts making a file of `bytes`, unless one is being made.
    pub(super) fn prepare(&mut self, bytes: u64) -> io::Result<()> {
        if self.making.is_none() {
            let (path, ballast) = (self.path.clone(), self.ballast.clone());
            let thread = thread::Builder::new().name("log-spare".into()).spawn(move || make(&path, bytes, &ballast))?;
            self.making = Some((bytes, thread));
        }
        Ok(())
    }

    /// A file of exactly `bytes`, waiting for it when needed.
    pub(super) fn take(&mut self, bytes: u64) -> io::Result<File> {
        if let Some((made, thread)) = self.making.take() {
            let file = thread.join().map_err(|_| io::Error::other("the thread that makes segments panicked"))?;
            if made == bytes {
                return file;
            }
        }
        make(&self.path, bytes, &self.ballast)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some((_, thread)) = self.making.take() {
            let _ = thread.join(); // what it made is a temporary file, removed by the next open
        }
    }
}

/// A full disk gets one more chance with the ballast's space.
fn make(path: &Path, bytes: u64, ballast: &Ballast) -> io::Result<File> {
    match segment::allocate(path, bytes) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull && ballast.free()? => {
            tracing::error!(file = %path.display(), "the disk is full: the ballast file was given up");
            segment::allocate(path, bytes)
        }
        made => made,
    }
}
