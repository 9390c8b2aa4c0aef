//! Measures this crate's side of README.md: `cargo run --release -p carillon-storage --example measure -- DIRECTORY`.
//! The directory should be on the disk in question; it must not exist, and is left behind for a look.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use carillon_storage::tables::{self, Tables, Writes};
use carillon_storage::{Log, LogOptions, Snapshots};

type Failure = Box<dyn std::error::Error>;

const RUNS: usize = 5;
const RECORDS: u64 = 300_000;
const RECORD_BYTES: usize = 300;

fn main() -> Result<(), Failure> {
    let dir: PathBuf = std::env::args_os().nth(1).ok_or("which directory?")?.into();
    std::fs::create_dir(&dir)?;
    for (batch, size, rounds) in [(1, 300, 3_000), (10, 300, 3_000), (100, 300, 1_500), (1, 65_536, 1_500)] {
        let mut rates = Vec::new();
        for run in 0..RUNS {
            rates.push(appends(&dir.join(format!("log-{batch}-{size}-{run}")), batch, size, rounds)?);
        }
        rates.sort_by(f64::total_cmp);
        println!(
            "log: {batch} x {size} B: {:.0} appends/s ({:.0} to {:.0})",
            rates[RUNS / 2],
            rates[0],
            rates[RUNS - 1]
        );
    }
    let started = Instant::now();
    let log = Log::open(&dir.join("log-1-65536-0"), LogOptions::default())?;
    println!("log: {} MB opened and verified in {:?}", log.bytes() >> 20, started.elapsed());
    for per_commit in [1, 10, 100] {
        commits(&dir.join(format!("commits-{per_commit}")), per_commit)?;
    }
    opening(&dir)
}

/// Appends per second, each waiting for its `fdatasync`.
fn appends(dir: &Path, batch: u64, size: usize, rounds: u64) -> Result<f64, Failure> {
    let log = Log::open(dir, LogOptions { ballast_bytes: 0, ..LogOptions::default() })?;
    let entry = bytes::Bytes::from(vec![b'x'; size]);
    let started = Instant::now();
    for round in 0..rounds {
        let entries = (round * batch..(round + 1) * batch).map(|index| (index, entry.clone())).collect();
        let (sender, answer) = mpsc::channel();
        log.append(entries, move |result| drop(sender.send(result)))?;
        answer.recv()??;
    }
    Ok(rounds as f64 / started.elapsed().as_secs_f64())
}

fn writes(range: std::ops::Range<u64>) -> Writes {
    range
        .map(|number| {
            // Notification keys are scattered over users: spread the numbers over the key space.
            let key = [&[1][..], &number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()].concat();
            (key, Some(format!("{number:0RECORD_BYTES$}").into_bytes()))
        })
        .collect()
}

fn commits(dir: &Path, per_commit: u64) -> Result<(), Failure> {
    let tables = Tables::open(dir, &tables::Options::default())?;
    let count = 50_000;
    let batches: Vec<Writes> =
        (0..count / per_commit).map(|at| writes(at * per_commit..(at + 1) * per_commit)).collect();
    let started = Instant::now();
    for batch in &batches {
        tables.commit(batch, b"applied")?;
    }
    let micros = started.elapsed().as_secs_f64() * 1e6 / count as f64;
    let started = Instant::now();
    tables.checkpoint()?;
    println!(
        "tables: {per_commit} records per commit: {micros:.1} us per record, then checkpoint {:?}",
        started.elapsed()
    );
    Ok(())
}

fn opening(dir: &Path) -> Result<(), Failure> {
    let path = dir.join("tables");
    let tables = Tables::open(&path, &tables::Options::default())?;
    for at in 0..RECORDS / 1_000 {
        tables.commit(&writes(at * 1_000..(at + 1) * 1_000), b"applied")?;
    }
    let started = Instant::now();
    let mut scan = tables.scan_consistently()?;
    let mut writer = Snapshots::open(&dir.join("snapshots"))?.create(b"meta")?;
    while let Some(chunk) = scan.next_chunk(1_000)? {
        chunk.iter().try_for_each(|(key, value)| writer.push(key, value))?;
    }
    drop(scan);
    let file = writer.finish()?;
    println!("snapshot: {RECORDS} records, {} MB in {:?}", file.bytes >> 20, started.elapsed());
    let started = Instant::now();
    file.verify()?;
    println!("snapshot: verified in {:?}", started.elapsed());
    tables.checkpoint()?;
    drop(tables);
    for _ in 0..RUNS {
        let started = Instant::now();
        let tables = Tables::open(&path, &tables::Options::default())?;
        println!(
            "tables: {RECORDS} records opened and verified in {:?}, {} MB",
            started.elapsed(),
            tables.disk_bytes()? >> 20
        );
    }
    let started = Instant::now();
    tables::restore_from(&path, &tables::Options::default(), &file, b"applied")?;
    println!("tables: restored from the snapshot in {:?}", started.elapsed());
    Ok(())
}
