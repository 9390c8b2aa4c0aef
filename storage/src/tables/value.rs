//! A stored value: CRC32 over key and value, then the value. Pure.

use crc32fast::Hasher;

use super::{KEY_BYTES_MAX, TABLE_RESERVED, TableError, VALUE_BYTES_MAX};

const CRC_BYTES: usize = 4;

/// What is stored for `value` under `key`.
pub(super) fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(CRC_BYTES + value.len());
    out.extend_from_slice(&checksum(key, value).to_le_bytes());
    out.extend_from_slice(value);
    out
}

/// The value in what is stored under `key`, or what is wrong with it.
pub(super) fn open<'a>(key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], String> {
    match sealed.split_at_checked(CRC_BYTES) {
        Some((crc, value)) if *crc == checksum(key, value).to_le_bytes() => Ok(value),
        _ => Err(format!("the checksum of a record in table {} is wrong", key.first().copied().unwrap_or_default())),
    }
}

/// Whether `key` and `value` may be stored.
pub(super) fn check(key: &[u8], value: Option<&[u8]>) -> Result<(), TableError> {
    let table = key.first().copied();
    if table.is_none_or(|table| table == TABLE_RESERVED) || key.len() > KEY_BYTES_MAX {
        return Err(TableError::Key { bytes: key.len(), table });
    }
    match value.map(<[u8]>::len) {
        Some(bytes) if bytes > VALUE_BYTES_MAX => Err(TableError::ValueTooLarge(bytes)),
        _ => Ok(()),
    }
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}
