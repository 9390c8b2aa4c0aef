//! Reading everything as it was at one moment while commits go on, chunk by chunk.
//!
//! A commit that changes a key which the scan hasn't reached yet first keeps what was there: its before-image. A chunk
//! puts before-images in the place of what the store holds now. A commit waits for one chunk at most.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::meta::{META_KEY, Meta};
use super::{TableError, Tables, value};

/// Records and their keys and values.
pub type Chunk = Vec<(Vec<u8>, Vec<u8>)>;

/// What one running scan must still see as it was.
#[derive(Debug)]
pub(super) struct Images {
    /// The last key that the scan has delivered.
    reached: Option<Vec<u8>>,
    /// The first value since the scan began of every changed key behind `reached`; `None`: there was no such key.
    before: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    bytes_max: usize,
    aborted: bool,
}

impl Images {
    /// `key` is about to change; it has the value `old`.
    pub(super) fn keep(&mut self, key: &[u8], old: Option<Vec<u8>>) {
        let passed = self.reached.as_deref().is_some_and(|reached| key <= reached);
        if passed || self.aborted || self.before.contains_key(key) {
            return;
        }
        self.bytes += size(key, old.as_deref());
        self.before.insert(key.to_vec(), old);
        if self.bytes > self.bytes_max {
            self.abort();
        }
    }

    /// The scan can not be continued.
    pub(super) fn abort(&mut self) {
        self.aborted = true;
        self.before.clear();
    }

    /// Takes out the images up to `upto` (all when `None`).
    fn take(&mut self, upto: Option<&[u8]>) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let later = match upto {
            Some(upto) => {
                let mut behind = upto.to_vec();
                behind.push(0); // the first key after `upto`
                self.before.split_off(&behind)
            }
            None => BTreeMap::new(),
        };
        let taken = std::mem::replace(&mut self.before, later);
        self.bytes -= taken.iter().map(|(key, old)| size(key, old.as_deref())).sum::<usize>();
        taken
    }
}

fn size(key: &[u8], old: Option<&[u8]>) -> usize {
    const OVERHEAD: usize = 96; // a tree entry and two vectors
    key.len() + old.map_or(0, <[u8]>::len) + OVERHEAD
}

/// A scan of everything as it was when it began. Its end is checked against the store's digest of that moment.
#[derive(Debug)]
pub struct ConsistentScan {
    tables: Tables,
    /// What the store held when the scan began.
    meta: Meta,
    delivered: Meta,
    ended: bool,
}

impl ConsistentScan {
    pub(super) fn begin(tables: &Tables) -> Result<Self, TableError> {
        let mut state = tables.inner.state.write();
        if state.images.is_some() {
            return Err(TableError::ScanRunning);
        }
        let bytes_max = tables.inner.options.scan_bytes;
        state.images = Some(Images { reached: None, before: BTreeMap::new(), bytes: 0, bytes_max, aborted: false });
        let meta = state.meta.clone();
        drop(state);
        Ok(Self { tables: tables.clone(), meta, delivered: Meta::default(), ended: false })
    }

    /// The applied position of the moment that the scan shows.
    #[must_use]
    pub fn applied(&self) -> Option<&[u8]> {
        self.meta.applied.as_deref()
    }

    /// How many records each table had at that moment; tables without any are left out.
    #[must_use]
    pub fn counts(&self) -> &BTreeMap<u8, u64> {
        self.meta.counts()
    }

    /// The next records in ascending order of keys, about `records` of them; `None` at the end. Commits wait meanwhile.
    ///
    /// # Errors
    /// [`TableError::ScanAborted`] when commits changed too much: begin a new scan. A damaged store.
    pub fn next_chunk(&mut self, records: usize) -> Result<Option<Chunk>, TableError> {
        if self.ended {
            return Ok(None);
        }
        let (current, images, ended) = self.read(records.max(1))?;
        self.ended = ended;
        let chunk = merge(current, images);
        for (key, value) in &chunk {
            self.delivered.replace(key, None, Some(value));
        }
        if self.ended
            && let Some(what) = self.meta.difference(&self.delivered)
        {
            return Err(self.tables.damaged(&what));
        }
        Ok((!chunk.is_empty() || !self.ended).then_some(chunk))
    }

    /// What the store holds now, and the images to put in its place; the last says whether that was all.
    #[expect(clippy::type_complexity, reason = "one caller takes it apart at once")]
    fn read(&self, records: usize) -> Result<(Chunk, BTreeMap<Vec<u8>, Option<Vec<u8>>>, bool), TableError> {
        let mut state = self.tables.inner.state.write();
        let state = &mut *state;
        let Some(images) = &mut state.images else { return Ok((Vec::new(), BTreeMap::new(), true)) };
        if images.aborted {
            return Err(TableError::ScanAborted(images.bytes_max));
        }
        let from = images.reached.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let range = (from, Bound::Excluded(META_KEY.to_vec()));
        let mut current = Chunk::new();
        for record in state.tree.range::<Vec<u8>, _>(range).take(records) {
            let (key, sealed) = record.map_err(|error| self.tables.sled_error(&error))?;
            let value = value::open(&key, &sealed).map_err(|what| self.tables.damaged(&what))?;
            current.push((key.to_vec(), value.to_vec()));
        }
        let ended = current.len() < records;
        let reached = current.last().filter(|_| !ended).map(|(key, _)| key.clone());
        let taken = images.take(reached.as_deref());
        match reached {
            Some(reached) => images.reached = Some(reached),
            None => state.images = None,
        }
        Ok((current, taken, ended))
    }
}

/// The records as they were: images replace what is there now.
fn merge(current: Chunk, images: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Chunk {
    if images.is_empty() {
        return current;
    }
    let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
        current.into_iter().map(|(key, value)| (key, Some(value))).collect();
    merged.extend(images);
    merged.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))).collect()
}

impl Drop for ConsistentScan {
    fn drop(&mut self) {
        if !self.ended {
            self.tables.inner.state.write().images = None;
        }
    }
}
