//! Reading the tables: one trait for the store and its stand-in in memory.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow};

use parking_lot::RwLockReadGuard;

use super::meta::META_KEY;
use super::{State, TableError, Tables, value};

/// The order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending keys.
    Forward,
    /// Descending keys.
    Reverse,
}

/// What a scan shows each key and value to.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A point-in-time view of the tables.
pub trait Read {
    /// The value of `key`.
    ///
    /// # Errors
    /// When the store is damaged.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError>;

    /// Shows `visit` the keys from `from` up to, but without, `to` until it breaks. An empty `to` is no bound.
    ///
    /// # Errors
    /// When the store is damaged.
    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visit<'_>) -> Result<(), TableError>;
}

/// Lower and upper end.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The bounds of a scan; `None` when nothing can be in between.
pub(super) fn bounds<'a>(from: &'a [u8], to: &'a [u8]) -> Option<Bounds<'a>> {
    let to = if to.is_empty() { META_KEY } else { to.min(META_KEY) };
    (from < to).then_some((Bound::Included(from), Bound::Excluded(to)))
}

/// Reads the store while commits wait.
#[derive(Debug)]
pub struct Reader<'a> {
    tables: &'a Tables,
    state: RwLockReadGuard<'a, State>,
    _turn: Turn,
}

/// Proves in development builds that no thread takes a second reader while it has one: if a commit waited between the
/// two, the thread would wait for the commit and the commit for the thread.
#[derive(Debug)]
pub(super) struct Turn {
    /// A guard belongs to the thread that took it.
    _not_send: PhantomData<*const ()>,
}

thread_local! {
    static READS: Cell<bool> = const { Cell::new(false) };
}

impl Turn {
    /// # Panics
    /// In development builds, when this thread has a turn already.
    pub(super) fn begin() -> Self {
        if cfg!(debug_assertions) {
            assert!(!READS.replace(true), "this thread holds a reader already: a second one could wait for ever");
        }
        Self { _not_send: PhantomData }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if cfg!(debug_assertions) {
            READS.set(false);
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(tables: &'a Tables) -> Self {
        let turn = Turn::begin();
        // Fair: a commit that waits goes before readers that come after it, so readers cannot starve it.
        Self { tables, state: tables.inner.state.read(), _turn: turn }
    }

    /// The position of the last commit.
    #[must_use]
    pub fn applied(&self) -> Option<&[u8]> {
        self.state.meta.applied.as_deref()
    }

    /// How many records the table has.
    #[must_use]
    pub fn count(&self, table: u8) -> u64 {
        self.state.meta.count(table)
    }
}

impl Read for Reader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        if key >= META_KEY { Ok(None) } else { self.tables.stored(&self.state.tree, key) }
    }

    fn scan(&self, from: &[u8], to: &[u8], direction: Direction, visit: Visit<'_>) -> Result<(), TableError> {
        let Some(bounds) = bounds(from, to) else { return Ok(()) };
        let mut records = self.state.tree.range::<&[u8], _>(bounds);
        loop {
            let record = match direction {
                Direction::Forward => records.next(),
                Direction::Reverse => records.next_back(),
            };
            let Some(record) = record else { return Ok(()) };
            let (key, sealed) = record.map_err(|error| self.tables.sled_error(&error))?;
            let value = value::open(&key, &sealed).map_err(|what| self.tables.damaged(&what))?;
            if visit(&key, value).is_break() {
                return Ok(());
            }
        }
    }
}
