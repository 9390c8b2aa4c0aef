//! The store's directory: its marker, opening sled in it, syncing and removing it.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{Options, TableError, trees};
use crate::files;

/// Says that the store was completed, and in which tree. Removed first when the store is wiped.
const MARKER: &str = "COMPLETE";
/// What a marker of the first format says: everything is in sled's first tree.
const FIRST_FORMAT: &[u8] = b"1\n";
/// What a marker begins with; the tree's name and the end of the line follow.
const SECOND_FORMAT: &[u8] = b"2 ";
/// sled's own timer would sync at any time; checkpoints are the caller's business.
const NEVER: Option<u64> = None;

/// A sled that was just closed may hold its lock a little longer, until its threads have ended: waited for this often …
const LOCK_TRIES: u32 = 200;
/// … and this long each time.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Whether there is no store at all.
pub(super) fn is_absent(dir: &Path) -> Result<bool, TableError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(TableError::io("list", dir)(error)),
    }
}

/// The name of the tree that counts.
pub(super) fn marked_tree(dir: &Path) -> Result<Vec<u8>, TableError> {
    let marker = dir.join(MARKER);
    match files::read_if_there(&marker).map_err(TableError::io("read", &marker))?.as_deref() {
        Some(FIRST_FORMAT) => Ok(trees::FIRST.to_vec()),
        Some(said) => {
            let name = said.strip_prefix(SECOND_FORMAT).and_then(|rest| rest.strip_suffix(b"\n"));
            name.map(<[u8]>::to_vec).ok_or_else(|| TableError::damaged(dir, "its marker is not readable"))
        }
        None => Err(TableError::Incomplete(dir.to_owned())),
    }
}

pub(super) fn write_marker(dir: &Path, tree: &[u8]) -> Result<(), TableError> {
    let said = [SECOND_FORMAT, tree, b"\n"].concat();
    files::write_atomically(&dir.join(MARKER), &said).map_err(TableError::io("complete", dir))
}

/// From now on the store counts as incomplete.
fn remove_marker(dir: &Path) -> Result<(), TableError> {
    let marker = dir.join(MARKER);
    files::remove_if_there(&marker).map_err(TableError::io("remove", &marker))?;
    files::sync_dir(dir).map_err(TableError::io("sync", dir))
}

/// Opens sled; where it panics on damaged files, that is damage.
pub(super) fn open_sled(dir: &Path, options: &Options) -> Result<sled::Db, TableError> {
    let config =
        sled::Config::new().path(dir).cache_capacity(options.cache_bytes).flush_every_ms(NEVER).use_compression(false);
    for _ in 0..LOCK_TRIES {
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Err(error)) if is_locked(&error) => thread::sleep(LOCK_PAUSE),
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(error)) => return Err(TableError::of_sled(dir, &error)),
            Err(_) => return Err(TableError::damaged(dir, "sled panicked while opening it")),
        }
    }
    let held = io::Error::new(io::ErrorKind::WouldBlock, "it is open already, here or in another process");
    Err(TableError::io("open", dir)(held))
}

fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Syncs the content of every file in `dir`, and their names.
pub(super) fn sync_all(dir: &Path) -> Result<(), TableError> {
    for entry in fs::read_dir(dir).map_err(TableError::io("list", dir))? {
        let path = entry.map_err(TableError::io("list", dir))?.path();
        if path.is_file() {
            match File::open(&path).and_then(|file| file.sync_data()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(TableError::io("sync", &path)(error));
                }
                _ => {} // sled removes its older snap files whenever it likes
            }
        }
    }
    files::sync_dir(dir).map_err(TableError::io("sync", dir))
}

pub(super) fn bytes_in(dir: &Path) -> Result<u64, TableError> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(TableError::io("list", dir))? {
        let path = entry.map_err(TableError::io("list", dir))?.path();
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => bytes += bytes_in(&path)?,
            Ok(meta) => bytes += meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(TableError::io("read", &path)(error)),
        }
    }
    Ok(bytes)
}

/// Removes the store in `dir`. Interrupted, it leaves what [`super::Tables::open`] calls incomplete, never an older
/// state. A store that isn't there is fine.
///
/// # Errors
/// When the system refuses.
pub fn wipe(dir: &Path) -> Result<(), TableError> {
    if !dir.exists() {
        return Ok(());
    }
    remove_marker(dir)?;
    fs::remove_dir_all(dir).map_err(TableError::io("remove", dir))?;
    files::sync_dir(&files::parent(dir)).map_err(TableError::io("sync", dir))
}
