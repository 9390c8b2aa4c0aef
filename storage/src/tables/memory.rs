//! The tables in memory: the same rules, no disk. For tests of what is built on [`Read`].

use std::collections::BTreeMap;

use super::reader::{Direction, Read, Visit, bounds};
use super::{TableError, Writes, value};

/// Tables that end with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryTables {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    applied: Option<Vec<u8>>,
}

impl MemoryTables {
    /// Applies `writes`, as [`super::Tables::commit`] does.
    ///
    /// # Errors
    /// A key or value that is too large, before anything is changed.
    pub fn commit(&mut self, writes: &Writes, applied: &[u8]) -> Result<(), TableError> {
        writes.iter().try_for_each(|(key, value)| value::check(key, value.as_deref()))?;
        for (key, value) in writes {
            match value {
                Some(value) => self.records.insert(key.clone(), value.clone()),
                None => self.records.remove(key),
            };
        }
        self.applied = Some(applied.to_vec());
        Ok(())
    }

    /// The position given to the last commit.
    #[must_use]
    pub fn applied(&self) -> Option<Vec<u8>> {
        self.applied.clone()
    }

    /// How many records the table has.
    #[must_use]
    pub fn count(&self, table: u8) -> u64 {
        self.records.keys().filter(|key| key.first() == Some(&table)).count() as u64
    }
}

impl Read for MemoryTables {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.records.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visit<'_>) -> Result<(), TableError> {
        let Some(bounds) = bounds(from, to) else { return Ok(()) };
        let mut records = self.records.range::<[u8], _>(bounds);
        loop {
            let record = match direction {
                Direction::Forward => records.next(),
                Direction::Reverse => records.next_back(),
            };
            match record {
                Some((key, value)) if visit(key, value).is_continue() => {}
                _ => return Ok(()),
            }
        }
    }
}
