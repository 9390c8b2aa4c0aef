//! Rows as a command sees them: what is stored, and over it what this batch has written so far.

use super::{RecordsError, keys::Key};
use carillon_storage::{
    codec,
    tables::{Direction, Read, TableError, VALUE_BYTES_MAX, Writes},
};
use serde::{Serialize, de::DeserializeOwned};
use std::ops::ControlFlow;

/// Version byte of every row of this release.
const ROW_VERSION: u8 = 1;

/// A row type and what to call it in an error.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// For people.
    const NAME: &'static str;
}

/// Decodes a row.
pub(crate) fn decode<R: Row>(bytes: &[u8]) -> Result<R, RecordsError> {
    codec::decode(ROW_VERSION, bytes).map_err(|source| RecordsError::Row { row: R::NAME, source })
}

/// Encodes a row.
pub(crate) fn encode<R: Row>(row: &R) -> Result<Vec<u8>, RecordsError> {
    codec::encode(ROW_VERSION, row).map_err(|source| RecordsError::Row { row: R::NAME, source })
}

/// Reads one row.
pub(crate) fn get<R: Row>(read: &impl Read, key: &Key) -> Result<Option<R>, RecordsError> {
    read.get(key.as_bytes())?.map(|bytes| decode(&bytes)).transpose()
}

/// The first rows of a range, at most `limit`.
pub(crate) fn first_rows(read: &impl Read, all: &Key, limit: usize) -> Result<Vec<(Key, Vec<u8>)>, RecordsError> {
    rows_after(read, (all, None), limit)
}

/// The first rows of a range behind a key of it, at most `limit`.
pub(crate) fn rows_after(
    read: &impl Read,
    (all, after): (&Key, Option<&Key>),
    limit: usize,
) -> Result<Vec<(Key, Vec<u8>)>, RecordsError> {
    let mut rows = Vec::new();
    if limit > 0 {
        let from = after.unwrap_or(all);
        read.scan(from.as_bytes(), all.end().as_bytes(), Direction::Forward, &mut |key, value| {
            if after.is_none_or(|after| after.as_bytes() != key) {
                rows.push((Key::stored(key), value.to_vec()));
            }
            if rows.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(rows)
}

/// A value as it is written; `None` removes the key.
type Value = Option<Vec<u8>>;

/// An overlay of writes over stored rows.
pub(crate) struct Txn<'a, S: Read> {
    stored: &'a S,
    writes: Writes,
    /// What this command's keys were in `writes` before it wrote them, in the order of its writes.
    undo: Vec<(Vec<u8>, Option<Value>)>,
}

impl<'a, S: Read> Txn<'a, S> {
    /// Nothing written yet.
    pub(crate) fn new(stored: &'a S) -> Self {
        Self { stored, writes: Writes::new(), undo: Vec::new() }
    }

    /// The row, or what a user without one has.
    pub(crate) fn get_or_default<R: Row + Default>(&self, key: &Key) -> Result<R, RecordsError> {
        Ok(get(self, key)?.unwrap_or_default())
    }

    /// Writes a row.
    pub(crate) fn put<R: Row>(&mut self, key: Key, row: &R) -> Result<(), RecordsError> {
        let bytes = encode(row)?;
        if bytes.len() > VALUE_BYTES_MAX {
            return Err(RecordsError::TooLarge { row: R::NAME, bytes: bytes.len() });
        }
        self.write(key, Some(bytes));
        Ok(())
    }

    /// Removes a row.
    pub(crate) fn remove(&mut self, key: Key) {
        self.write(key, None);
    }

    fn write(&mut self, key: Key, value: Option<Vec<u8>>) {
        let key = key.into_bytes();
        let before = self.writes.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    /// From here on [`Self::roll_back`] takes back.
    pub(crate) fn begin_command(&mut self) {
        self.undo.clear();
    }

    /// Takes back all that was written since [`Self::begin_command`].
    pub(crate) fn roll_back(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(value) => self.writes.insert(key, value),
                None => self.writes.remove(&key),
            };
        }
    }

    /// Everything written.
    pub(crate) fn into_writes(self) -> Writes {
        self.writes
    }
}

impl<S: Read> Read for Txn<'_, S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.stored.get(key),
        }
    }

    /// Merges stored rows with written ones, in order.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        dir: Direction,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), TableError> {
        if from >= to {
            return Ok(());
        }
        let written = self.writes.range(from.to_vec()..to.to_vec());
        match dir {
            Direction::Forward => merge(self.stored, (from, to), dir, &mut written.peekable(), visit),
            Direction::Reverse => merge(self.stored, (from, to), dir, &mut written.rev().peekable(), visit),
        }
    }
}

/// A written row, or that it was removed.
type Written<'w> = (&'w Vec<u8>, &'w Option<Vec<u8>>);

#[expect(clippy::type_complexity, reason = "the shape of `Read::scan`")]
fn merge<'w>(
    stored: &impl Read,
    (from, to): (&[u8], &[u8]),
    dir: Direction,
    written: &mut std::iter::Peekable<impl Iterator<Item = Written<'w>>>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
) -> Result<(), TableError> {
    let forward = matches!(dir, Direction::Forward);
    let mut flow = ControlFlow::Continue(());
    stored.scan(from, to, dir, &mut |key, value| {
        let comes_first = |w: &[u8]| if forward { w < key } else { w > key };
        while let Some((k, v)) = written.next_if(|(k, _)| comes_first(k)) {
            if let Some(v) = v {
                flow = visit(k, v);
                if flow.is_break() {
                    return flow;
                }
            }
        }
        flow = match written.next_if(|(k, _)| k.as_slice() == key) {
            Some((k, Some(v))) => visit(k, v),
            Some((_, None)) => ControlFlow::Continue(()),
            None => visit(key, value),
        };
        flow
    })?;
    if flow.is_continue() {
        for (k, v) in written {
            if let Some(v) = v
                && visit(k, v).is_break()
            {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use carillon_storage::tables::MemoryTables;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is stored and written, a scan through the overlay sees what a commit would leave.
        #[test]
        fn a_scan_sees_what_a_commit_would_leave(
            stored in proptest::collection::btree_map(0u8..40, any::<u8>(), 0..20),
            written in proptest::collection::btree_map(0u8..40, proptest::option::of(any::<u8>()), 0..20),
            from in 0u8..40, to in 1u8..40, limit in 1usize..50, forward in any::<bool>(),
        ) {
            let mut tables = MemoryTables::default();
            let initial = stored.iter().map(|(k, v)| (vec![*k], Some(vec![*v]))).collect();
            tables.commit(&initial, b"1").expect("memory");
            let writes: Writes = written.iter().map(|(k, v)| (vec![*k], v.map(|v| vec![v]))).collect();
            let collect = |read: &dyn Read| {
                let mut seen = Vec::new();
                let dir = if forward { Direction::Forward } else { Direction::Reverse };
                read.scan(&[from], &[to], dir, &mut |k, v| {
                    seen.push((k.to_vec(), v.to_vec()));
                    if seen.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                }).expect("memory");
                seen
            };
            let through = collect(&Txn { stored: &tables, writes: writes.clone(), undo: Vec::new() });
            let mut after = tables.clone();
            after.commit(&writes, b"2").expect("memory");
            prop_assert_eq!(through, collect(&after));
        }
    }
}
