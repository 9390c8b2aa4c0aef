//! A server on a disk that fails when it is told to, by `shim.c`.

use crate::support::{Options, Server, shim};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// The compiled shim and the switch that it looks at.
pub struct Faults {
    dir: TempDir,
}

impl Faults {
    /// A disk without faults.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        shim::compile("tests/disk_errors/shim.c", &dir.path().join("shim.so"));
        Self { dir }
    }

    /// A server with small segments, so that new ones are needed all the time.
    pub fn server(&self) -> Server {
        Options::default()
            .env("LD_PRELOAD", self.dir.path().join("shim.so").display())
            .env("FAULTS", self.switch().display())
            .set("STORAGE__SEGMENT_BYTES", 65_536)
            .set("STORAGE__SNAPSHOT_LOG_BYTES", 1_048_576)
            .set("STORAGE__RESERVE_BYTES", 0)
            // The page answers as fast as it is shown.
            .set("LIMITS__MESSAGES_PER_SECOND", 1_000_000)
            .set("LIMITS__MESSAGES_BURST", 1_000_000)
            .start()
    }

    /// Switches a fault on, for files whose path has `part` in it. See `shim.c` for the words.
    pub fn begin(&self, fault: &str, part: &str) {
        let prepared = self.dir.path().join("prepared");
        fs::write(&prepared, format!("{fault} {part}\n")).expect("written");
        fs::rename(prepared, self.switch()).expect("renamed");
    }

    /// Whether it is on: `sync` and `full` end by themselves.
    pub fn is_on(&self) -> bool {
        self.switch().exists()
    }

    /// Switches it off.
    pub fn end(&self) {
        fs::remove_file(self.switch()).expect("it was on");
    }

    fn switch(&self) -> PathBuf {
        self.dir.path().join("switch")
    }
}
