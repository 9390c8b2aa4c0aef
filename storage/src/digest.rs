//! A 64-bit hash of one record and the digest of a set of them.
//!
//! The digest is the wrapping sum of the hashes: the same whatever the order, and kept up to date by adding what comes
//! and subtracting what goes. It guards against damage, not against someone who forges records.

const PRIME: u64 = 0x9E37_79B9_7F4A_7C15; // 2^64 / golden ratio: odd, bits well spread
const START: u64 = 0xCA61_110F_5EED_0001;

/// The wrapping sum of [`record_hash`] over a set of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Digest(pub(crate) u64);

impl Digest {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(record_hash(key, value));
    }

    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(record_hash(key, value));
    }

    pub(crate) fn merge(&mut self, other: Digest) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// The hash of one record. Its result is part of the file formats: it must never change.
pub(crate) fn record_hash(key: &[u8], value: &[u8]) -> u64 {
    finish(absorb(absorb(START, key), value))
}

fn absorb(mut state: u64, bytes: &[u8]) -> u64 {
    state = mix(state ^ bytes.len() as u64);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut raw = [0; 8];
        raw.copy_from_slice(word);
        state = mix(state ^ u64::from_le_bytes(raw));
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut raw = [0; 8];
        raw[..rest.len()].copy_from_slice(rest);
        state = mix(state ^ u64::from_le_bytes(raw));
    }
    state
}

/// A bijection: two states that differ stay different, so no single changed word can be lost on the way.
fn mix(state: u64) -> u64 {
    let state = state.wrapping_mul(PRIME);
    state ^ (state >> 29)
}

fn finish(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9); // splitmix64's finaliser
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_record_never_changes() {
        assert_eq!(record_hash(b"key", b"value of some length"), 13_219_705_061_372_159_351);
    }

    #[test]
    fn every_flipped_bit_and_every_moved_border_changes_the_hash() {
        let (key, value) = (b"some key".to_vec(), b"and a value which is longer".to_vec());
        let right = record_hash(&key, &value);
        for bit in 0..value.len() * 8 {
            let mut wrong = value.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(record_hash(&key, &wrong), right);
        }
        assert_ne!(record_hash(b"ab", b"c"), record_hash(b"a", b"bc"));
    }

    #[test]
    fn removing_what_was_added_restores_the_digest() {
        let mut digest = Digest::default();
        digest.add(b"a", b"1");
        let before = digest;
        digest.add(b"b", b"2");
        digest.remove(b"b", b"2");
        assert_eq!(digest, before);
    }
}
