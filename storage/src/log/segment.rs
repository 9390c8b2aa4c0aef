//! A segment: one preallocated file of records, its name, its head and its end.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ledger::Ledger;
use super::record::{self, Header, Kind};
use crate::{codec, files};

/// Version of a segment's format, in its head.
pub(super) const FORMAT: u8 = 1;
/// The head itself is checked without salt: it is where the salt stands.
pub(super) const HEAD_SALT: u32 = 0;
const ZEROS: usize = 1 << 20;

/// The payload of a segment's first record: with it, no older segment is needed to know the log's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) number: u64,
    /// Size of the whole file.
    pub(super) bytes: u64,
    /// Mixed into every checksum, so that no record of another file can pass for one of this.
    pub(super) salt: u32,
    pub(super) ledger: Ledger,
}

impl Head {
    pub(super) fn new(number: u64, bytes: u64, ledger: Ledger) -> Self {
        // RandomState is seeded by the system: random enough to tell files apart.
        let salt = RandomState::new().build_hasher().finish() as u32;
        Self { number, bytes, salt, ledger }
    }

    /// The head's record.
    pub(super) fn encode(&self, seq: u64) -> io::Result<Vec<u8>> {
        let payload = codec::encode(FORMAT, self).map_err(io::Error::other)?;
        let mut out = Vec::new();
        record::encode(&mut out, HEAD_SALT, Header { kind: Kind::Head, seq, index: self.number, synced: 0 }, &payload);
        Ok(out)
    }

    /// The file name: its number, and the first index that it can hold, for people.
    pub(super) fn file_name(&self) -> String {
        format!("{:010}-{:020}.seg", self.number, self.ledger.next)
    }
}

/// The segments in `dir` by number, ascending.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number =
            name.strip_suffix(".seg").and_then(|stem| stem.split('-').next()).and_then(|text| text.parse().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// A new file of `bytes` zeros, written out and synced: later writes into it change no metadata, so that `fdatasync`
/// has nothing but their bytes to write.
pub(super) fn allocate(path: &Path, bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    fill_with_zeros(&file, 0, bytes)?;
    file.sync_all()?;
    Ok(file)
}

/// Zeros from `from` to `to`; not synced.
pub(super) fn fill_with_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).unwrap_or(ZEROS).min(ZEROS);
        file.write_all_at(&zeros[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

/// Puts the head into an allocated file and gives it its name, durably. Returns the path and the offset behind the head.
pub(super) fn publish(dir: &Path, temporary: &Path, file: &File, head: &Head, seq: u64) -> io::Result<(PathBuf, u64)> {
    let bytes = head.encode(seq)?;
    file.write_all_at(&bytes, 0)?;
    file.sync_data()?;
    let path = dir.join(head.file_name());
    fs::rename(temporary, &path)?;
    files::sync_dir(dir)?;
    Ok((path, bytes.len() as u64))
}
