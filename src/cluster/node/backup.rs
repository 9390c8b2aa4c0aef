//! A backup of a running node: written to this disk as fast as it goes, under no name, and only then sent away. So a
//! slow reader holds up nobody.

use super::Node;
use crate::cluster::{
    backup::Header,
    snapshot::{BuildError, scan_into},
};
use carillon_storage::{space, tables::ConsistentScan};
use std::fs::File;

/// A backup that waits to be read; gone with its handle.
#[derive(Debug)]
pub struct Backup {
    /// What it is.
    pub header: Header,
    /// All of it, from the beginning.
    pub file: File,
    /// Its size.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It needs the disk for a while.
    #[error(
        "a backup needs {needed} bytes of free disk on the server for a while and there are {free}: free space, or \
         copy the stopped server's directory (`carillon backup --data-dir`)"
    )]
    NoSpace {
        /// The size of the tables and the reserve.
        needed: u64,
        /// What is free.
        free: u64,
    },
    /// The rows can't be read or the file not written; the log of the server says why.
    #[error("the backup failed: the server's log says why")]
    Failed,
}

impl Node {
    /// Copies all rows of all tenants as they stand now: everything that was acknowledged before is in it, nothing of
    /// any later entry is. Applying goes on meanwhile.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn backup(&self, reserve_bytes: u64) -> Result<Backup, BackupError> {
        let free = space::free_bytes(&self.data_dir).unwrap_or(u64::MAX);
        let needed = reserve_bytes.saturating_add(self.tables.disk_bytes().unwrap_or(0));
        if free < needed {
            return Err(BackupError::NoSpace { needed, free });
        }
        let node = self.clone();
        let written = tokio::task::spawn_blocking(move || node.write_backup()).await;
        written.map_err(BuildError::from).and_then(|written| written).map_err(|error| {
            tracing::error!(%error, "a backup failed");
            BackupError::Failed
        })
    }

    fn write_backup(&self) -> Result<Backup, BuildError> {
        let moment = (self.records.history(), self.records.boot().0);
        let begin = |scan: &ConsistentScan| {
            let header = Header::of(scan, moment)?;
            Ok((self.snapshots.create(&header.encode())?, header))
        };
        let (writer, header) = scan_into((&self.tables, &self.written), begin)?;
        let (file, bytes) = writer.finish_unnamed()?;
        Ok(Backup { header, file, bytes })
    }
}
