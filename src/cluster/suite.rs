//! openraft's own test suite for storages, run on ours: the segment log and the tables, on a real disk.

use super::{
    codec::AppliedState,
    log_store::LogStore,
    recover::{self, Opened},
    snapshot::WrittenSlot,
    state_machine::{StateMachine, ToldSlot},
    types::{StorageError, TypeConfig},
};
use crate::{broker::Broker, config::Limits, records::Roster};
use carillon_storage::{LogOptions, tables};
use openraft::testing::{StoreBuilder, Suite};
use parking_lot::Mutex;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError> {
        let dir = tempfile::tempdir().expect("a directory");
        // Small segments, so that the suite's few entries span several.
        let log = LogOptions { segment_bytes: 1, ballast_bytes: 0, ..LogOptions::default() };
        let opened = recover::open(dir.path(), log, &tables::Options::default(), None).expect("an empty directory");
        let Opened { log, snapshots, tables, applied } = opened;
        assert_eq!(applied, AppliedState::default());
        let broker = Broker::start(&Limits::default(), 1, &CancellationToken::new(), &TaskTracker::new());
        let roster = Arc::new(Mutex::new(Roster::default()));
        let machine = StateMachine {
            tables,
            snapshots,
            written: WrittenSlot::default(),
            roster,
            broker,
            told: ToldSlot::default(),
            applied,
            progress: crate::records::Progress::default(),
            counting: crate::cluster::state_machine::CountingSlot::default(),
        };
        Ok((dir, LogStore::new(log), machine))
    }
}

type Cases = Suite<TypeConfig, LogStore, StateMachine, OnDisk, TempDir>;

macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (_dir, log, machine) = OnDisk.build().await.expect("storages");
                Cases::$case(log, machine).await.expect("the case");
            }
        )*
    };
}

// `Suite::test_all` but for `get_initial_state_membership_from_log_and_sm`: it appends entry 1 to a log that is purged
// up to entry 2, and then entry 3 behind it. Our log refuses both, as openraft's own rule ("no hole in logs") has it.
suite! {
    last_membership_in_log_initial,
    last_membership_in_log,
    last_membership_in_log_multi_step,
    get_membership_initial,
    get_membership_from_log_and_empty_sm,
    get_membership_from_empty_log_and_sm,
    get_membership_from_log_le_sm_last_applied,
    get_membership_from_log_gt_sm_last_applied_1,
    get_membership_from_log_gt_sm_last_applied_2,
    get_initial_state_without_init,
    get_initial_state_with_state,
    get_initial_state_last_log_gt_sm,
    get_initial_state_last_log_lt_sm,
    get_initial_state_log_ids,
    get_initial_state_re_apply_committed,
    save_vote,
    get_log_entries,
    limited_get_log_entries,
    try_get_log_entry,
    initial_logs,
    get_log_state,
    get_log_id,
    last_id_in_log,
    last_applied_state,
    purge_logs_upto_0,
    purge_logs_upto_5,
    purge_logs_upto_20,
    delete_logs_since_11,
    delete_logs_since_0,
    append_to_log,
    snapshot_meta,
    apply_single,
    apply_multiple,
}

#[tokio::test]
async fn transfer_snapshot() {
    Cases::transfer_snapshot(&OnDisk).await.expect("the case");
}
