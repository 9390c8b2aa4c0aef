//! A small value in a file of its own: replaced as a whole, there completely or not at all, with a checksum.

use std::io;
use std::path::{Path, PathBuf};

use crate::files;

/// Largest note, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// Why a note could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// It does not hold what was written.
    #[error("{} is damaged: its checksum is wrong", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The note at `path`; `None` if there is none.
///
/// # Errors
/// When it is damaged, or the system refuses.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, NoteError> {
    let io_error = |source| NoteError::Io { path: path.to_owned(), source };
    let Some(bytes) = files::read_if_there(path).map_err(io_error)? else { return Ok(None) };
    match bytes.split_last_chunk::<4>() {
        Some((value, crc)) if crc32fast::hash(value).to_le_bytes() == *crc => Ok(Some(value.to_vec())),
        _ => Err(NoteError::Damaged { path: path.to_owned() }),
    }
}

/// Replaces the note at `path`; on return it is safe.
///
/// # Errors
/// When the system refuses; then the earlier note stays.
pub fn write(path: &Path, value: &[u8]) -> Result<(), NoteError> {
    debug_assert!(value.len() <= BYTES_MAX, "a note is small");
    let mut bytes = value.to_vec();
    bytes.extend_from_slice(&crc32fast::hash(value).to_le_bytes());
    files::write_atomically(path, &bytes).map_err(|source| NoteError::Io { path: path.to_owned(), source })
}

/// The checksum of bytes on their way (CRC-32, IEEE).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_whole_or_refused() -> Result<(), NoteError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("note");
        assert_eq!(read(&path)?, None);
        write(&path, b"first")?;
        write(&path, b"second")?;
        assert_eq!(read(&path)?, Some(b"second".to_vec()));
        let right = std::fs::read(&path).expect("there");
        for bit in 0..right.len() * 8 {
            let mut wrong = right.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &wrong).expect("written");
            assert!(matches!(read(&path), Err(NoteError::Damaged { .. })), "bit {bit}");
        }
        Ok(())
    }
}
