//! What Carillon keeps on disk. The only crate that touches disks; it knows no Raft library, no runtime, no records:
//! it stores opaque bytes and promises when they are safe.
//!
//! | module | holds | promise |
//! |---|---|---|
//! | [`log`] | the Raft log and the vote | acknowledged = after `fdatasync`; damage is refused, never skipped |
//! | [`tables`] | the applied state, on sled | one atomic commit per apply; `open` notices every lost or changed record |
//! | [`snapshot`] | whole states as files | complete and checksummed, or not there |
//! | [`codec`] | bytes of typed values | a version byte first, a limit when decoding |
//! | [`staging`] | a directory in the making | complete under its name, or not there |
//! | [`note`] | a small value in a file | replaced as a whole |
//! | [`space`], [`lock`] | free space, ballast, one process per directory | |
//!
//! Every write that must be in the file system before another one is ordered by an `fsync` in between: of the file for
//! its bytes, of the directory for its name. `tests/power_loss.rs` checks that by cutting the power at thousands of places.

pub mod codec;
mod digest;
mod files;
pub mod lock;
pub mod log;
pub mod note;
pub mod snapshot;
pub mod space;
pub mod staging;
pub mod tables;

pub use codec::CodecError;
pub use lock::{DirLock, LockError};
pub use log::{Log, LogError, LogOptions, LogState, LogStats};
pub use note::NoteError;
pub use snapshot::{SnapshotError, SnapshotFile, SnapshotWriter, Snapshots};
pub use tables::{Direction, MemoryTables, Read, TableError, Tables, Writes};
