//! Reading the whole store once, on two threads, and comparing it with its meta record.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;

use super::TableError;
use super::meta::{META_KEY, Meta};
use super::value;

/// The meta record, once every record of the store has been found to fit it.
pub(super) fn verified_meta(dir: &Path, tree: &sled::Tree) -> Result<Meta, TableError> {
    let damaged = |what: String| TableError::damaged(dir, &what);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let sealed = tree.get(META_KEY).map_err(|error| error.to_string())?;
        let sealed = sealed.ok_or_else(|| "its meta record is gone".to_owned())?;
        let meta = Meta::decode(value::open(META_KEY, &sealed)?).map_err(|error| error.to_string())?;
        let found = sums(tree)?;
        match meta.difference(&found) {
            Some(what) => Err(what),
            None => Ok(meta),
        }
    }));
    checked.unwrap_or_else(|_| Err("sled panicked while reading it".into())).map_err(damaged)
}

/// The sums over all records, the two halves of the store each on a thread.
fn sums(tree: &sled::Tree) -> Result<Meta, String> {
    let middle = middle_key(tree)?;
    let (low, high) = thread::scope(|scope| {
        let low = scope.spawn(|| range_sums(tree, (Bound::Unbounded, Bound::Excluded(middle.clone()))));
        let high = range_sums(tree, (Bound::Included(middle.clone()), Bound::Unbounded));
        (low.join().unwrap_or_else(|_| Err("sled panicked while reading it".into())), high)
    });
    let mut total = low?;
    total.merge(&high?);
    Ok(total)
}

fn range_sums(tree: &sled::Tree, range: (Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Result<Meta, String> {
    let mut sums = Meta::default();
    for record in tree.range::<Vec<u8>, _>(range) {
        let (key, sealed) = record.map_err(|error| error.to_string())?;
        if key != META_KEY {
            sums.replace(&key, None, Some(value::open(&key, &sealed)?));
        }
    }
    Ok(sums)
}

/// A key that roughly halves the store: found by halving the key space, counting nothing. Any key is correct, a poor
/// one only makes one thread wait for the other.
fn middle_key(tree: &sled::Tree) -> Result<Vec<u8>, String> {
    let first = tree.first().map_err(|error| error.to_string())?;
    let last = tree.get_lt(META_KEY).map_err(|error| error.to_string())?;
    let (Some((first, _)), Some((last, _))) = (first, last) else { return Ok(META_KEY.to_vec()) };
    let number =
        |key: &[u8]| (0..8).fold(0_u64, |sum, at| sum << 8 | u64::from(key.get(at).copied().unwrap_or_default()));
    let same = first.iter().zip(last.iter()).take_while(|(one, other)| one == other).count();
    let (low, high) = (number(&first[same..]), number(&last[same..]));
    let mut middle = last[..same].to_vec();
    middle.extend_from_slice(&(low / 2 + high / 2).to_be_bytes());
    Ok(middle)
}
