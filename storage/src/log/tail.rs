//! Where a segment's records end: nothing there, a write that a power loss tore, or damage. Pure.
//!
//! A segment is zero-filled and synced before it is used, one group of records is written at a time, and the next
//! group only after the previous one was synced. So a power loss leaves each 512-byte sector of the last group either
//! as it was (zero behind the last synced byte) or as it was to be. Anything else did not come from a power loss:
//! - a bad record none of whose sectors is blank,
//! - a bad record in front of a whole one that says "everything before me was on the disk".

use super::record::{self, Flaw};

/// The unit that a disk writes completely or not at all.
pub(super) const SECTOR: usize = 512;

/// What stands behind the last whole record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Only zeros.
    Clean,
    /// An unsynced, therefore unacknowledged group of which parts are missing. It is to be wiped.
    Torn,
    /// Something that a power loss cannot have left: where, and what.
    Damaged(usize, String),
}

/// Judges the bytes from `at` on, where [`record::parse`] found `flaw`.
pub(super) fn judge(segment: &[u8], at: usize, salt: u32, flaw: Flaw) -> End {
    if segment.get(at..).unwrap_or_default().iter().all(|byte| *byte == 0) {
        return End::Clean;
    }
    let torn = match flaw {
        Flaw::Blank => blank(&segment[at..sector_end(at).min(segment.len())]),
        Flaw::Checksum { stored } => has_blank_sector(segment, at, at + stored),
        Flaw::Length => false,
        Flaw::Kind(kind) => {
            return End::Damaged(at, format!("record kind {kind} is unknown: written by a newer version?"));
        }
    };
    if !torn {
        return End::Damaged(
            at,
            format!("a record that was written completely is not whole any more ({})", name(flaw)),
        );
    }
    match synced_record_behind(segment, at, salt) {
        None => End::Torn,
        Some(later) => End::Damaged(
            at,
            format!(
                "the record is not whole ({}), but a later one at byte {later} was written after it was synced",
                name(flaw)
            ),
        ),
    }
}

fn name(flaw: Flaw) -> &'static str {
    match flaw {
        Flaw::Blank => "its length is zero",
        Flaw::Length => "its length is not believable",
        Flaw::Checksum { .. } => "its checksum is wrong",
        Flaw::Kind(_) => "its kind is unknown",
    }
}

fn blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn sector_end(at: usize) -> usize {
    (at / SECTOR + 1) * SECTOR
}

/// Whether some sector's part of `from..to` is all zero.
fn has_blank_sector(segment: &[u8], from: usize, to: usize) -> bool {
    let mut start = from;
    while start < to {
        let end = sector_end(start).min(to);
        if blank(&segment[start..end]) {
            return true;
        }
        start = end;
    }
    false
}

/// The first whole record behind `hole` that was written when the hole's bytes were already durable.
fn synced_record_behind(segment: &[u8], hole: usize, salt: u32) -> Option<usize> {
    let mut at = hole + 8;
    while at + record::HEADER_BYTES <= segment.len() {
        if let Ok(found) = record::parse(segment, at, salt) {
            if found.header.synced > hole as u64 {
                return Some(at);
            }
            at += found.stored;
        } else {
            at += 8;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::record::{Header, Kind, encode, parse};
    use super::*;

    const SALT: u32 = 3;

    /// Two groups: one record of 1,000 bytes; then two of 1,000 bytes, written together.
    fn segment() -> (Vec<u8>, [usize; 4]) {
        let mut bytes = Vec::new();
        let mut ends = [0; 4];
        let mut synced = 0;
        for (number, end) in ends.iter_mut().skip(1).enumerate() {
            if number == 1 {
                synced = bytes.len() as u64;
            }
            let header = Header { kind: Kind::Entry, seq: number as u64, index: number as u64, synced };
            encode(&mut bytes, SALT, header, &[0; 1000]);
            *end = bytes.len();
        }
        bytes.resize(8192, 0);
        (bytes, ends)
    }

    fn verdict(bytes: &[u8]) -> (usize, End) {
        let mut at = 0;
        loop {
            match parse(bytes, at, SALT) {
                Ok(found) => at += found.stored,
                Err(flaw) => return (at, judge(bytes, at, SALT, flaw)),
            }
        }
    }

    #[test]
    fn whole_records_and_zeros_are_a_clean_end() {
        let (bytes, ends) = segment();
        assert_eq!(verdict(&bytes), (ends[3], End::Clean));
    }

    #[test]
    fn any_lost_sectors_of_the_last_group_are_a_torn_tail() {
        let (bytes, ends) = segment();
        let sectors: Vec<usize> = (ends[1] / SECTOR..=ends[3] / SECTOR).collect();
        for lost in 1..1_u32 << sectors.len() {
            let mut torn = bytes.clone();
            for (bit, sector) in sectors.iter().enumerate() {
                if lost & (1 << bit) != 0 {
                    let from = (sector * SECTOR).max(ends[1]);
                    torn[from..(sector + 1) * SECTOR].fill(0);
                }
            }
            let (at, end) = verdict(&torn);
            assert!(at >= ends[1] && matches!(end, End::Torn | End::Clean), "{lost:b}: {end:?} at {at}");
        }
    }

    #[test]
    fn a_lost_sector_of_a_synced_group_is_damage() {
        let (mut bytes, ends) = segment();
        bytes[SECTOR..ends[1]].fill(0);
        assert!(matches!(verdict(&bytes), (0, End::Damaged(0, _))));
    }

    #[test]
    fn a_flipped_bit_in_any_record_is_damage() {
        let (bytes, ends) = segment();
        for at in 0..ends[3] {
            let mut wrong = bytes.clone();
            wrong[at] ^= 4;
            assert!(matches!(verdict(&wrong).1, End::Damaged(..)), "byte {at}");
        }
    }
}
