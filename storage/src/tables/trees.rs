//! sled's trees: one that counts, and for a while another that is to take its place.

use std::path::Path;

use super::TableError;

/// sled's own first tree: it can't be dropped. Stores of the first format have everything there.
pub(super) const FIRST: &[u8] = b"__sled__default";
/// The others are numbered.
const PREFIX: &str = "tables-";

/// The tree of this name; every other is dropped.
pub(super) fn open_only(dir: &Path, db: &sled::Db, name: &[u8]) -> Result<sled::Tree, TableError> {
    for other in db.tree_names() {
        if other != FIRST && other != name {
            drop_tree(dir, db, &other)?;
        }
    }
    db.open_tree(name).map_err(|error| TableError::of_sled(dir, &error))
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
