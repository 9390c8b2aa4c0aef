//! The whole log against a model, and against damage.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use bytes::Bytes;

use super::*;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES_MIN,
        cache_bytes: 2_000,
        ballast_bytes: 0,
        identity: b"cluster-1".to_vec(),
        on_poison: None,
    }
}

/// A callback and a way to wait for it.
fn waiter() -> (impl FnOnce(io::Result<()>) + Send + 'static, impl FnOnce() -> io::Result<()>) {
    let (sender, receiver) = mpsc::channel();
    let done = move |result| {
        let _ = sender.send(result);
    };
    (done, move || receiver.recv().map_err(io::Error::other)?)
}

fn entry(index: u64, bytes: usize) -> Bytes {
    Bytes::from(vec![(index % 251) as u8; bytes])
}

fn append(log: &Log, range: Range<u64>, bytes: usize) -> TestResult {
    let (done, wait) = waiter();
    log.append(range.map(|index| (index, entry(index, bytes))).collect(), done)?;
    Ok(wait()?)
}

fn purge(log: &Log, upto: u64) -> TestResult {
    let (done, wait) = waiter();
    log.purge(upto, upto.to_be_bytes().to_vec(), done)?;
    Ok(wait()?)
}

fn vote(log: &Log, vote: &[u8]) -> TestResult {
    let (done, wait) = waiter();
    log.save_vote(vote.to_vec(), done)?;
    Ok(wait()?)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    segment::list(dir).unwrap_or_default().into_iter().map(|(_, path)| path).collect()
}

fn all(log: &Log) -> Result<Vec<(u64, Bytes)>, LogError> {
    log.read(0..u64::MAX, usize::MAX)
}

#[test]
fn what_was_answered_is_there_after_opening_again() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path(), options())?;
    vote(&log, b"vote-7")?;
    append(&log, 0..2_000, 300)?;
    log.save_committed(b"committed".to_vec())?;
    let (done, wait) = waiter();
    log.truncate(1_900, done)?;
    wait()?;
    append(&log, 1_900..1_950, 200)?;
    purge(&log, 1_000)?;
    let (state, entries) = (log.state(), all(&log)?);
    assert_eq!(state.entries, 1_001..1_950);
    assert_eq!(entries.len(), 949);
    assert_eq!(entries.last(), Some(&(1_949, entry(1_949, 200))));
    drop(log);
    let log = Log::open(dir.path(), LogOptions { identity: b"other".to_vec(), ..options() })?;
    assert_eq!((log.state(), all(&log)?, log.identity()), (state, entries, &b"cluster-1"[..]));
    assert_eq!(log.state().vote.as_deref(), Some(&b"vote-7"[..]));
    append(&log, 1_950..1_960, 100)
}

#[test]
fn purging_removes_whole_segments_and_shrinks_the_log() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path(), options())?;
    append(&log, 0..3_000, 300)?;
    let (before, bytes) = (segments(dir.path()).len(), log.bytes());
    purge(&log, 2_999)?;
    assert!(before > 5 && segments(dir.path()).len() == 1 && log.bytes() < bytes / 4);
    assert_eq!(all(&log)?, vec![]);
    drop(log);
    let log = Log::open(dir.path(), options())?;
    assert_eq!(log.state().last_purged, Some((2_999, 2_999_u64.to_be_bytes().to_vec())));
    append(&log, 3_000..3_001, 10)
}

#[test]
fn a_purge_beyond_the_end_moves_the_log_behind_a_snapshot() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path(), options())?;
    append(&log, 0..10, 300)?;
    purge(&log, 500)?;
    assert!(append(&log, 10..11, 1).is_err());
    append(&log, 501..503, 1)?;
    drop(log);
    assert_eq!(Log::open(dir.path(), options())?.state().entries, 501..503);
    Ok(())
}

#[test]
fn an_entry_larger_than_a_segment_gets_one_of_its_own() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path(), options())?;
    append(&log, 0..1, 10)?;
    append(&log, 1..3, 500_000)?;
    append(&log, 3..4, 10)?;
    drop(log);
    let log = Log::open(dir.path(), options())?;
    assert_eq!(log.read(1..3, 1)?, vec![(1, entry(1, 500_000))]);
    assert_eq!(all(&log)?.len(), 4);
    Ok(())
}

#[test]
fn reading_gives_at_least_one_entry_and_nothing_for_a_range_that_is_empty_or_not_there() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path(), options())?;
    append(&log, 5..50, 100)?;
    assert_eq!(log.read(7..9, 0)?.len(), 1);
    assert_eq!(log.read(7..40, 1_000)?.len(), 10);
    #[expect(clippy::reversed_empty_ranges, reason = "the case under test")]
    let backwards = log.read(9..7, 1_000)?;
    assert!(backwards.is_empty() && log.read(0..5, 9)?.is_empty() && log.read(50..60, 9)?.is_empty());
    Ok(())
}

#[test]
fn a_gap_is_refused_and_changes_nothing() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path(), options())?;
    append(&log, 0..3, 1)?;
    for wrong in [vec![4], vec![2], vec![3, 5]] {
        let entries = wrong.iter().map(|index| (*index, Bytes::new())).collect();
        assert!(matches!(log.append(entries, |_| {}), Err(LogError::NotContiguous { .. })), "{wrong:?}");
    }
    assert_eq!(log.state().entries, 0..3);
    append(&log, 3..4, 1)
}

#[test]
fn a_second_opening_is_refused_while_the_first_lives() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path(), options())?;
    assert!(matches!(Log::open(dir.path(), options()), Err(LogError::Locked(_))));
    drop(log);
    Log::open(dir.path(), options())?;
    Ok(())
}
