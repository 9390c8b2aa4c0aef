//! The Raft log and the vote: an append-only log of segments, written by one thread.
//!
//! **Promises.** An operation's `done` is called once it is on the disk (`fdatasync`), in the order of the calls.
//! Entries, votes, truncations and purges are one sequence: after a power loss a prefix of it is there, which holds at
//! least all that was answered. A log that lost or changed anything else is refused, with the file and the offset.
//! After a failed write nothing is written any more ([`Log::poisoned`]).
//!
//! **Not here.** What an entry means; that the tables' applied index is not ahead of the log (the caller compares);
//! an older copy of the whole directory put in its place (the caller's cluster would notice).
//!
//! `record`: the bytes of one record · `tail`: torn or damaged · `ledger`: the rules · `recover`: opening ·
//! `writer`: the thread.

mod cache;
#[cfg(test)]
mod damage;
mod error;
mod ledger;
mod marker;
mod read;
mod record;
mod recover;
mod segment;
mod shared;
mod slots;
mod spare;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;

pub use error::LogError;

use crate::lock::DirLock;
use crate::space::Ballast;
use shared::{Done, Op, Shared, View};
use writer::Writer;

/// The largest entry, in bytes.
pub const RECORD_BYTES_MAX: usize = 64 << 20;
/// The largest vote, committed id and purged id, in bytes.
pub const META_BYTES_MAX: usize = 4 << 10;
const SEGMENT_BYTES_MIN: u64 = 128 << 10;

/// Called with the reason when the log stops for good. It may end the process.
pub type PoisonHook = Arc<dyn Fn(&str) + Send + Sync>;

/// How a log is kept.
#[derive(Clone)]
pub struct LogOptions {
    /// Size of a segment file, at least 128 KiB. Purging frees whole segments.
    pub segment_bytes: u64,
    /// Bytes of the newest entries kept in memory for readers.
    pub cache_bytes: usize,
    /// Bytes held back by a file that is given up when the disk is full; 0 for none.
    pub ballast_bytes: u64,
    /// Written into a new log's marker; an existing log keeps its own ([`Log::identity`]).
    pub identity: Vec<u8>,
    /// What to do when the log stops for good.
    pub on_poison: Option<PoisonHook>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            cache_bytes: 32 << 20,
            ballast_bytes: 64 << 20,
            identity: Vec::new(),
            on_poison: None,
        }
    }
}

impl fmt::Debug for LogOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LogOptions")
            .field("segment_bytes", &self.segment_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .field("ballast_bytes", &self.ballast_bytes)
            .finish_non_exhaustive()
    }
}

/// What the log holds, every accepted call included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The last purged index with the bytes given for it.
    pub last_purged: Option<(u64, Vec<u8>)>,
    /// The entries that can be read: `first..next`.
    pub entries: Range<u64>,
    /// The vote saved last.
    pub vote: Option<Vec<u8>>,
    /// The committed log id saved last. It may be older than the last one saved before a crash.
    pub committed: Option<Vec<u8>>,
}

/// What the disk cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// How often the log waited for `fdatasync` of a group.
    pub fsyncs: u64,
    /// How long all of them took.
    pub fsync_total: Duration,
    /// How long the last one took.
    pub fsync_last: Duration,
}

/// The log. Clones are handles to the same one; when the last is dropped, what waits is written and the files close.
///
/// Calls may block while the queue (1,024 operations, 16 MiB) is full. Callbacks run on the writer's thread: they must be
/// short and must not call the log. When a call returns an error, nothing has happened and its callback never runs.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    identity: Vec<u8>,
    ballast: Ballast,
    dir: PathBuf,
    writer: Option<JoinHandle<()>>,
    _lock: DirLock,
}

fn keep(ballast: &Ballast, dir: &Path) {
    match ballast.balance() {
        Ok(false) => {}
        Ok(true) => tracing::error!(dir = %dir.display(), "the disk is full: the ballast file was given up"),
        Err(error) => tracing::warn!(%error, dir = %dir.display(), "the ballast file cannot be kept"),
    }
}

impl Log {
    /// Opens the log in `dir`, or begins one there when the directory is empty or missing.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when acknowledged entries may be missing or changed; [`LogError::Locked`] when it is open.
    pub fn open(dir: &Path, mut options: LogOptions) -> Result<Self, LogError> {
        options.segment_bytes = options.segment_bytes.max(SEGMENT_BYTES_MIN);
        let lock = DirLock::acquire(dir).map_err(|error| LogError::Locked(Arc::new(error)))?;
        let ballast = Ballast::new(dir, options.ballast_bytes);
        // First of all: on a full disk, not even opening succeeds.
        keep(&ballast, dir);
        let recovered = recover::recover(dir, &options)?;
        let view = View::new(recovered.ledger.clone(), recovered.slots, recovered.segments, recovered.next_seq);
        let shared = Arc::new(Shared::new(view, options));
        let writer = Writer {
            shared: shared.clone(),
            dir: dir.to_owned(),
            ledger: recovered.ledger,
            synced: recovered.active.tail,
            active: recovered.active,
            closed: recovered.closed,
            spare: spare::Spare::new(dir, ballast.clone()),
            buffer: Vec::new(),
            placed: Vec::new(),
        };
        let writer = thread::Builder::new().name("log-writer".into()).spawn(move || writer.run());
        let writer = Some(writer.map_err(LogError::io("start the writer of", dir))?);
        let inner = Inner { shared, identity: recovered.identity, ballast, dir: dir.to_owned(), writer, _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Gives the ballast up when the disk is nearly full, and holds it back again when there is room. To be called now
    /// and then, from a thread that may wait.
    pub fn keep_ballast(&self) {
        keep(&self.inner.ballast, &self.inner.dir);
    }

    /// Free bytes of the disk, without those that the ballast held or should hold.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn room(&self) -> io::Result<u64> {
        self.inner.ballast.room()
    }

    /// The identity given when the log was created.
    #[must_use]
    pub fn identity(&self) -> &[u8] {
        &self.inner.identity
    }

    /// Appends entries, each with the index that follows the one before. They can be read at once.
    ///
    /// # Errors
    /// A gap or an index that is there already, an entry that is too large, a log that stopped.
    pub fn append(
        &self,
        entries: Vec<(u64, Bytes)>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), LogError> {
        for (_, entry) in &entries {
            within(entry.len(), RECORD_BYTES_MAX)?;
        }
        self.submit(Op::Append(entries), Some(Box::new(done)), |view, op| {
            let Op::Append(entries) = op else { return Ok(()) };
            let mut ledger = view.ledger.clone();
            for (index, _) in entries {
                ledger.append(*index)?;
            }
            view.ledger = ledger;
            for (seq, (index, entry)) in (view.next_seq..).zip(entries) {
                view.slots.push(*index, seq);
                view.cache.push(*index, entry.clone());
            }
            Ok(())
        })
    }

    /// Saves the vote.
    ///
    /// # Errors
    /// A vote over [`META_BYTES_MAX`], a log that stopped.
    pub fn save_vote(&self, vote: Vec<u8>, done: impl FnOnce(io::Result<()>) + Send + 'static) -> Result<(), LogError> {
        within(vote.len(), META_BYTES_MAX)?;
        self.submit(Op::Vote(vote), Some(Box::new(done)), |view, op| {
            if let Op::Vote(vote) = op {
                view.ledger.vote = Some(vote.clone());
            }
            Ok(())
        })
    }

    /// Saves the committed log id, without waiting for the disk: a crash may bring back an older one.
    ///
    /// # Errors
    /// An id over [`META_BYTES_MAX`], a log that stopped.
    pub fn save_committed(&self, committed: Vec<u8>) -> Result<(), LogError> {
        within(committed.len(), META_BYTES_MAX)?;
        self.submit(Op::Committed(committed), None, |view, op| {
            if let Op::Committed(committed) = op {
                view.ledger.committed = Some(committed.clone());
            }
            Ok(())
        })
    }

    /// Removes the entries from `from` on.
    ///
    /// # Errors
    /// When `from` is purged, a log that stopped.
    pub fn truncate(&self, from: u64, done: impl FnOnce(io::Result<()>) + Send + 'static) -> Result<(), LogError> {
        self.submit(Op::Truncate(from), Some(Box::new(done)), |view, _| {
            view.ledger.truncate(from)?;
            view.slots.truncate(from);
            view.cache.truncate(from);
            Ok(())
        })
    }

    /// Removes the entries up to `upto`, whose log id is `meta`, and then the segments that hold nothing else.
    /// `upto` may lie beyond the end: the log goes on behind it. Purging what is purged changes nothing.
    ///
    /// # Errors
    /// An id over [`META_BYTES_MAX`], a log that stopped.
    pub fn purge(
        &self,
        upto: u64,
        meta: Vec<u8>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), LogError> {
        within(meta.len(), META_BYTES_MAX)?;
        self.submit(Op::Purge(upto, meta), Some(Box::new(done)), |view, op| {
            if let Op::Purge(upto, meta) = op {
                view.ledger.purge(*upto, meta.clone());
                view.slots.purge(*upto);
                view.cache.purge(*upto);
            }
            Ok(())
        })
    }

    /// The entries of `range` that are there, in order, up to `max_bytes` but at least one.
    ///
    /// # Errors
    /// When an entry cannot be read back as it was written.
    pub fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<(u64, Bytes)>, LogError> {
        read::read(&self.inner.shared, range, max_bytes)
    }

    /// What the log holds.
    #[must_use]
    pub fn state(&self) -> LogState {
        let view = self.inner.shared.view.lock();
        let ledger = &view.ledger;
        LogState {
            last_purged: ledger.purged.clone(),
            entries: ledger.first..ledger.next,
            vote: ledger.vote.clone(),
            committed: ledger.committed.clone(),
        }
    }

    /// Bytes of records on disk, those that were purged but share a segment with live ones included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner.shared.view.lock().segments.values().map(|segment| segment.used.load(Relaxed)).sum()
    }

    /// What the disk cost so far.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        self.inner.shared.counters.stats()
    }

    /// Why the log stopped for good; `None` while it works.
    #[must_use]
    pub fn poisoned(&self) -> Option<LogError> {
        self.inner.shared.view.lock().poison.clone().map(LogError::Poisoned)
    }

    fn submit(
        &self,
        op: Op,
        done: Option<Done>,
        accept: impl FnOnce(&mut View, &Op) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        self.inner.shared.submit(op, done, accept)
    }
}

fn within(bytes: usize, max: usize) -> Result<(), LogError> {
    if bytes > max { Err(LogError::TooLarge { bytes, max }) } else { Ok(()) }
}

impl fmt::Debug for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Log").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != thread::current().id()
        {
            let _ = writer.join(); // a panic has poisoned the log already
        }
    }
}
