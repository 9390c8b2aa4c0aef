//! A node's own file system, in memory, so that it can be full; unmounted when dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Room for snapshots beside the tables, so that logs are cut; memory is taken as it is used.
const MEBIBYTES: usize = 256;

#[derive(Debug)]
pub struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this process may not mount.
    pub fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let size = format!("size={MEBIBYTES}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }

    pub fn data_dir(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Takes all the room there is, but for so much.
    pub fn fill(&self, leave: u64) {
        let room = rustix::fs::statvfs(self.0.path()).expect("a file system");
        let bytes = (room.f_bavail * room.f_frsize).saturating_sub(leave);
        // The node takes room meanwhile: then there is none left at all.
        let _ = fs::write(self.filling(), vec![0; usize::try_from(bytes).expect("small")]);
    }

    pub fn empty(&self) {
        // It is not there if the disk was never filled.
        let _ = fs::remove_file(self.filling());
    }

    fn filling(&self) -> PathBuf {
        self.0.path().join("filling")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}
