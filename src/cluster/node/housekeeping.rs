//! What a running node does beside applying: flushes its tables, writes snapshots, cuts the log.

use super::Node;
use crate::{
    cluster::{codec::AppliedState, snapshot::SnapshotBuilder},
    config,
};
use carillon_storage::{snapshot::SnapshotFile, space};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the log's size is held against the bound for a snapshot.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Least time between two snapshots: openraft takes notice of one after the other.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(3);
/// Entries after which the tables are flushed: sled's flush costs more the more batches wait for it.
const CHECKPOINT_ENTRIES: u64 = 500;

impl Node {
    /// Flushes the tables now and then, and cuts the log: a snapshot once the log is larger than the bound and half of
    /// the last snapshot; two snapshots stay, and the log from the older one on.
    pub(super) async fn keep_house(self, settings: config::Storage, shutdown: CancellationToken) {
        let mut checkpoint_of = 0;
        let mut not_before = Instant::now();
        let mut was_full = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(HOUSEKEEPING) => {}
            }
            // Before anything below needs space.
            let log = self.log.clone();
            let _ = tokio::task::spawn_blocking(move || log.keep_ballast()).await;
            was_full = self.note_room(was_full);
            let applied = self.applied_index();
            if applied >= checkpoint_of + CHECKPOINT_ENTRIES {
                checkpoint_of = applied;
                self.checkpoint().await;
            }
            // Half: whoever was away reads a snapshot several times as fast as the log that made it.
            let bound = settings.snapshot_log_bytes.max(self.newest_snapshot_bytes() / 2);
            if self.log.bytes() > bound && Instant::now() >= not_before {
                not_before = Instant::now() + SNAPSHOT_PAUSE;
                self.snapshot(settings.reserve_bytes).await;
            }
            self.cut_log().await;
            self.note_installed().await;
        }
    }

    /// Says once that the disk is full, and once that it is over; whether it is full now.
    fn note_room(&self, was_full: bool) -> bool {
        let is_full = self.leadership.disk_is_full();
        let free_bytes = self.log.room().unwrap_or(0);
        if is_full && !was_full {
            tracing::error!(
                free_bytes,
                data_dir = %self.data_dir.display(),
                "the disk is full: nothing more is stored until there is room; reads, open sockets and events go on"
            );
        } else if was_full && !is_full {
            tracing::info!(free_bytes, "the disk has room again: changes are stored as before");
        }
        is_full
    }

    /// A snapshot from a peer is taken in once the log goes on behind it.
    async fn note_installed(&self) {
        let Some(company) = &self.company else { return };
        let Some(index) = company.identity.installing() else { return };
        if self.log.state().last_purged.is_none_or(|(purged, _)| purged < index) || self.applied_index() < index {
            return;
        }
        let identity = company.identity.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || identity.set_installing(None)).await {
            tracing::warn!(%error, "that a snapshot was taken in is noted later");
        }
    }

    /// Drops the entries that the older of two snapshots makes needless, once every byte of it has been read back.
    async fn cut_log(&self) {
        let Some((older, upto)) = self.purgeable() else { return };
        let checked = older.clone();
        match tokio::task::spawn_blocking(move || checked.verify()).await {
            Ok(Ok(())) => {
                if let Err(error) = self.raft.trigger().purge_log(upto).await {
                    tracing::error!(%error, "the log cannot be cut");
                }
            }
            Ok(Err(error)) => {
                tracing::error!(%error, path = %older.path.display(), "a snapshot is damaged: it is set aside, the log stays");
                if let Err(error) = self.snapshots.set_aside(&older) {
                    tracing::error!(%error, "the damaged snapshot stays where it is");
                }
            }
            Err(error) => tracing::error!(%error, "a snapshot could not be checked"),
        }
    }

    async fn snapshot(&self, reserve_bytes: u64) {
        let room = space::free_bytes(&self.data_dir).unwrap_or(u64::MAX);
        if room < reserve_bytes.saturating_add(self.tables.disk_bytes().unwrap_or(0)) {
            tracing::warn!(free = room, "too little space for a snapshot: the log is not cut");
            return;
        }
        let (tables, snapshots) = (self.tables.clone(), self.snapshots.clone());
        let builder = SnapshotBuilder { tables, snapshots, written: self.written.clone() };
        match builder.write().await {
            Ok(file) => {
                tracing::info!(bytes = file.bytes, "snapshot written");
                *self.written.file.lock() = Some(file);
                if let Err(error) = self.raft.trigger().snapshot().await {
                    tracing::error!(%error, "the snapshot is not taken notice of");
                }
            }
            Err(error) => tracing::warn!(%error, "no snapshot now: the log is not cut"),
        }
    }

    /// The older of two snapshots and its last entry, if the log still has that.
    fn purgeable(&self) -> Option<(SnapshotFile, u64)> {
        let snapshots = self.snapshots.list().ok()?;
        let [_, older, ..] = snapshots.as_slice() else { return None };
        let upto = AppliedState::decode(&older.meta).ok()?.last?.index;
        (self.log.state().entries.start <= upto).then(|| (older.clone(), upto))
    }

    /// Flushes the tables. Nothing depends on it but the cost of the next flush, and how much the next start replays.
    pub(super) async fn checkpoint(&self) {
        let tables = self.tables.clone();
        let saved = tokio::task::spawn_blocking(move || tables.checkpoint()).await;
        if !matches!(saved, Ok(Ok(()))) {
            tracing::warn!("the tables were not flushed: the next start replays more of the log");
        }
    }
}
