//! The one thread that writes: takes all that waits, writes it as one group, syncs once, answers.
//!
//! Promises that [`super::tail`] and recovery rely on:
//! - a group is written only after the one before it was synced (a lone committed id may stay unsynced);
//! - a new segment has its name durably before the old one gets its close record, and gets records only after that;
//! - files are removed only after the purge that allows it was synced, oldest first;
//! - after any failure nothing is written any more.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::ledger::Ledger;
use super::record::{self, Header, Kind};
use super::segment::{self, Head};
use super::shared::{Done, Op, Queued, SegmentFile, Shared};
use super::slots::Place;
use super::spare::Spare;
use crate::files;

/// Kept free in every segment for its close record.
pub(super) const CLOSE_BYTES: u64 = record::HEADER_BYTES as u64;
/// Room that a larger than usual segment leaves for its head.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// The segment that is being written.
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) file: Arc<SegmentFile>,
    pub(super) bytes: u64,
    /// Where the next record goes.
    pub(super) tail: u64,
    /// The last entry in it.
    pub(super) last_index: Option<u64>,
}

/// A segment that is full.
pub(super) struct Closed {
    pub(super) number: u64,
    pub(super) last_index: Option<u64>,
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) dir: PathBuf,
    pub(super) ledger: Ledger,
    pub(super) active: Active,
    pub(super) closed: Vec<Closed>,
    pub(super) spare: Spare,
    /// Bytes of the active segment known to be on the disk.
    pub(super) synced: u64,
    /// Records not written yet; they end at `active.tail`.
    pub(super) buffer: Vec<u8>,
    pub(super) placed: Vec<(u64, u64, Place)>,
}

impl Writer {
    /// Runs until the log is closed or fails.
    pub(super) fn run(mut self) {
        let guard = PanicGuard(self.shared.clone());
        while let Some(group) = self.shared.take_group() {
            let mut answers = Vec::with_capacity(group.len());
            match self.write_group(group, &mut answers) {
                Ok(()) => answers.into_iter().for_each(|done| done(Ok(()))),
                Err(error) => {
                    let path = self.active.file.path.display();
                    self.shared.poison(&format!("{path}: {error}"), answers);
                    break;
                }
            }
        }
        std::mem::forget(guard);
    }

    fn write_group(&mut self, group: Vec<Queued>, answers: &mut Vec<Done>) -> io::Result<()> {
        let mut operations = Vec::with_capacity(group.len());
        for queued in group {
            answers.extend(queued.done);
            operations.push((queued.op, queued.seq));
        }
        let sync = operations.iter().any(|(op, _)| !matches!(op, Op::Committed(_)));
        let purges = operations.iter().any(|(op, _)| matches!(op, Op::Purge(..)));
        for (op, seq) in operations {
            self.put_operation(op, seq)?;
        }
        self.flush(sync)?;
        if purges {
            self.drop_purged()?;
        }
        if self.active.tail > self.active.bytes / 2 {
            self.spare.prepare(self.shared.options.segment_bytes)?;
        }
        Ok(())
    }

    fn put_operation(&mut self, op: Op, seq: u64) -> io::Result<()> {
        match op {
            Op::Append(entries) => {
                for (seq, (index, entry)) in (seq..).zip(entries) {
                    let place = self.put(Kind::Entry, seq, index, &entry)?;
                    self.placed.push((index, seq, place));
                    self.active.last_index = self.active.last_index.max(Some(index));
                    self.ledger.append(index).map_err(io::Error::other)?;
                }
            }
            Op::Vote(vote) => {
                self.put(Kind::Vote, seq, 0, &vote)?;
                self.ledger.vote = Some(vote);
            }
            Op::Committed(committed) => {
                self.put(Kind::Committed, seq, 0, &committed)?;
                self.ledger.committed = Some(committed);
            }
            Op::Truncate(from) => {
                self.put(Kind::Truncate, seq, from, &[])?;
                self.ledger.truncate(from).map_err(io::Error::other)?;
            }
            Op::Purge(upto, meta) => {
                self.put(Kind::Purge, seq, upto, &meta)?;
                self.ledger.purge(upto, meta);
            }
        }
        Ok(())
    }

    /// Buffers a record; begins a new segment when it doesn't fit.
    fn put(&mut self, kind: Kind, seq: u64, index: u64, payload: &[u8]) -> io::Result<Place> {
        let stored = record::stored_bytes(payload.len());
        if self.active.tail + stored as u64 + CLOSE_BYTES > self.active.bytes {
            self.flush(true)?;
            self.rotate(stored as u64, seq)?;
        }
        let header = Header { kind, seq, index, synced: self.synced };
        record::encode(&mut self.buffer, self.active.file.salt, header, payload);
        let place = Place {
            segment: self.active.number,
            offset: self.active.tail,
            bytes: u32::try_from(payload.len()).map_err(io::Error::other)?,
        };
        self.active.tail += stored as u64;
        Ok(place)
    }

    /// Writes the buffer, and waits for the disk when `sync`.
    fn flush(&mut self, sync: bool) -> io::Result<()> {
        let file = &self.active.file;
        let start = self.active.tail - self.buffer.len() as u64;
        if !self.buffer.is_empty() {
            file.file.write_all_at(&self.buffer, start)?;
            file.used.store(self.active.tail, Relaxed);
            self.buffer.clear();
        }
        if sync && self.synced < self.active.tail {
            let started = Instant::now();
            file.file.sync_data()?;
            self.shared.counters.synced(started.elapsed());
            self.synced = self.active.tail;
        }
        let mut view = self.shared.view.lock();
        let view = &mut *view;
        for (index, seq, place) in self.placed.drain(..) {
            view.slots.settle(index, seq, place);
        }
        view.cache.shrink(self.shared.options.cache_bytes, |index| view.slots.place(index).is_some());
        Ok(())
    }

    /// Begins the next segment, which must take a record of `needed` bytes, numbered `seq`. All before it is synced.
    fn rotate(&mut self, needed: u64, seq: u64) -> io::Result<()> {
        let bytes = self.shared.options.segment_bytes.max(needed + HEAD_BYTES_MAX + CLOSE_BYTES);
        let file = self.spare.take(bytes)?;
        let head = Head::new(self.active.number + 1, bytes, self.ledger.clone());
        let (path, tail) = segment::publish(&self.dir, self.spare.path(), &file, &head, seq)?;

        let mut close = Vec::new();
        let header = Header { kind: Kind::Close, seq, index: head.number, synced: self.synced };
        record::encode(&mut close, self.active.file.salt, header, &[]);
        self.active.file.file.write_all_at(&close, self.active.tail)?;
        self.active.file.file.sync_data()?;

        let file = Arc::new(SegmentFile { path, file, salt: head.salt, used: AtomicU64::new(tail) });
        self.shared.view.lock().segments.insert(head.number, file.clone());
        let active = Active { number: head.number, file, bytes, tail, last_index: None };
        let full = std::mem::replace(&mut self.active, active);
        self.closed.push(Closed { number: full.number, last_index: full.last_index });
        self.synced = tail;
        Ok(())
    }

    /// Removes the oldest segments that hold nothing above the purged index. The purge itself is synced.
    fn drop_purged(&mut self) -> io::Result<()> {
        let purged = self.ledger.purged.as_ref().map(|(index, _)| *index);
        let count = self.closed.iter().take_while(|segment| segment.last_index <= purged).count();
        if count == 0 {
            return Ok(());
        }
        for segment in self.closed.drain(..count) {
            let removed = self.shared.view.lock().segments.remove(&segment.number);
            if let Some(removed) = removed {
                fs::remove_file(&removed.path)?;
            }
        }
        files::sync_dir(&self.dir)
    }
}

/// Poisons the log when the writer (or a callback on its thread) panics: nobody must wait for it forever.
struct PanicGuard(Arc<Shared>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        self.0.poison("the log's writer panicked", Vec::new());
    }
}
