//! Readers that overlap without a pause do not keep commits from the tables.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use carillon_storage::tables::{Direction, Options, Read, Tables, Writes};

/// Threads that read.
const READERS: usize = 4;
/// What each scan reads: long enough that some reader always holds the tables.
const RECORDS: u32 = 5_000;
const COMMITS: u64 = 100;
/// Only a failing test waits for so long.
const PATIENCE: Duration = Duration::from_secs(120);

fn key(record: u32) -> Vec<u8> {
    [&[1][..], &record.to_be_bytes()].concat()
}

#[test]
fn four_threads_that_scan_without_a_pause_do_not_keep_commits_out() {
    let home = tempfile::tempdir().expect("a directory");
    let tables = Tables::open(&home.path().join("tables"), &Options::default()).expect("tables");
    let records: Writes = (0..RECORDS).map(|record| (key(record), Some(vec![7; 100]))).collect();
    tables.commit(&records, b"0").expect("a commit");
    let (is_over, scans) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    let mut count = 0;
                    let all = tables.reader().scan(&key(0), &[2], Direction::Forward, &mut |_, _| {
                        count += 1;
                        ControlFlow::Continue(())
                    });
                    all.expect("a scan");
                    assert_eq!(count, RECORDS);
                    scans.fetch_add(1, SeqCst);
                }
            });
        }
        let (done, committed) = mpsc::channel();
        let writer = tables.clone();
        let scans = &scans;
        scope.spawn(move || {
            // The readers are at it before the first commit.
            while scans.load(SeqCst) < READERS as u64 {
                thread::yield_now();
            }
            for nth in 1..=COMMITS {
                let one = Writes::from([(key(0), Some(nth.to_be_bytes().to_vec()))]);
                writer.commit(&one, &nth.to_be_bytes()).expect("a commit");
            }
            done.send(scans.load(SeqCst)).expect("somebody waits");
        });
        let finished = committed.recv_timeout(PATIENCE);
        is_over.store(true, SeqCst);
        finished.expect("commits pass between readers");
    });
    assert_eq!(tables.applied().as_deref(), Some(&COMMITS.to_be_bytes()[..]));
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "a second one could wait for ever")]
fn a_second_reader_in_one_thread_is_a_mistake_that_development_builds_find() {
    let home = tempfile::tempdir().expect("a directory");
    let tables = Tables::open(&home.path().join("tables"), &Options::default()).expect("tables");
    let _first = tables.reader();
    let _second = tables.reader();
}
