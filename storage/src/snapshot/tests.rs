//! Snapshot files: whole or refused.

use super::*;

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn write(snapshots: &Snapshots, meta: &[u8], records: u32) -> Result<SnapshotFile, SnapshotError> {
    let mut writer = snapshots.create(meta)?;
    for number in 0..records {
        writer.push(&number.to_be_bytes(), format!("value {number}").as_bytes())?;
    }
    writer.finish()
}

#[test]
fn records_come_back_in_order_with_their_meta() -> TestResult {
    let dir = tempfile::tempdir()?;
    let file = write(&Snapshots::open(dir.path())?, b"applied 7", 100)?;
    assert_eq!(file.meta, b"applied 7");
    let records = file.records()?.collect::<Result<Vec<_>, _>>()?;
    assert_eq!((records.len(), records[99].1.as_slice()), (100, &b"value 99"[..]));
    assert_eq!(Snapshots::open(dir.path())?.newest_verified()?, Some(file));
    Ok(())
}

#[test]
fn the_two_newest_are_kept_and_a_damaged_one_is_passed_over() -> TestResult {
    let dir = tempfile::tempdir()?;
    let snapshots = Snapshots::open(dir.path())?;
    for meta in [b"1", b"2", b"3"] {
        write(&snapshots, meta, 10)?;
    }
    let metas: Vec<_> = snapshots.list()?.into_iter().map(|file| file.meta).collect();
    assert_eq!(metas, [b"3".to_vec(), b"2".to_vec()]);
    let newest = &snapshots.list()?[0].path;
    fs::write(newest, &fs::read(newest)?[1..])?;
    assert_eq!(snapshots.newest_verified()?.map(|file| file.meta), Some(b"2".to_vec()));
    Ok(())
}

#[test]
fn every_changed_missing_or_added_byte_is_noticed() -> TestResult {
    let dir = tempfile::tempdir()?;
    let file = write(&Snapshots::open(dir.path())?, b"meta", 5)?;
    let right = fs::read(&file.path)?;
    let is_whole = |bytes: &[u8]| -> Result<bool, io::Error> {
        fs::write(&file.path, bytes)?;
        Ok(SnapshotFile::open(&file.path).and_then(|file| file.verify()).is_ok())
    };
    assert!(is_whole(&right)?);
    for bit in 0..right.len() * 8 {
        let mut wrong = right.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_whole(&wrong)?, "bit {bit}");
    }
    for length in 0..right.len() {
        assert!(!is_whole(&right[..length])?, "{length} bytes");
    }
    let mut longer = right;
    longer.push(0);
    assert!(!is_whole(&longer)?);
    Ok(())
}

#[test]
fn what_another_node_sends_is_a_snapshot_only_if_it_is_whole() -> TestResult {
    let (here, there) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let sent = fs::read(write(&Snapshots::open(there.path())?, b"sent", 50)?.path)?;
    let snapshots = Snapshots::open(here.path())?;
    let mut cut_off = snapshots.receive()?;
    cut_off.write(&sent[..sent.len() - 1])?;
    assert!(matches!(cut_off.finish(), Err(SnapshotError::Damaged { .. })));
    assert!(fs::read_dir(here.path())?.next().is_none());
    let mut receiver = snapshots.receive()?;
    for part in sent.chunks(100) {
        receiver.write(part)?;
    }
    assert_eq!(receiver.finish()?.meta, b"sent");
    Ok(())
}

#[test]
fn an_unfinished_snapshot_leaves_nothing() -> TestResult {
    let dir = tempfile::tempdir()?;
    let snapshots = Snapshots::open(dir.path())?;
    snapshots.create(b"dropped")?.push(b"k", b"v")?;
    fs::write(dir.path().join("9.tmp"), b"killed")?;
    Snapshots::open(dir.path())?;
    assert!(fs::read_dir(dir.path())?.next().is_none());
    Ok(())
}
