//! The applied state: keys and values on sled, in one tree, the first key byte being the table. A snapshot is taken in
//! beside it, in another tree that then takes its place.
//!
//! **Promises.** A [`Tables::commit`] is there completely or not at all, together with the applied position.
//! [`Tables::open`] reads everything and notices every lost, changed or resurrected record: each has a CRC over key and
//! value, and the meta record holds the count of every table and a digest of all records, kept up to date by each commit.
//! A damaged store is never repaired: it is wiped and rebuilt ([`restore_from`]), then the log replayed.
//!
//! **Not here.** Durability of each commit: after a crash the store may be an older state of itself, which
//! [`Tables::applied`] tells. What the tables mean.

mod check;
mod error;
mod files_of;
mod memory;
mod meta;
mod reader;
mod restore;
mod scan;
mod trees;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::files;
pub use error::TableError;
pub use files_of::wipe;
pub use memory::MemoryTables;
use meta::{META_KEY, Meta};
pub use reader::{Direction, Read, Reader, Visit};
pub use restore::restore_from;
use scan::Images;
pub use scan::{Chunk, ConsistentScan};

/// The largest value, in bytes (sled leaks larger ones, from 128 KiB).
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// The largest key, in bytes.
pub const KEY_BYTES_MAX: usize = 4 << 10;
/// The first key byte that no table may have: the store's own.
pub const TABLE_RESERVED: u8 = 0xFF;

/// Changes of one commit by key; `None` deletes.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// How the tables are kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for pages, in bytes.
    pub cache_bytes: u64,
    /// Memory for before-images while a snapshot is taken, in bytes; beyond that the scan is aborted.
    pub scan_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, scan_bytes: 64 << 20 }
    }
}

/// The tables. Clones are handles to the same ones.
#[derive(Clone, Debug)]
pub struct Tables {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    db: sled::Db,
    options: Options,
    /// A commit holds it for writing, readers for reading.
    state: RwLock<State>,
}

struct State {
    /// What readers see; the marker names it.
    tree: sled::Tree,
    meta: Meta,
    /// What a running scan must still see as it was.
    images: Option<Images>,
    /// After a failed commit nobody knows what sled holds.
    broken: Option<String>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("meta", &self.meta).field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Tables {
    /// Opens the tables in `dir` and checks all of it; a missing or empty directory becomes an empty store.
    ///
    /// # Errors
    /// Any damage: the caller wipes `dir` and restores. [`TableError::is_damage`] says whether it is that.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, TableError> {
        if files_of::is_absent(dir)? {
            return Self::create(dir, options);
        }
        let name = files_of::marked_tree(dir)?;
        let db = files_of::open_sled(dir, options)?;
        let tree = trees::open(dir, &db, &name)?;
        let meta = check::verified_meta(dir, &tree)?;
        trees::keep_only(dir, &db, &name);
        Ok(Self::assemble(dir, (db, tree), options, meta))
    }

    fn create(dir: &Path, options: &Options) -> Result<Self, TableError> {
        let tables = Self::begin(dir, options)?;
        tables.complete()?;
        Ok(tables)
    }

    /// An empty store without its marker: not valid before [`Tables::complete`].
    fn begin(dir: &Path, options: &Options) -> Result<Self, TableError> {
        files::create_dir(dir).map_err(TableError::io("create", dir))?;
        let db = files_of::open_sled(dir, options)?;
        let tree = trees::open_new(dir, &db)?;
        Ok(Self::assemble(dir, (db, tree), options, Meta::default()))
    }

    /// Makes everything durable, then says so with the marker.
    fn complete(&self) -> Result<(), TableError> {
        let state = self.inner.state.read();
        self.seal(&state.tree, &state.meta)?;
        files_of::write_marker(&self.inner.dir, &state.tree.name())
    }

    /// Makes a tree durable that no marker names yet.
    fn seal(&self, tree: &sled::Tree, meta: &Meta) -> Result<(), TableError> {
        let sealed = value::seal(META_KEY, &meta.encode()?);
        tree.insert(META_KEY, sealed).map_err(|error| self.sled_error(&error))?;
        self.checkpoint()
    }

    fn assemble(dir: &Path, (db, tree): (sled::Db, sled::Tree), options: &Options, meta: Meta) -> Self {
        let state = RwLock::new(State { tree, meta, images: None, broken: None });
        Self { inner: Arc::new(Inner { dir: dir.to_owned(), db, options: options.clone(), state }) }
    }

    /// Applies `writes` and moves the applied position to `applied`, atomically. It waits for readers, not for the disk.
    ///
    /// # Errors
    /// A key or value that is too large, before anything is changed. After a failure of sled the tables refuse
    /// everything: they must be opened anew.
    pub fn commit(&self, writes: &Writes, applied: &[u8]) -> Result<(), TableError> {
        writes.iter().try_for_each(|(key, value)| value::check(key, value.as_deref()))?;
        let _turn = reader::Turn::begin();
        let mut state = self.inner.state.write();
        let state = &mut *state;
        if let Some(reason) = &state.broken {
            return Err(TableError::Broken(reason.clone()));
        }
        let mut meta = state.meta.clone();
        meta.applied = Some(applied.to_vec());
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            let old = self.stored(&state.tree, key)?;
            meta.replace(key, old.as_deref(), value.as_deref());
            match value {
                Some(value) => batch.insert(key.as_slice(), value::seal(key, value)),
                None => batch.remove(key.as_slice()),
            }
            if let Some(images) = &mut state.images {
                images.keep(key, old);
            }
        }
        batch.insert(META_KEY, value::seal(META_KEY, &meta.encode()?));
        if let Err(error) = state.tree.apply_batch(batch) {
            state.broken = Some(error.to_string());
            return Err(self.sled_error(&error));
        }
        state.meta = meta;
        Ok(())
    }

    /// The value of `key`, checked.
    fn stored(&self, tree: &sled::Tree, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        match tree.get(key).map_err(|error| self.sled_error(&error))? {
            None => Ok(None),
            Some(sealed) => {
                value::open(key, &sealed).map(|value| Some(value.to_vec())).map_err(|what| self.damaged(&what))
            }
        }
    }

    /// The position given to the last commit; `None` in a new store.
    #[must_use]
    pub fn applied(&self) -> Option<Vec<u8>> {
        let _turn = reader::Turn::begin();
        self.inner.state.read().meta.applied.clone()
    }

    /// How many records the table has.
    #[must_use]
    pub fn count(&self, table: u8) -> u64 {
        let _turn = reader::Turn::begin();
        self.inner.state.read().meta.count(table)
    }

    /// A view that no commit changes: commits wait until it is dropped, so keep it short. It must not be held while the
    /// same thread commits.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }

    /// Begins to read all records as they are now, for a snapshot, while commits go on.
    ///
    /// # Errors
    /// When another scan is running.
    pub fn scan_consistently(&self) -> Result<ConsistentScan, TableError> {
        ConsistentScan::begin(self)
    }

    /// Makes all commits so far durable (sled's own flush alone does not sync its file). It takes about 0.08 ms for each
    /// commit since the last checkpoint: call it every thousand commits or so, from a thread that may wait.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn checkpoint(&self) -> Result<(), TableError> {
        self.inner.db.flush().map_err(|error| self.sled_error(&error))?;
        files_of::sync_all(&self.inner.dir)
    }

    /// Bytes that the store takes on disk.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn disk_bytes(&self) -> Result<u64, TableError> {
        files_of::bytes_in(&self.inner.dir)
    }

    fn sled_error(&self, error: &sled::Error) -> TableError {
        TableError::of_sled(&self.inner.dir, error)
    }

    fn damaged(&self, what: &str) -> TableError {
        TableError::damaged(&self.inner.dir, what)
    }
}

#[cfg(test)]
mod tests;
