//! The store against its stand-in, against damage, and under a running scan.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::snapshot::Snapshots;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn options() -> Options {
    Options { cache_bytes: 8 << 20, scan_bytes: 1 << 20 }
}

fn key(table: u8, number: u32) -> Vec<u8> {
    let mut key = vec![table];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn put(range: std::ops::Range<u32>, text: &str) -> Writes {
    range.map(|number| (key(1, number), Some(format!("{text} {number}").into_bytes()))).collect()
}

fn all(read: &impl Read) -> Result<Chunk, TableError> {
    let mut found = Vec::new();
    read.scan(&[], &[], Direction::Forward, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

#[test]
fn a_commit_is_there_after_opening_again() -> TestResult {
    let dir = tempfile::tempdir()?;
    let tables = Tables::open(dir.path(), &options())?;
    assert_eq!(tables.applied(), None);
    tables.commit(&put(0..100, "first"), b"1")?;
    let mut second = put(50..60, "second");
    second.extend((0..10).map(|number| (key(1, number), None)));
    tables.commit(&second, b"2")?;
    assert_eq!((tables.count(1), tables.count(2)), (90, 0));
    tables.checkpoint()?;
    let before = all(&tables.reader())?;
    drop(tables);
    let tables = Tables::open(dir.path(), &options())?;
    assert_eq!((tables.applied(), tables.count(1)), (Some(b"2".to_vec()), 90));
    assert_eq!(all(&tables.reader())?, before);
    assert_eq!(tables.reader().get(&key(1, 55))?, Some(b"second 55".to_vec()));
    assert!(tables.disk_bytes()? > 0);
    Ok(())
}

#[test]
fn a_snapshot_taken_while_commits_go_on_restores_the_moment_it_began() -> TestResult {
    let dir = tempfile::tempdir()?;
    let tables = Tables::open(&dir.path().join("tables"), &options())?;
    tables.commit(&put(0..1_000, "old"), b"1")?;
    let before = all(&tables.reader())?;
    let mut scan = tables.scan_consistently()?;
    let snapshots = Snapshots::open(&dir.path().join("snapshots"))?;
    let mut writer = snapshots.create(b"meta")?;
    let mut round = 0;
    while let Some(chunk) = scan.next_chunk(64)? {
        for (key, value) in chunk {
            writer.push(&key, &value)?;
        }
        round += 1;
        let mut writes = put(0..1_200, &format!("new {round}"));
        writes.extend((0..1_000).step_by(7).map(|number| (key(1, number), None)));
        tables.commit(&writes, b"2")?;
    }
    let file = writer.finish()?;
    drop(tables);
    let restored = restore_from(&dir.path().join("tables"), &options(), &file, b"1")?;
    assert_eq!(all(&restored.reader())?, before);
    drop(restored);
    let restored = Tables::open(&dir.path().join("tables"), &options())?;
    assert_eq!((restored.applied(), restored.count(1)), (Some(b"1".to_vec()), 1_000));
    Ok(())
}

fn filled(dir: &Path) -> Result<Chunk, Box<dyn std::error::Error>> {
    let tables = Tables::open(dir, &options())?;
    for round in 0..20_u32 {
        let mut writes = put(round * 50..round * 50 + 100, &format!("round {round}"));
        writes.insert(key(2, round), Some(vec![7; 3_000]));
        tables.commit(&writes, &round.to_be_bytes())?;
        if round % 5 == 0 {
            tables.checkpoint()?;
        }
    }
    tables.checkpoint()?;
    let records = all(&tables.reader())?;
    Ok(records)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// What opening a copy says after `harm` was done to it: refused, or exactly what was there.
fn refused(original: &Path, records: &Chunk, harm: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<bool, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    copy(original, dir.path()).and_then(|()| harm(dir.path())).map_err(|error| error.to_string())?;
    match Tables::open(dir.path(), &options()) {
        Err(error) if error.is_damage() => Ok(true),
        Err(error) => Err(error.to_string()),
        // An empty store, or an older one that says so, is the caller's to compare with the log.
        Ok(tables) if tables.applied() != Some(19_u32.to_be_bytes().to_vec()) => Ok(true),
        Ok(tables) => match all(&tables.reader()) {
            Ok(found) if found == *records => Ok(false),
            Ok(_) => Err("the store opened with other records than were committed".into()),
            Err(_) => Ok(true),
        },
    }
}

#[test]
fn a_store_whose_files_are_missing_or_cut_is_refused_or_says_that_it_is_older() -> TestResult {
    let dir = tempfile::tempdir()?;
    let records = filled(dir.path())?;
    type Harm = fn(&Path) -> std::io::Result<()>;
    let cut = |path: &Path, part: u64| -> std::io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(path.join("db"))?;
        file.set_len(file.metadata()?.len() / 8 * part)
    };
    let cases: [(&str, Harm); 4] = [
        ("the directory is gone", |dir| fs::remove_dir_all(dir)),
        ("the db file is gone", |dir| fs::remove_file(dir.join("db"))),
        ("the marker is gone", |dir| fs::remove_file(dir.join("COMPLETE"))),
        ("the directory is empty", |dir| fs::remove_dir_all(dir).and_then(|()| fs::create_dir(dir))),
    ];
    for (name, harm) in cases {
        assert_eq!(refused(dir.path(), &records, harm), Ok(true), "{name}");
    }
    for part in 0..8 {
        refused(dir.path(), &records, |dir| cut(dir, part)).map_err(|what| format!("cut to {part}/8: {what}"))?;
    }
    Ok(())
}

#[test]
fn a_store_with_damaged_bytes_never_opens_with_other_records() -> TestResult {
    let dir = tempfile::tempdir()?;
    let records = filled(dir.path())?;
    let right = fs::read(dir.path().join("db"))?;
    let used: Vec<usize> = (0..right.len()).filter(|at| right[*at] != 0).collect();
    let (mut refusals, mut wrong) = (0, Vec::new());
    for round in 0..60 {
        let at = used[used.len() * round / 60 + round];
        let harm = |dir: &Path| {
            let mut bytes = right.clone();
            bytes[at] ^= 1 << (round % 8);
            fs::write(dir.join("db"), bytes)
        };
        match refused(dir.path(), &records, harm) {
            Ok(refused) => refusals += usize::from(refused),
            Err(what) => wrong.push(format!("byte {at}: {what}")),
        }
    }
    if !wrong.is_empty() || refusals == 0 {
        return Err(format!("{refusals} of 60 refused, wrong: {wrong:?}").into());
    }
    Ok(())
}

#[test]
fn a_record_changed_behind_the_stores_back_is_refused() -> TestResult {
    type Harm = fn(&sled::Tree) -> sled::Result<()>;
    let cases: [(&str, Harm); 6] = [
        ("a record is gone", |db| db.remove(key(1, 5)).map(drop)),
        ("a record came", |db| db.insert(key(1, 9_999), value::seal(&key(1, 9_999), b"x")).map(drop)),
        ("a record has its older value", |db| db.insert(key(1, 70), value::seal(&key(1, 70), b"round 0 70")).map(drop)),
        ("a record stands under another key", |db| {
            db.remove(key(1, 5))?;
            db.insert(key(1, 9_999), value::seal(&key(1, 9_999), b"round 0 5")).map(drop)
        }),
        ("a value has changed", |db| db.insert(key(1, 5), b"????changed".to_vec()).map(drop)),
        ("the meta record is gone", |db| db.remove(META_KEY).map(drop)),
    ];
    for (name, harm) in cases {
        let dir = tempfile::tempdir()?;
        filled(dir.path())?;
        let counts = files_of::marked_tree(dir.path())?;
        harm(&files_of::open_sled(dir.path(), &options())?.open_tree(counts)?)?;
        let opened = Tables::open(dir.path(), &options()).map(|_| ());
        assert!(opened.as_ref().is_err_and(TableError::is_damage), "{name}: {opened:?}");
    }
    Ok(())
}

#[test]
fn keys_and_values_beyond_the_limits_are_refused_and_change_nothing() -> TestResult {
    let dir = tempfile::tempdir()?;
    let tables = Tables::open(dir.path(), &options())?;
    let cases = [
        (vec![], Some(vec![])),
        (vec![TABLE_RESERVED, 1], Some(vec![])),
        (vec![1; KEY_BYTES_MAX + 1], None),
        (vec![1], Some(vec![0; VALUE_BYTES_MAX + 1])),
    ];
    for (key, value) in cases {
        let mut writes = put(0..3, "with it");
        writes.insert(key, value);
        assert!(tables.commit(&writes, b"1").is_err());
        assert!(MemoryTables::default().commit(&writes, b"1").is_err());
    }
    assert_eq!((tables.applied(), tables.count(1)), (None, 0));
    tables.commit(&Writes::from([(vec![1], Some(vec![0; VALUE_BYTES_MAX]))]), b"1")?;
    Ok(())
}

#[test]
fn a_scan_over_its_bound_is_aborted_and_the_next_one_may_succeed() -> TestResult {
    let dir = tempfile::tempdir()?;
    let tables = Tables::open(dir.path(), &Options { scan_bytes: 10_000, ..options() })?;
    tables.commit(&put(0..1_000, "old"), b"1")?;
    let mut scan = tables.scan_consistently()?;
    assert!(matches!(tables.scan_consistently(), Err(TableError::ScanRunning)));
    scan.next_chunk(10)?;
    tables.commit(&put(0..1_000, "new"), b"2")?;
    assert!(matches!(scan.next_chunk(10), Err(TableError::ScanAborted(10_000))));
    drop(scan);
    let mut scan = tables.scan_consistently()?;
    let mut count = 0;
    while let Some(chunk) = scan.next_chunk(300)? {
        count += chunk.len();
    }
    assert_eq!((count, scan.applied()), (1_000, Some(&b"2"[..])));
    Ok(())
}

#[test]
fn an_interrupted_restore_is_incomplete_and_a_damaged_snapshot_is_not_restored() -> TestResult {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("tables");
    let mut writer = Snapshots::open(&dir.path().join("snapshots"))?.create(b"")?;
    writer.push(&key(1, 1), b"value")?;
    let file = writer.finish()?;
    let mut bytes = fs::read(&file.path)?;
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    fs::write(&file.path, bytes)?;
    assert!(matches!(restore_from(&path, &options(), &file, b"1"), Err(TableError::Snapshot(_))));
    assert!(matches!(Tables::open(&path, &options()), Err(TableError::Incomplete(_))));
    wipe(&path)?;
    assert_eq!(Tables::open(&path, &options())?.applied(), None);
    Ok(())
}

#[test]
fn a_running_store_takes_over_a_snapshot_and_its_handles_see_it() -> TestResult {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("tables");
    let tables = Tables::open(&path, &options())?;
    tables.commit(&put(0..2_500, "mine"), b"1")?;
    let snapshots = Snapshots::open(&dir.path().join("snapshots"))?;
    let mut writer = snapshots.create(b"")?;
    for number in 0..1_500 {
        writer.push(&key(2, number), b"theirs")?;
    }
    let file = writer.finish()?;
    let (other, mut scan) = (tables.clone(), tables.scan_consistently()?);
    tables.replace_with(&file, b"9")?;
    assert!(matches!(scan.next_chunk(10), Err(TableError::ScanAborted(_))));
    drop(scan);
    assert_eq!((other.applied(), other.count(1), other.count(2)), (Some(b"9".to_vec()), 0, 1_500));
    tables.commit(&put(0..10, "new"), b"10")?;
    drop((tables, other));
    let tables = Tables::open(&path, &options())?;
    assert_eq!((tables.applied(), tables.count(1), tables.count(2)), (Some(b"10".to_vec()), 10, 1_500));
    Ok(())
}

#[test]
fn a_store_of_the_first_format_is_opened_and_goes_on() -> TestResult {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("tables");
    let mut meta = Meta::default();
    meta.applied = Some(b"7".to_vec());
    {
        let db = files_of::open_sled(&path, &options())?;
        for number in 0..100 {
            meta.replace(&key(1, number), None, Some(b"old"));
            db.insert(key(1, number), value::seal(&key(1, number), b"old"))?;
        }
        db.insert(META_KEY, value::seal(META_KEY, &meta.encode()?))?;
        db.flush()?;
        fs::write(path.join("COMPLETE"), "1\n")?;
    }
    let tables = Tables::open(&path, &options())?;
    tables.commit(&put(100..150, "new"), b"8")?;
    drop(tables);
    let tables = Tables::open(&path, &options())?;
    assert_eq!((tables.applied(), tables.count(1)), (Some(b"8".to_vec()), 150));
    let mut writer = Snapshots::open(&dir.path().join("snapshots"))?.create(b"")?;
    writer.push(&key(2, 1), b"theirs")?;
    tables.replace_with(&writer.finish()?, b"9")?;
    drop(tables);
    let tables = Tables::open(&path, &options())?;
    assert_eq!((tables.applied(), tables.count(1), tables.count(2)), (Some(b"9".to_vec()), 0, 1));
    Ok(())
}

#[test]
fn what_cannot_be_taken_over_leaves_everything_as_it_was() -> TestResult {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("tables");
    let tables = Tables::open(&path, &options())?;
    tables.commit(&put(0..100, "mine"), b"1")?;
    let mut writer = Snapshots::open(&dir.path().join("snapshots"))?.create(b"")?;
    for number in 0..2_500 {
        writer.push(&key(2, number), b"theirs")?;
    }
    let file = writer.finish()?;
    let mut bytes = fs::read(&file.path)?;
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    fs::write(&file.path, bytes)?;
    assert!(matches!(tables.replace_with(&file, b"9"), Err(TableError::Snapshot(_))));
    tables.commit(&put(100..101, "mine"), b"2")?;
    drop(tables);
    let tables = Tables::open(&path, &options())?;
    assert_eq!((tables.applied(), tables.count(1), tables.count(2)), (Some(b"2".to_vec()), 101, 0));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_and_its_stand_in_answer_alike_and_a_scan_shows_one_moment(
        commits in prop::collection::vec(prop::collection::btree_map(0..60_u32, prop::option::of(0..9_u8), 1..12), 2..20),
        chunk in 1..20_usize,
        (from, to) in (0..60_u32, 0..60_u32),
    ) {
        compare(&commits, chunk, from, to).map_err(|error| TestCaseError::fail(error.to_string()))?;
    }
}

fn compare(commits: &[BTreeMap<u32, Option<u8>>], chunk: usize, from: u32, to: u32) -> TestResult {
    let dir = tempfile::tempdir()?;
    let tables = Tables::open(dir.path(), &options())?;
    let mut memory = MemoryTables::default();
    let (early, late) = commits.split_at(commits.len() / 2);
    let as_writes = |commit: &BTreeMap<u32, Option<u8>>| -> Writes {
        commit
            .iter()
            .map(|(number, value)| (key((number % 3) as u8, *number), value.map(|byte| vec![byte; 9])))
            .collect()
    };
    for commit in early {
        tables.commit(&as_writes(commit), b"early")?;
        memory.commit(&as_writes(commit), b"early")?;
    }
    let moment = all(&memory)?;
    let (mut scan, mut scanned) = (tables.scan_consistently()?, Chunk::new());
    for commit in late {
        scanned.extend(scan.next_chunk(chunk)?.unwrap_or_default());
        tables.commit(&as_writes(commit), b"late")?;
        memory.commit(&as_writes(commit), b"late")?;
    }
    while let Some(records) = scan.next_chunk(chunk)? {
        scanned.extend(records);
    }
    assert_eq!(scanned, moment);
    let reader = tables.reader();
    for direction in [Direction::Forward, Direction::Reverse] {
        assert_eq!(first_five(&reader, from, to, direction)?, first_five(&memory, from, to, direction)?);
    }
    assert_eq!(all(&reader)?, all(&memory)?);
    assert!((0..3).all(|table| reader.count(table) == memory.count(table)));
    assert_eq!(reader.applied(), memory.applied().as_deref());
    Ok(())
}

fn first_five(read: &impl Read, from: u32, to: u32, direction: Direction) -> Result<Chunk, TableError> {
    let mut found = Chunk::new();
    read.scan(&key(1, from), &key(1, to), direction, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}
