//! One snapshot file at a path of the caller's choice: a backup. It is written beside its final name, never in the
//! place of another file, and readable by its owner only.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::writer::{Destination, Kind};
use super::{SnapshotError, SnapshotReceiver, SnapshotWriter};
use crate::files;

/// Begins a snapshot that will be at `path`; `meta` is the caller's.
///
/// # Errors
/// [`SnapshotError::Exists`]; when the file cannot be created.
pub fn create_at(path: &Path, meta: &[u8]) -> Result<SnapshotWriter, SnapshotError> {
    SnapshotWriter::create(destination(path)?, meta)
}

/// Begins to receive a snapshot that will be at `path`, byte by byte as it comes from a node.
///
/// # Errors
/// [`SnapshotError::Exists`]; when the file cannot be created.
pub fn receive_at(path: &Path) -> Result<SnapshotReceiver, SnapshotError> {
    SnapshotReceiver::create(destination(path)?)
}

/// The number of the process in the temporary name keeps two runs apart.
fn destination(path: &Path) -> Result<Destination, SnapshotError> {
    refuse_existing(path)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".part-{}", std::process::id()));
    Ok(Destination {
        temporary: PathBuf::from(temporary),
        path: path.to_owned(),
        dir: files::parent(path),
        kind: Kind::Alone,
    })
}

fn refuse_existing(path: &Path) -> Result<(), SnapshotError> {
    match path.symlink_metadata() {
        Ok(_) => Err(SnapshotError::Exists(path.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(SnapshotError::io("look at", path)(error)),
    }
}

/// Renames unless the new name is taken. Where the file system cannot do both at once, one after the other.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), SnapshotError> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(SnapshotError::Exists(to.to_owned())),
        Err(Errno::INVAL | Errno::NOSYS) => {
            refuse_existing(to)?;
            std::fs::rename(from, to).map_err(SnapshotError::io("rename", from))
        }
        Err(error) => Err(SnapshotError::io("rename", from)(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{SnapshotFile, Snapshots};
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_of_its_own_is_private_whole_and_never_in_the_place_of_another() -> Result<(), SnapshotError> {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("b");
        let begin = || -> Result<SnapshotWriter, SnapshotError> {
            let mut writer = create_at(&path, b"meta")?;
            writer.push(b"key", b"value")?;
            Ok(writer)
        };
        drop(begin()?);
        assert!(names(home.path()).is_empty());
        // Somebody else's file comes while it is written.
        let writer = begin()?;
        std::fs::write(&path, "mine").expect("written");
        assert!(matches!(writer.finish(), Err(SnapshotError::Exists(_))));
        assert_eq!(std::fs::read(&path).expect("there"), b"mine");
        assert!(matches!(begin(), Err(SnapshotError::Exists(_))));
        std::fs::remove_file(&path).expect("removed");
        begin()?.finish()?.verify()?;
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(names(home.path()), ["b"]);

        // Half of it received is nothing.
        let bytes = std::fs::read(&path).expect("there");
        let copy = home.path().join("copy");
        let mut receiver = receive_at(&copy)?;
        receiver.write(&bytes[..bytes.len() - 1])?;
        assert!(matches!(receiver.finish(), Err(SnapshotError::Damaged { .. })));
        assert_eq!(names(home.path()), ["b"]);

        let mut newer = bytes;
        newer[7] = 2;
        std::fs::write(&copy, newer).expect("written");
        assert!(matches!(SnapshotFile::open(&copy), Err(SnapshotError::Newer { found: 2, .. })));
        Ok(())
    }

    #[test]
    fn an_unnamed_snapshot_is_read_through_its_handle_alone() -> Result<(), SnapshotError> {
        let home = tempfile::tempdir().expect("a directory");
        let mut writer = Snapshots::open(home.path())?.create(b"meta")?;
        writer.push(b"key", b"value")?;
        let (mut file, bytes) = writer.finish_unnamed()?;
        assert!(names(home.path()).is_empty());
        let mut read = Vec::new();
        file.read_to_end(&mut read).expect("read");
        assert_eq!(read.len() as u64, bytes);
        let copy = home.path().join("copy");
        let mut receiver = receive_at(&copy)?;
        receiver.write(&read)?;
        assert_eq!(receiver.finish()?.meta, b"meta");
        Ok(())
    }
}
