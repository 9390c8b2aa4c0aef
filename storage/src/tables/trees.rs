//! sled's trees: one that counts, and for a while another that is to take its place.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::TableError;

/// sled's own first tree: it can't be dropped. Stores of the first format have everything there.
pub(super) const FIRST: &[u8] = b"__sled__default";
/// The others are numbered.
const PREFIX: &str = "tables-";

/// The tree of this name.
pub(super) fn open(dir: &Path, db: &sled::Db, name: &[u8]) -> Result<sled::Tree, TableError> {
    let opened = catch_unwind(AssertUnwindSafe(|| db.open_tree(name)));
    let opened = opened.map_err(|_| TableError::damaged(dir, "sled panicked while reading it"))?;
    opened.map_err(|error| TableError::of_sled(dir, &error))
}

/// Drops what a takeover that was cut short has left behind. It is of no use, so that it may be damaged matters to nobody.
pub(super) fn keep_only(dir: &Path, db: &sled::Db, name: &[u8]) {
    let others = db.tree_names().into_iter().filter(|other| other != name && (other != FIRST || !db.is_empty()));
    for other in others {
        let dropped = catch_unwind(AssertUnwindSafe(|| drop_tree(dir, db, &other)));
        if !matches!(dropped, Ok(Ok(()))) {
            tracing::warn!(dir = %dir.display(), "what was left of older tables takes up space still");
        }
    }
}

/// An empty tree of a name that none has.
pub(super) fn open_new(dir: &Path, db: &sled::Db) -> Result<sled::Tree, TableError> {
    let names = db.tree_names();
    let number = |name: &sled::IVec| std::str::from_utf8(name).ok()?.strip_prefix(PREFIX)?.parse::<u64>().ok();
    let last = names.iter().filter_map(number).max().unwrap_or(0);
    db.open_tree(format!("{PREFIX}{}", last + 1)).map_err(|error| TableError::of_sled(dir, &error))
}

/// Gives back what a tree takes up.
pub(super) fn drop_tree(dir: &Path, db: &sled::Db, name: &[u8]) -> Result<(), TableError> {
    let dropped = if name == FIRST { db.clear() } else { db.drop_tree(name).map(drop) };
    dropped.map_err(|error| TableError::of_sled(dir, &error))
}
