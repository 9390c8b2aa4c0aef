//! What callers and the writer share: the view of the log as of the last call, and the one ordered queue.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::LogOptions;
use super::cache::Cache;
use super::error::LogError;
use super::ledger::Ledger;
use super::slots::Slots;

/// Operations that wait for the writer; a caller beyond that waits for room.
const QUEUE_OPS_MAX: usize = 1_024;
/// Bytes that wait for the writer, and that one group writes at most (one larger operation goes alone).
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Called once, on the writer's thread, when the operation is on the disk or has failed.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// One thing to write.
pub(super) enum Op {
    Append(Vec<(u64, Bytes)>),
    Vote(Vec<u8>),
    Committed(Vec<u8>),
    Truncate(u64),
    Purge(u64, Vec<u8>),
}

impl Op {
    fn records(&self) -> u64 {
        match self {
            Self::Append(entries) => entries.len() as u64,
            _ => 1,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Append(entries) => entries.iter().map(|(_, entry)| entry.len()).sum(),
            Self::Vote(bytes) | Self::Committed(bytes) | Self::Purge(_, bytes) => bytes.len(),
            Self::Truncate(_) => 0,
        }
    }
}

/// An operation in the queue.
pub(super) struct Queued {
    pub(super) op: Op,
    /// The sequence number of its first record.
    pub(super) seq: u64,
    pub(super) done: Option<Done>,
}

/// A segment that may be read.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) salt: u32,
    /// Bytes written, zeros behind them not counted.
    pub(super) used: AtomicU64,
}

/// The log as callers see it: every accepted operation has happened.
pub(super) struct View {
    pub(super) ledger: Ledger,
    pub(super) slots: Slots,
    pub(super) cache: Cache,
    pub(super) segments: BTreeMap<u64, Arc<SegmentFile>>,
    pub(super) next_seq: u64,
    pub(super) poison: Option<Arc<str>>,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    closing: bool,
}

impl View {
    pub(super) fn new(ledger: Ledger, slots: Slots, segments: BTreeMap<u64, Arc<SegmentFile>>, next_seq: u64) -> Self {
        Self {
            ledger,
            slots,
            cache: Cache::default(),
            segments,
            next_seq,
            poison: None,
            queue: VecDeque::new(),
            queued_bytes: 0,
            closing: false,
        }
    }
}

/// Counts of what the writer did.
#[derive(Debug, Default)]
pub(super) struct Counters {
    fsyncs: AtomicU64,
    total_nanos: AtomicU64,
    last_nanos: AtomicU64,
}

impl Counters {
    pub(super) fn synced(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.fsyncs.fetch_add(1, Relaxed);
        self.total_nanos.fetch_add(nanos, Relaxed);
        self.last_nanos.store(nanos, Relaxed);
    }

    pub(super) fn stats(&self) -> super::LogStats {
        super::LogStats {
            fsyncs: self.fsyncs.load(Relaxed),
            fsync_total: Duration::from_nanos(self.total_nanos.load(Relaxed)),
            fsync_last: Duration::from_nanos(self.last_nanos.load(Relaxed)),
        }
    }
}

/// View, queue and counters.
pub(super) struct Shared {
    pub(super) view: Mutex<View>,
    pub(super) counters: Counters,
    pub(super) options: LogOptions,
    work: Condvar,
    room: Condvar,
}

impl Shared {
    pub(super) fn new(view: View, options: LogOptions) -> Self {
        Self {
            view: Mutex::new(view),
            counters: Counters::default(),
            options,
            work: Condvar::new(),
            room: Condvar::new(),
        }
    }

    /// Lets `accept` change the view and queues `op`; both in one step, so that the queue's order is the view's.
    /// On an error nothing has happened and `done` is never called.
    pub(super) fn submit(
        &self,
        op: Op,
        done: Option<Done>,
        accept: impl FnOnce(&mut View, &Op) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let bytes = op.bytes();
        let mut view = self.view.lock();
        while view.poison.is_none()
            && !view.queue.is_empty()
            && (view.queue.len() >= QUEUE_OPS_MAX || view.queued_bytes + bytes > QUEUE_BYTES_MAX)
        {
            self.room.wait(&mut view);
        }
        if let Some(reason) = &view.poison {
            return Err(LogError::Poisoned(reason.clone()));
        }
        accept(&mut view, &op)?;
        let seq = view.next_seq;
        view.next_seq += op.records();
        view.queued_bytes += bytes;
        view.queue.push_back(Queued { op, seq, done });
        self.work.notify_one();
        Ok(())
    }

    /// All that waits, in order; `None` once the log is closed and nothing waits.
    pub(super) fn take_group(&self) -> Option<Vec<Queued>> {
        let mut view = self.view.lock();
        while view.queue.is_empty() {
            if view.closing {
                return None;
            }
            self.work.wait(&mut view);
        }
        view.queued_bytes = 0;
        let group = view.queue.drain(..).collect();
        self.room.notify_all();
        Some(group)
    }

    /// No more calls will come: the writer ends once the queue is empty.
    pub(super) fn close(&self) {
        self.view.lock().closing = true;
        self.work.notify_all();
    }

    /// Stops the log for good and fails everything that waits.
    pub(super) fn poison(&self, reason: &str, group: Vec<Done>) {
        let reason: Arc<str> = reason.into();
        let waiting: Vec<Queued> = {
            let mut view = self.view.lock();
            view.poison.get_or_insert_with(|| reason.clone());
            view.queued_bytes = 0;
            view.queue.drain(..).collect()
        };
        self.room.notify_all();
        tracing::error!(%reason, "the log stops: nothing is written any more");
        if let Some(hook) = &self.options.on_poison {
            hook(&reason);
        }
        for done in group.into_iter().chain(waiting.into_iter().filter_map(|queued| queued.done)) {
            done(Err(io::Error::other(reason.to_string())));
        }
    }
}
