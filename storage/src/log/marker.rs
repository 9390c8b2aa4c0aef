//! The marker: a file that says "there was a log here, with this identity". Without it an empty directory would be a
//! new node, with a new vote to give.

use std::path::Path;

use super::error::LogError;
use crate::files;

/// The marker's file name.
pub(super) const MARKER: &str = "IDENTITY";
const MAGIC: &[u8; 8] = b"CARLOG\0\x01"; // the last byte is the format version

/// Writes the marker, durably.
pub(super) fn write(dir: &Path, identity: &[u8]) -> Result<(), LogError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(identity);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    let path = dir.join(MARKER);
    files::write_atomically(&path, &bytes).map_err(LogError::io("write", path))
}

/// The identity in the marker; `None` when there is no marker.
pub(super) fn read(dir: &Path) -> Result<Option<Vec<u8>>, LogError> {
    let path = dir.join(MARKER);
    let Some(bytes) = files::read_if_there(&path).map_err(LogError::io("read", &path))? else { return Ok(None) };
    let body = bytes.len().checked_sub(4).map(|end| bytes.split_at(end));
    match body {
        Some((body, crc)) if crc32fast::hash(body).to_le_bytes() == *crc && body.starts_with(MAGIC) => {
            Ok(Some(body[MAGIC.len()..].to_vec()))
        }
        _ => Err(LogError::damaged(path, 0, "the marker's checksum or format version is wrong")),
    }
}
