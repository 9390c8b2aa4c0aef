//! The bytes of a snapshot file. Pure.
//!
//! ```text
//! file     magic (8 bytes, the last is the format version), meta record, data records, trailer record
//! record   kind u8 · key length u32 LE · value length u32 LE · CRC32 u32 LE over all of the record but itself · key · value
//! meta     kind 1, no key, value: the caller's bytes
//! data     kind 2
//! trailer  kind 3, no key, value: count u64 · digest u64 · CRC32 of the file up to the trailer u32, all LE
//! ```

use crc32fast::Hasher;

pub(super) const MAGIC: &[u8; 8] = b"CARSNAP\x01";
pub(super) const HEADER_BYTES: usize = 13;
/// Of a key or a value, in bytes; a damaged length asks for no more memory.
pub(super) const PART_BYTES_MAX: usize = 1 << 20;

pub(super) const META: u8 = 1;
pub(super) const DATA: u8 = 2;
pub(super) const TRAILER: u8 = 3;

/// A record's first bytes.
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) key: usize,
    pub(super) value: usize,
    crc: u32,
}

impl Header {
    pub(super) fn parse(raw: &[u8; HEADER_BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        Self { kind: raw[0], key: word(1) as usize, value: word(5) as usize, crc: word(9) }
    }

    pub(super) fn fits(&self, key: &[u8], value: &[u8]) -> bool {
        self.crc == checksum(self.kind, key, value)
    }
}

/// The record's bytes, appended to `out`. Lengths were checked against [`PART_BYTES_MAX`].
pub(super) fn encode(out: &mut Vec<u8>, kind: u8, key: &[u8], value: &[u8]) {
    out.push(kind);
    out.extend_from_slice(&(key.len() as u32).to_le_bytes());
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(kind, key, value).to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

fn checksum(kind: u8, key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&(key.len() as u32).to_le_bytes());
    hasher.update(&(value.len() as u32).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

/// What the last record says about the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) count: u64,
    pub(super) digest: u64,
    pub(super) crc: u32,
}

impl Trailer {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = self.count.to_le_bytes().to_vec();
        out.extend_from_slice(&self.digest.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
        out
    }
}
