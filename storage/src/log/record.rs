//! One record of a segment: its bytes. Pure.
//!
//! ```text
//! 0   len     u32 LE   header and payload, without the padding
//! 4   !len    u32 LE   a damaged length is noticed before it is believed
//! 8   crc     u32 LE   CRC32 over the segment's salt, len and everything behind this field
//! 12  kind    u8, then three zero bytes
//! 16  seq     u64 LE   ascends by one with every record of the log; head and close carry the next record's
//! 24  index   u64 LE   the entry's index, or what the kind says
//! 32  synced  u64 LE   everything in this segment before this offset was on the disk when this record was written
//! 40  payload          padded with VEIL to a multiple of eight
//! ```
//! Records start at multiples of eight. From byte 8 on all is stored XOR [`VEIL`], so that zero bytes, frequent in
//! encoded values, do not look like disk that was never written: [`super::tail`] tells the two apart by that.

use crc32fast::Hasher;

/// Bytes in front of the payload.
pub(super) const HEADER_BYTES: usize = 40;
/// What stored bytes are XORed with. No UTF-8 text holds it four times in a row.
pub(super) const VEIL: u8 = 0xA5;
const PLAIN_BYTES: usize = 8;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first record of a segment: the log's state at this point.
    Head = 1,
    /// An entry; the payload is the caller's.
    Entry = 2,
    /// The vote.
    Vote = 3,
    /// The committed log id.
    Committed = 4,
    /// Entries from `index` on are no more.
    Truncate = 5,
    /// Entries up to `index` are no more; the payload is the log id of the last.
    Purge = 6,
    /// The last record of a segment: another segment follows.
    Close = 7,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Head, Self::Entry, Self::Vote, Self::Committed, Self::Truncate, Self::Purge, Self::Close]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A record's header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) seq: u64,
    pub(super) index: u64,
    pub(super) synced: u64,
}

/// A record that was found whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) header: Header,
    veiled: &'a [u8],
    /// With its padding: where the next record starts.
    pub(super) stored: usize,
}

impl Found<'_> {
    pub(super) fn payload_bytes(&self) -> u32 {
        u32::try_from(self.veiled.len()).unwrap_or(u32::MAX) // its length was read from a u32
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        self.veiled.iter().map(|byte| byte ^ VEIL).collect()
    }
}

/// Why there is no whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Length and complement are zero: nothing was written here.
    Blank,
    /// The length is not the complement of its complement, or leads out of the segment.
    Length,
    /// A record of `stored` bytes stood here, or should have: its checksum or padding is wrong.
    Checksum { stored: usize },
    /// The record is whole, but of a kind that this program doesn't know.
    Kind(u8),
}

/// Size on disk of a record with a payload of `payload` bytes.
pub(super) fn stored_bytes(payload: usize) -> usize {
    (HEADER_BYTES + payload).next_multiple_of(8)
}

/// Appends the record to `out`, which must end at a multiple of eight.
pub(super) fn encode(out: &mut Vec<u8>, salt: u32, header: Header, payload: &[u8]) {
    let start = out.len();
    // Callers refuse payloads over RECORD_BYTES_MAX, far below u32.
    let len = u32::try_from(HEADER_BYTES + payload.len()).unwrap_or(u32::MAX);
    out.reserve(stored_bytes(payload.len()));
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&(!len).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[header.kind as u8, 0, 0, 0]);
    out.extend_from_slice(&header.seq.to_le_bytes());
    out.extend_from_slice(&header.index.to_le_bytes());
    out.extend_from_slice(&header.synced.to_le_bytes());
    out.extend_from_slice(payload);
    out.resize(start + stored_bytes(payload.len()), 0);
    for byte in &mut out[start + PLAIN_BYTES..] {
        *byte ^= VEIL;
    }
    let crc = checksum(salt, &out[start..start + HEADER_BYTES + payload.len()]) ^ u32::from_le_bytes([VEIL; 4]);
    out[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
}

/// The record that starts at `at`.
pub(super) fn parse(segment: &[u8], at: usize, salt: u32) -> Result<Found<'_>, Flaw> {
    let rest = segment.get(at..).unwrap_or_default();
    let (Some(len), Some(complement)) = (word(rest, 0), word(rest, 4)) else { return Err(Flaw::Blank) };
    if len == 0 && complement == 0 {
        return Err(Flaw::Blank);
    }
    let bytes = len as usize;
    let stored = bytes.next_multiple_of(8);
    if len != !complement || bytes < HEADER_BYTES || stored > rest.len() {
        return Err(Flaw::Length);
    }
    let crc = word(rest, 8).unwrap_or_default() ^ u32::from_le_bytes([VEIL; 4]);
    let padded = rest[bytes..stored].iter().all(|byte| *byte == VEIL);
    if crc != checksum(salt, &rest[..bytes]) || !padded {
        return Err(Flaw::Checksum { stored });
    }
    let kind = rest[12] ^ VEIL;
    let Some(kind) = Kind::of(kind) else { return Err(Flaw::Kind(kind)) };
    let header = Header { kind, seq: long(rest, 16), index: long(rest, 24), synced: long(rest, 32) };
    Ok(Found { header, veiled: &rest[HEADER_BYTES..bytes], stored })
}

fn checksum(salt: u32, record: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&record[..PLAIN_BYTES]);
    hasher.update(&record[12..]);
    hasher.finalize()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [VEIL; 8];
    for (to, from) in raw.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *to = from ^ VEIL;
    }
    u64::from_le_bytes(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { kind: Kind::Entry, seq: 7, index: 9, synced: 512 };

    #[test]
    fn a_record_comes_back_as_it_was_and_no_word_of_it_is_zero() {
        for payload in [&b""[..], b"x", &[0; 64], b"exactly8"] {
            let mut bytes = Vec::new();
            encode(&mut bytes, 5, HEADER, payload);
            assert_eq!(bytes.len(), stored_bytes(payload.len()));
            assert!(bytes.chunks(8).all(|word| word.iter().any(|byte| *byte != 0)));
            let found = parse(&bytes, 0, 5).map(|found| (found.header, found.payload(), found.stored));
            assert_eq!(found, Ok((HEADER, payload.to_vec(), bytes.len())));
        }
    }

    #[test]
    fn every_flipped_bit_and_a_foreign_salt_are_noticed() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 5, HEADER, b"some payload");
        assert!(parse(&bytes, 0, 6).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&wrong, 0, 5).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_bytes_of_a_record_never_change() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 5, HEADER, b"abc");
        assert_eq!(bytes[..8], [0x2b, 0, 0, 0, 0xd4, 0xff, 0xff, 0xff]);
        assert_eq!(crc32fast::hash(&bytes), 2_154_758_738, "layout or checksum changed: that is a new format version");
    }
}
