//! The whole log against a model, and against damage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

pub(super) type TestResult = Result<(), Box<dyn std::error::Error>>;

pub(super) fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES_MIN,
        cache_bytes: 2_000,
        ballast_bytes: 0,
        identity: b"cluster-1".to_vec(),
        on_poison: None,
    }
}

/// A callback and a way to wait for it.
pub(super) fn waiter() -> (impl FnOnce(io::Result<()>) + Send + 'static, impl FnOnce() -> io::Result<()>) {
    let (sender, receiver) = mpsc::channel();
    let done = move |result| {
        let _ = sender.send(result);
    };
    (done, move || receiver.recv().map_err(io::Error::other)?)
}

pub(super) fn entry(index: u64, bytes: usize) -> Bytes {
    Bytes::from(vec![(index % 251) as u8; bytes])
}

pub(super) fn append(log: &Log, range: Range<u64>, bytes: usize) -> TestResult {
    let (done, wait) = waiter();
    log.append(range.map(|index| (index, entry(index, bytes))).collect(), done)?;
    Ok(wait()?)
}

pub(super) fn purge(log: &Log, upto: u64) -> TestResult {
    let (done, wait) = waiter();
    log.purge(upto, upto.to_be_bytes().to_vec(), done)?;
    Ok(wait()?)
}

pub(super) fn vote(log: &Log, vote: &[u8]) -> TestResult {
    let (done, wait) = waiter();
    log.save_vote(vote.to_vec(), done)?;
    Ok(wait()?)
}

pub(super) fn segments(dir: &Path) -> Vec<PathBuf> {
    segment::list(dir).unwrap_or_default().into_iter().map(|(_, path)| path).collect()
}

pub(super) fn all(log: &Log) -> Result<Vec<(u64, Bytes)>, LogError> {
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

/// A caller's operation, for the model.
#[derive(Clone, Debug)]
enum Step {
    Append(u8, u16),
    Truncate(u8),
    Purge(u8),
    Vote(u8),
    Committed(u8),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..20_u8, 0..3_000_u16).prop_map(|(count, bytes)| Step::Append(count, bytes)),
        1 => any::<u8>().prop_map(Step::Truncate),
        1 => any::<u8>().prop_map(Step::Purge),
        1 => any::<u8>().prop_map(Step::Vote),
        1 => any::<u8>().prop_map(Step::Committed),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_log_does_what_a_list_would_do(steps in steps()) {
        run_against_model(&steps).map_err(|error| TestCaseError::fail(error.to_string()))?;
    }
}

fn run_against_model(steps: &[Step]) -> TestResult {
    let dir = tempfile::tempdir()?;
    let mut log = Log::open(dir.path(), options())?;
    let mut model = LogState { last_purged: None, entries: 0..0, vote: None, committed: None };
    let mut entries: Vec<(u64, Bytes)> = Vec::new();
    let ignore = |_: io::Result<()>| {};
    for step in steps {
        let Range { start, end } = model.entries;
        match step {
            Step::Append(count, bytes) => {
                let new: Vec<_> = (end..end + u64::from(*count))
                    .map(|index| (index, entry(index + entries.len() as u64, usize::from(*bytes))))
                    .collect();
                log.append(new.clone(), ignore)?;
                entries.extend(new);
                model.entries.end += u64::from(*count);
            }
            Step::Truncate(at) => {
                let from = start + u64::from(*at) % (end - start + 1);
                log.truncate(from, ignore)?;
                entries.retain(|(index, _)| *index < from);
                model.entries.end = from;
            }
            Step::Purge(at) => {
                let upto = start + u64::from(*at) % (end - start + 4);
                log.purge(upto, vec![*at], ignore)?;
                entries.retain(|(index, _)| *index > upto);
                model.entries = upto + 1..end.max(upto + 1);
                model.last_purged = Some((upto, vec![*at]));
            }
            Step::Vote(vote) => {
                log.save_vote(vec![*vote], ignore)?;
                model.vote = Some(vec![*vote]);
            }
            Step::Committed(id) => {
                log.save_committed(vec![*id])?;
                model.committed = Some(vec![*id]);
            }
            Step::Reopen => {
                drop(log);
                log = Log::open(dir.path(), options())?;
            }
        }
        assert_eq!((log.state(), &all(&log)?), (model.clone(), &entries), "after {step:?}");
    }
    Ok(())
}

#[test]
fn after_a_failed_write_every_call_fails_and_nothing_is_written() -> TestResult {
    let dir = tempfile::tempdir()?;
    let (sender, reasons) = mpsc::channel();
    let hook: PoisonHook = Arc::new(move |reason: &str| drop(sender.send(reason.to_owned())));
    let log = Log::open(dir.path(), LogOptions { on_poison: Some(hook), ..options() })?;
    append(&log, 0..1, 10)?;
    fs::create_dir(dir.path().join("spare.tmp"))?; // the next segment cannot be made
    let (done, wait) = waiter();
    log.append((1..600).map(|index| (index, entry(index, 1_000))).collect(), done)?;
    assert!(wait().is_err());
    assert!(reasons.recv()?.contains("directory"));
    assert!(matches!(log.poisoned(), Some(LogError::Poisoned(_))));
    let before: Vec<_> = segments(dir.path()).iter().map(fs::read).collect::<Result<_, _>>()?;
    assert!(matches!(log.save_vote(vec![1], |_| {}), Err(LogError::Poisoned(_))));
    assert!(matches!(log.save_committed(vec![1]), Err(LogError::Poisoned(_))));
    assert_eq!(segments(dir.path()).iter().map(fs::read).collect::<Result<Vec<_>, _>>()?, before);
    drop(log);
    fs::remove_dir(dir.path().join("spare.tmp"))?;
    assert!(Log::open(dir.path(), options())?.state().entries.end >= 1);
    Ok(())
}

#[test]
fn calls_that_wait_together_share_a_sync_and_are_answered_in_order() -> TestResult {
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path(), options())?;
    let (open_gate, gate) = mpsc::channel::<()>();
    let (sender, answers) = mpsc::channel();
    log.save_vote(vec![1], move |_| gate.recv().unwrap_or_default())?; // holds up the writer's thread
    for index in 0..200_u64 {
        let sender = sender.clone();
        log.append(vec![(index, entry(index, 10))], move |result| {
            let _ = sender.send((index, result.is_ok()));
        })?;
    }
    drop(sender);
    assert_eq!(log.read(199..200, 100)?.len(), 1, "an entry can be read before it is on the disk");
    open_gate.send(())?;
    let answers: Vec<_> = answers.iter().collect();
    assert_eq!(answers, (0..200).map(|index| (index, true)).collect::<Vec<_>>());
    // One group, or two when the writer took the vote after the first appends had come.
    assert!(log.stats().fsyncs <= 2, "{:?}", log.stats());
    Ok(())
}
