//! The store against its stand-in, against damage, and under a running scan.

use std::ops::ControlFlow;

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
