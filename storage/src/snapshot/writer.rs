//! Writing snapshot files: record by record, or as the bytes that another node sends.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crc32fast::Hasher;

use super::format::{self, DATA, MAGIC, META, PART_BYTES_MAX, TRAILER, Trailer};
use super::{SnapshotError, SnapshotFile, alone, remove_older};
use crate::digest::Digest;
use crate::files;

const BUFFER_BYTES: usize = 1 << 20;
/// Written between two syncs. One sync of the whole file at its end would keep the log waiting for the disk all that time.
const SYNC_BYTES: usize = 2 << 20;
const META_BYTES_MAX: usize = 64 << 10;

/// Where a file is written and what it will be called.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) temporary: PathBuf,
    pub(super) path: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) kind: Kind,
}

/// What the file is among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of a directory of snapshots, of which the newest stay.
    Numbered,
    /// Among other people's files: it never takes the place of another.
    Alone,
}

/// A file under its temporary name; removed when it is dropped unfinished.
#[derive(Debug)]
struct Pending {
    destination: Destination,
    file: Option<BufWriter<File>>,
    /// Bytes written since the last sync.
    unsynced: usize,
}

impl Pending {
    fn create(destination: Destination) -> Result<Self, SnapshotError> {
        let path = &destination.temporary;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        if destination.kind == Kind::Alone {
            options.create_new(true);
        }
        let file = options.open(path).map_err(SnapshotError::io("create", path))?;
        Ok(Self { file: Some(BufWriter::with_capacity(BUFFER_BYTES, file)), destination, unsynced: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let path = &self.destination.temporary;
        file.write_all(bytes).map_err(SnapshotError::io("write", path))?;
        self.unsynced += bytes.len();
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            file.flush().and_then(|()| file.get_ref().sync_data()).map_err(SnapshotError::io("write", path))?;
        }
        Ok(())
    }

    /// Writes out and syncs; the file keeps its temporary name.
    fn sync(&mut self) -> Result<(), SnapshotError> {
        let path = &self.destination.temporary;
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(SnapshotError::io("write", path))
    }

    /// Gives the synced file its name, durably, and removes what is too old.
    fn publish(&mut self) -> Result<SnapshotFile, SnapshotError> {
        let Destination { temporary, path, dir, kind } = &self.destination;
        match kind {
            Kind::Numbered => fs::rename(temporary, path).map_err(SnapshotError::io("rename", temporary))?,
            Kind::Alone => alone::rename_new(temporary, path)?,
        }
        files::sync_dir(dir).map_err(SnapshotError::io("sync", dir))?;
        if *kind == Kind::Numbered {
            remove_older(dir)?;
        }
        SnapshotFile::open(path)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let _ = files::remove_if_there(&self.destination.temporary); // else the next open removes it
    }
}

/// A snapshot that is being written. Dropping it unfinished leaves nothing.
#[derive(Debug)]
pub struct SnapshotWriter {
    pending: Pending,
    record: Vec<u8>,
    checksum: Hasher,
    count: u64,
    digest: Digest,
}

impl SnapshotWriter {
    pub(super) fn create(destination: Destination, meta: &[u8]) -> Result<Self, SnapshotError> {
        within(meta.len(), META_BYTES_MAX)?;
        let pending = Pending::create(destination)?;
        let mut writer =
            Self { pending, record: Vec::new(), checksum: Hasher::new(), count: 0, digest: Digest::default() };
        writer.record.extend_from_slice(MAGIC);
        writer.put(META, &[], meta)?;
        Ok(writer)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// A key or value over 1 MiB; when the file cannot be written.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), SnapshotError> {
        within(key.len().max(value.len()), PART_BYTES_MAX)?;
        self.count += 1;
        self.digest.add(key, value);
        self.put(DATA, key, value)
    }

    /// Ends the file, makes it durable, and removes snapshots beyond the two newest.
    ///
    /// # Errors
    /// When the file cannot be written; then there is no new snapshot.
    pub fn finish(mut self) -> Result<SnapshotFile, SnapshotError> {
        self.put_trailer()?;
        self.pending.sync()?;
        self.pending.publish()
    }

    /// Ends the file without giving it a name: it is gone with the handle, however the process ends. For sending it
    /// away; nothing is synced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish_unnamed(mut self) -> Result<(File, u64), SnapshotError> {
        self.put_trailer()?;
        let path = self.pending.destination.temporary.clone();
        let Some(file) = self.pending.file.take() else {
            return Err(SnapshotError::io("write", &path)(std::io::ErrorKind::BrokenPipe.into()));
        };
        let mut file = file.into_inner().map_err(|error| SnapshotError::io("write", &path)(error.into_error()))?;
        let bytes = file.stream_position().and_then(|bytes| file.rewind().map(|()| bytes));
        Ok((file, bytes.map_err(SnapshotError::io("read", &path))?))
    }

    fn put_trailer(&mut self) -> Result<(), SnapshotError> {
        let trailer = Trailer { count: self.count, digest: self.digest.0, crc: self.checksum.clone().finalize() };
        self.put(TRAILER, &[], &trailer.to_bytes())
    }

    fn put(&mut self, kind: u8, key: &[u8], value: &[u8]) -> Result<(), SnapshotError> {
        format::encode(&mut self.record, kind, key, value);
        self.checksum.update(&self.record);
        self.pending.write(&self.record)?;
        self.record.clear();
        Ok(())
    }
}

/// A snapshot that another node sends. Dropping it unfinished leaves nothing.
#[derive(Debug)]
pub struct SnapshotReceiver {
    pending: Pending,
    bytes: u64,
}

impl SnapshotReceiver {
    pub(super) fn create(destination: Destination) -> Result<Self, SnapshotError> {
        Ok(Self { pending: Pending::create(destination)?, bytes: 0 })
    }

    /// Bytes received so far: the offset that is expected next.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the file's next bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.bytes += bytes.len() as u64;
        self.pending.write(bytes)
    }

    /// Checks every byte, and only then gives the file its name.
    ///
    /// # Errors
    /// When the file is not a whole snapshot; when it cannot be written.
    pub fn finish(mut self) -> Result<SnapshotFile, SnapshotError> {
        self.pending.sync()?;
        SnapshotFile::open(&self.pending.destination.temporary)?.verify()?;
        self.pending.publish()
    }
}

fn within(bytes: usize, max: usize) -> Result<(), SnapshotError> {
    if bytes > max { Err(SnapshotError::TooLarge { bytes, max }) } else { Ok(()) }
}
