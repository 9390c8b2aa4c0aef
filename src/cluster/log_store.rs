//! openraft's log and vote on the segment log. Holds no state of its own.

use super::{
    codec,
    types::{Entry, LogId, StorageError, StorageIOError, TypeConfig, Vote},
};
use bytes::Bytes;
use carillon_storage::log::{Log, LogError};
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    storage::{LogFlushed, RaftLogStorage},
};
use std::{
    fmt::Debug,
    io,
    ops::{Range, RangeBounds},
};
use tokio::sync::oneshot;

/// Largest piece that is read for another node, in bytes; openraft asks again for the rest.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// Entries between two notes of what is committed.
const COMMITTED_EVERY: u64 = 256;

/// The log as openraft sees it; clones share the log.
#[derive(Clone, Debug)]
pub(crate) struct LogStore {
    log: Log,
    /// The committed index that was noted last.
    committed: u64,
}

impl LogStore {
    pub(crate) fn new(log: Log) -> Self {
        Self { log, committed: 0 }
    }

    /// Entries from the beginning of the range, up to so many bytes, at least one if there is one.
    #[expect(clippy::result_large_err, reason = "openraft's error type")]
    pub(super) fn entries(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<Entry>, StorageError> {
        let read = |e: &dyn std::error::Error| StorageIOError::read_logs(openraft::AnyError::error(e));
        let records = self.log.read(range, bytes_max).map_err(|e| read(&e))?;
        records.iter().map(|(_, bytes)| codec::decode(bytes).map_err(|e| read(&e).into())).collect()
    }
}

/// Waits for a write to be on disk.
async fn on_disk(start: impl FnOnce(Done) -> Result<(), LogError>) -> io::Result<()> {
    let (tx, rx) = oneshot::channel();
    start(Box::new(move |result| {
        // Nobody waits any more: openraft is shutting down.
        let _ = tx.send(result);
    }))
    .map_err(io::Error::other)?;
    rx.await.unwrap_or_else(|_| Err(io::Error::other("the log's writer has stopped")))
}

type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

impl RaftLogReader<TypeConfig> for LogStore {
    /// All of them: openraft takes fewer than it asked for as a loss and stops, for example when it applies at
    /// start-up what the tables lack.
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let from = match range.start_bound() {
            std::ops::Bound::Included(i) => *i,
            std::ops::Bound::Excluded(i) => i + 1,
            std::ops::Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            std::ops::Bound::Included(i) => i + 1,
            std::ops::Bound::Excluded(i) => *i,
            std::ops::Bound::Unbounded => u64::MAX,
        };
        self.entries(from..to, usize::MAX)
    }

    /// As many of the first as one message to a follower may carry.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        self.entries(start..end, PIECE_BYTES_MAX)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let read = |e: &dyn std::error::Error| StorageIOError::read_logs(openraft::AnyError::error(e));
        let state = self.log.state();
        let purged: Option<LogId> =
            state.last_purged.map(|(_, meta)| codec::decode(&meta)).transpose().map_err(|e| read(&e))?;
        let last = if state.entries.is_empty() {
            purged
        } else {
            let index = state.entries.end - 1;
            self.try_get_log_entries(index..=index).await?.first().map(|entry| entry.log_id)
        };
        Ok(LogState { last_purged_log_id: purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let bytes = codec::encode(vote).map_err(|e| StorageIOError::write_vote(&e))?;
        on_disk(|done| self.log.save_vote(bytes, done)).await.map_err(|e| StorageIOError::write_vote(&e).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let vote = self.log.state().vote;
        vote.map(|bytes| codec::decode(&bytes)).transpose().map_err(|e| StorageIOError::read_vote(&e).into())
    }

    /// Now and then, and without waiting for the disk: at start-up openraft applies up to the note in small pieces,
    /// and only what lies behind it at once.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let Some(id) = committed.filter(|id| id.index >= self.committed + COMMITTED_EVERY) else { return Ok(()) };
        self.committed = id.index;
        let bytes = codec::encode(&id).map_err(|e| StorageIOError::write_logs(&e))?;
        self.log.save_committed(bytes).map_err(|e| StorageIOError::write_logs(&e).into())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let committed = self.log.state().committed;
        committed.map(|bytes| codec::decode(&bytes)).transpose().map_err(|e| StorageIOError::read_logs(&e).into())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encode = |entry: Entry| Ok((entry.log_id.index, Bytes::from(codec::encode(&entry)?)));
        let records: Result<Vec<_>, carillon_storage::CodecError> = entries.into_iter().map(encode).collect();
        let records = records.map_err(|e| StorageIOError::write_logs(&e))?;
        self.log
            .append(records, move |result| callback.log_io_completed(result))
            .map_err(|e| StorageIOError::write_logs(&e).into())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        on_disk(|done| self.log.truncate(log_id.index, done)).await.map_err(|e| StorageIOError::write_logs(&e).into())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let meta = codec::encode(&log_id).map_err(|e| StorageIOError::write_logs(&e))?;
        on_disk(|done| self.log.purge(log_id.index, meta, done))
            .await
            .map_err(|e| StorageIOError::write_logs(&e).into())
    }
}
