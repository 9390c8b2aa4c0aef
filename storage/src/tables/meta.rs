//! The meta record: what the store should hold. Written with every commit, compared at every open. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TABLE_RESERVED;
use crate::codec::{self, CodecError};
use crate::digest::Digest;

const FORMAT: u8 = 1;
/// Where the meta record stands, behind all tables.
pub(super) const META_KEY: &[u8] = &[TABLE_RESERVED, b'm'];

/// The sum of what is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) applied: Option<Vec<u8>>,
    /// Records by table; tables without any are left out.
    counts: BTreeMap<u8, u64>,
    pub(super) digest: Digest,
}

impl Meta {
    pub(super) fn counts(&self) -> &BTreeMap<u8, u64> {
        &self.counts
    }

    /// `key` had the value `old` and has `new` from now on.
    pub(super) fn replace(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        let table = key.first().copied().unwrap_or_default();
        if let Some(old) = old {
            self.digest.remove(key, old);
            let count = self.counts.entry(table).or_default();
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&table);
            }
        }
        if let Some(new) = new {
            self.digest.add(key, new);
            *self.counts.entry(table).or_default() += 1;
        }
    }

    /// Adds the sums of another part of the store.
    pub(super) fn merge(&mut self, other: &Self) {
        self.digest.merge(other.digest);
        for (table, count) in &other.counts {
            *self.counts.entry(*table).or_default() += count;
        }
    }

    pub(super) fn count(&self, table: u8) -> u64 {
        self.counts.get(&table).copied().unwrap_or_default()
    }

    /// What differs from the sums that were `found`, for a person.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        for table in self.counts.keys().chain(found.counts.keys()) {
            let (expected, found) = (self.count(*table), found.count(*table));
            if expected != found {
                return Some(format!("table {table} has {found} records, it should have {expected}"));
            }
        }
        (self.digest != found.digest).then(|| "all records are there, but some are not the newest".to_owned())
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(FORMAT, self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(FORMAT, bytes)
    }
}
