//! A disk that fails under the running server: nothing is answered that is not kept, and nobody is told that it is.

mod callers;
mod faults;
#[path = "../support/mod.rs"]
mod support;

use callers::Callers;
use faults::Faults;
use support::{Server, inbox, until};

/// Codes of a durable call that was not kept, or perhaps.
const REFUSALS: [&str; 3] = ["no_quorum", "outcome_unknown", "not_ready"];

/// The process has ended because of its disk, having refused what was under way.
async fn assert_gave_up(server: &mut Server, callers: Callers) -> std::sync::Arc<callers::Answers> {
    let ended = tokio::task::block_in_place(|| server.ended());
    assert_eq!(ended.code, Some(70), "{ended:#?}");
    assert!(ended.said.contains("the log stops"), "{ended:#?}");
    let answers = callers.stop().await;
    let codes = answers.codes.lock().clone();
    assert!(!codes.is_empty() && codes.iter().all(|code| REFUSALS.contains(&code.as_str())), "{codes:?}");
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fsync_of_the_log_ends_the_server_and_nothing_that_was_answered_is_missing() {
    // An append; the file of the next segment; the directory, when that gets its name.
    for part in [".seg", "spare.tmp", "data/log"] {
        let faults = Faults::new();
        let mut server = faults.server();
        let callers = Callers::start(&server).await;
        callers.more(50).await;
        faults.begin("sync", part);
        let answers = assert_gave_up(&mut server, callers).await;
        assert!(!faults.is_on(), "{part}: the fault has happened");
        server.start();
        answers.assert_kept(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fsync_of_a_snapshot_or_of_the_tables_costs_no_answer() {
    for part in ["data/snapshots", "data/tables"] {
        let faults = Faults::new();
        let mut server = faults.server();
        let callers = Callers::start(&server).await;
        callers.more(50).await;
        faults.begin("sync", part);
        until("the fault", || async { (!faults.is_on()).then_some(()) }).await;
        callers.more(50).await;
        let answers = callers.stop().await;
        assert!(answers.unsure.lock().is_empty(), "{part}: {answers:?}");
        tokio::task::block_in_place(|| server.kill_and_restart());
        answers.assert_kept(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_against_all_checks_gets_the_ballast_and_nobody_notices() {
    let faults = Faults::new();
    let mut server = faults.server();
    let ballast = server.data_dir().join("log/ballast");
    assert!(ballast.exists(), "it is held from the start");
    let callers = Callers::start(&server).await;
    faults.begin("full", "spare.tmp");
    until("the ballast is given up", || async { (!ballast.exists()).then_some(()) }).await;
    callers.more(500).await;
    let answers = callers.stop().await;
    assert!(answers.unsure.lock().is_empty(), "{answers:?}");
    assert!(server.log().contains("the ballast file was given up"), "{}", server.log());
    faults.end();
    tokio::task::block_in_place(|| server.kill_and_restart());
    assert!(ballast.exists(), "it is held again");
    answers.assert_kept(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stays_full_ends_the_server_and_nothing_that_was_answered_is_missing() {
    let faults = Faults::new();
    let mut server = faults.server();
    let callers = Callers::start(&server).await;
    callers.more(50).await;
    faults.begin("over", "spare.tmp");
    let answers = assert_gave_up(&mut server, callers).await;
    // Full still: it serves what it has, or says why not.
    let kept = answers.kept.lock().len();
    match tokio::task::block_in_place(|| server.try_start()) {
        Ok(()) => {
            assert!(inbox::of(&server.api(), "1").await.len() >= kept);
            tokio::task::block_in_place(|| server.kill());
        }
        Err(ended) => assert_eq!(ended.code, Some(70), "{ended:#?}"),
    }
    faults.end();
    server.start();
    answers.assert_kept(&server).await;
}
