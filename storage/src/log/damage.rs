//! Tests: every kind of damage to a log at rest is refused, with the file named.

use std::fs;
use std::path::{Path, PathBuf};

use super::tests::{TestResult, all, append, options, purge, segments, vote};
use super::*;

/// Entries in several segments, some purged, and a vote; all answered, then closed.
fn make(dir: &Path) -> TestResult {
    let log = Log::open(dir, options())?;
    vote(&log, b"vote")?;
    append(&log, 0..1_200, 300)?;
    purge(&log, 500)?;
    append(&log, 1_200..1_203, 300)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// What opening says after `harm` was done to a copy of the log.
fn after(
    harm: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<Result<LogState, LogError>, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    make(dir.path())?;
    harm(dir.path())?;
    Ok(Log::open(dir.path(), options()).map(|log| log.state()))
}

fn first(dir: &Path) -> PathBuf {
    segments(dir).first().cloned().unwrap_or_default()
}

fn last(dir: &Path) -> PathBuf {
    segments(dir).last().cloned().unwrap_or_default()
}

type Harm = fn(&Path) -> std::io::Result<()>;

#[test]
fn missing_shortened_and_renamed_files_are_refused() -> TestResult {
    let cases: [(&str, Harm); 9] = [
        ("the first segment is gone", |dir| fs::remove_file(first(dir))),
        ("a middle segment is gone", |dir| fs::remove_file(&segments(dir)[1])),
        ("the last segment is gone", |dir| fs::remove_file(last(dir))),
        ("all segments are gone", |dir| segments(dir).iter().try_for_each(fs::remove_file)),
        ("the marker is gone", |dir| fs::remove_file(dir.join(marker::MARKER))),
        ("the last segment is shorter", |dir| truncate_file(&last(dir), 100_000)),
        ("the last segment is empty", |dir| truncate_file(&last(dir), 0)),
        ("the first segment is shorter", |dir| truncate_file(&first(dir), 60_000)),
        ("the last segment has another name", |dir| {
            fs::rename(last(dir), dir.join("0000000099-00000000000000000000.seg"))
        }),
    ];
    for (name, harm) in cases {
        let opened = after(harm)?;
        assert!(opened.as_ref().is_err_and(LogError::is_damage), "{name}: {opened:?}");
    }
    Ok(())
}

fn truncate_file(path: &Path, bytes: u64) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.set_len(bytes)
}

#[test]
fn a_segment_of_another_log_in_the_place_of_one_is_refused() -> TestResult {
    let other = tempfile::tempdir()?;
    make(other.path())?;
    let foreign = first(other.path());
    let opened = after(move |dir| fs::copy(&foreign, last(dir)).map(|_| ()))?;
    assert!(opened.is_err_and(|error| error.is_damage()));
    Ok(())
}

#[test]
fn a_flipped_bit_in_any_byte_is_refused_or_lies_behind_everything_written() -> TestResult {
    let dir = tempfile::tempdir()?;
    {
        let log = Log::open(dir.path(), options())?;
        vote(&log, b"vote")?;
        append(&log, 0..4, 100)?;
        purge(&log, 0)?;
        append(&log, 4..6, 300)?;
    }
    let (path, expected) = (first(dir.path()), {
        let log = Log::open(dir.path(), options())?;
        (log.state(), all(&log)?)
    });
    let right = fs::read(&path)?;
    let used = right.iter().rposition(|byte| *byte != 0).unwrap_or_default() + 1;
    for at in (0..used).chain((used..right.len()).step_by(997)) {
        let mut wrong = right.clone();
        wrong[at] ^= 1 << (at % 8);
        fs::write(&path, &wrong)?;
        match Log::open(dir.path(), options()) {
            Err(error) => assert!(error.is_damage(), "byte {at}: {error}"),
            Ok(log) => assert!(at >= used && (log.state(), all(&log)?) == expected, "byte {at} of {used}"),
        }
    }
    Ok(())
}

#[test]
fn every_flipped_byte_of_the_marker_is_refused() -> TestResult {
    let dir = tempfile::tempdir()?;
    make(dir.path())?;
    let path = dir.path().join(marker::MARKER);
    let right = fs::read(&path)?;
    for at in 0..right.len() {
        let mut wrong = right.clone();
        wrong[at] ^= 1;
        fs::write(&path, wrong)?;
        assert!(Log::open(dir.path(), options()).is_err_and(|error| error.is_damage()), "byte {at}");
    }
    Ok(())
}

#[test]
fn a_segment_that_was_begun_and_never_used_is_removed() -> TestResult {
    let dir = tempfile::tempdir()?;
    make(dir.path())?;
    let state = Log::open(dir.path(), options())?.state();
    // A kill between naming the new segment and closing the old one.
    let log = Log::open(dir.path(), options())?;
    let shared = &log.inner.shared;
    let head = {
        let view = shared.view.lock();
        segment::Head::new(view.segments.keys().last().copied().unwrap_or_default() + 1, 128 << 10, view.ledger.clone())
    };
    let seq = shared.view.lock().next_seq;
    drop(log);
    let spare = dir.path().join("spare.tmp");
    let file = segment::allocate(&spare, head.bytes)?;
    segment::publish(dir.path(), &spare, &file, &head, seq)?;
    let count = segments(dir.path()).len();
    let log = Log::open(dir.path(), options())?;
    assert_eq!((log.state(), segments(dir.path()).len()), (state, count - 1));
    append(&log, 1_203..1_900, 300)
}

#[test]
fn changed_bytes_under_an_open_log_are_noticed_when_read() -> TestResult {
    let dir = tempfile::tempdir()?;
    make(dir.path())?;
    let log = Log::open(dir.path(), options())?;
    let path = first(dir.path());
    let mut bytes = fs::read(&path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes)?;
    assert!(all(&log).is_err_and(|error| error.is_damage()));
    Ok(())
}

#[test]
fn a_copy_of_a_directory_opens_like_the_original() -> TestResult {
    let (dir, target) = (tempfile::tempdir()?, tempfile::tempdir()?);
    make(dir.path())?;
    copy(dir.path(), target.path())?;
    let (here, there) = (Log::open(dir.path(), options())?, Log::open(target.path(), options())?);
    assert_eq!((here.state(), all(&here)?), (there.state(), all(&there)?));
    Ok(())
}

#[test]
fn a_torn_group_is_cut_and_wiped_so_that_no_part_of_it_comes_back() -> TestResult {
    let dir = tempfile::tempdir()?;
    make(dir.path())?; // its last group: entries 1,200 to 1,202
    let log = Log::open(dir.path(), options())?;
    let place = log.inner.shared.view.lock().slots.place(1_200).ok_or("entry 1200 is there")?;
    drop(log);
    let path = last(dir.path());
    let mut bytes = fs::read(&path)?;
    let start = usize::try_from(place.offset)?;
    bytes[start..(start / tail::SECTOR + 1) * tail::SECTOR].fill(0); // the disk lost the sector where the group begins
    fs::write(&path, bytes)?;
    let log = Log::open(dir.path(), options())?;
    assert_eq!(log.state().entries, 501..1_200);
    drop(log);
    assert!(fs::read(&path)?[start..].iter().all(|byte| *byte == 0));
    let log = Log::open(dir.path(), options())?;
    append(&log, 1_200..1_201, 10)?;
    drop(log);
    assert_eq!(Log::open(dir.path(), options())?.state().entries, 501..1_201);
    Ok(())
}
