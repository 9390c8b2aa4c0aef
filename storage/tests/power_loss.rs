//! Power loss: a process does what a node does to its disk while `power/shim.c` records every change; then the disk is
//! rebuilt as it could stand after losing power at a thousand places, and must open with nothing answered missing.
//!
//! The harness proves itself: without some of the syncs, by a planted bug, it must find losses.
//! `POWER_SEED` and `POWER_LOSSES` choose another run; a failure prints the seed and the place.

#[path = "power/check.rs"]
mod check;
#[path = "power/disk.rs"]
mod disk;
#[path = "power/random.rs"]
mod random;
#[path = "power/trace.rs"]
mod trace;
#[path = "power/workload.rs"]
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use disk::Disk;
use random::Random;
use trace::Event;
use workload::{MARKS, Step, script};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Where disks are rebuilt: in memory when the system has a place for that, since syncing them proves nothing.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// The recorded trace of the workload, made once.
fn recorded() -> Result<&'static [Event], String> {
    static TRACE: OnceLock<Result<Vec<Event>, String>> = OnceLock::new();
    TRACE.get_or_init(|| record().map_err(|error| error.to_string())).as_deref().map_err(Clone::clone)
}

fn record() -> Result<Vec<Event>, Box<dyn std::error::Error>> {
    let dir = scratch()?;
    let shim = dir.path().join("shim.so");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/power/shim.c");
    let mut compile = Command::new("cc");
    compile.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&shim).arg(source).args(["-ldl", "-lpthread"]);
    if !compile.status()?.success() {
        return Err("cc cannot compile tests/power/shim.c".into());
    }
    let (root, trace) = (dir.path().join("root"), dir.path().join("trace"));
    fs::create_dir(&root)?;
    let output = Command::new(std::env::current_exe()?)
        .args(["--exact", "the_workload_runs", "--nocapture"])
        .env("POWER_ROOT", &root)
        .env("POWER_TRACE", &trace)
        .env("LD_PRELOAD", &shim)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(trace::parse(&fs::read(trace)?, &root.to_string_lossy())?)
}

/// The process under the shim; on its own, in an ordinary test run, it does nothing.
#[test]
fn the_workload_runs() -> TestResult {
    match std::env::var_os("POWER_ROOT") {
        Some(root) => workload::run(Path::new(&root)),
        None => Ok(()),
    }
}

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Cuts the power at `losses` places of the trace. Returns what was wrong, the first few in full.
fn violations(events: &[Event], losses: u64, seed: u64) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    std::panic::set_hook(Box::new(|_| {})); // sled panics on some of these disks; that is caught, and of no interest
    let steps: Vec<Step> = script();
    let mut random = Random::new(seed);
    let mut places: Vec<usize> = (0..losses).map(|_| random.below(events.len() as u64 + 1) as usize).collect();
    places.sort_unstable();
    let (mut disk, mut marks, mut found) = (Disk::new(), Marks::default(), Vec::new());
    let mut played = 0;
    let dir = scratch()?;
    for (number, place) in places.into_iter().enumerate() {
        for event in &events[played..place] {
            marks.notice(event);
            disk.play(event);
        }
        played = place;
        let root = dir.path().join(number.to_string());
        disk.lose_power(&root, &mut random)?;
        let checked = std::panic::catch_unwind(|| {
            let data = root.join("data");
            if number % 2 == 1 {
                check::lose_tables(&data)?;
            }
            check::check(&data, &steps, marks.answered, marks.begun)
        });
        match checked {
            Ok(Ok(())) => {}
            Ok(Err(what)) => found.push(format!("seed {seed}, loss {number} at event {place}: {what}")),
            Err(_) => found.push(format!("seed {seed}, loss {number} at event {place}: panicked")),
        }
        fs::remove_dir_all(root)?;
    }
    Ok(found)
}

/// How far the workload had come.
#[derive(Debug, Default)]
struct Marks {
    files: BTreeMap<i32, String>,
    begun: usize,
    answered: usize,
}

impl Marks {
    fn notice(&mut self, event: &Event) {
        match event {
            Event::Open { fd, path, .. } => drop(self.files.insert(*fd, path.clone())),
            Event::Write { fd, bytes, .. } if self.files.get(fd).is_some_and(|path| path == MARKS) => {
                let text = String::from_utf8_lossy(bytes);
                match text.trim().split_once(' ').map(|(kind, number)| (kind, number.parse().unwrap_or(0))) {
                    Some(("B", number)) => self.begun = number,
                    Some(("A", number)) => self.answered = number,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn assert_found(planted: &[Event], losses: u64) -> TestResult {
    let found = violations(planted, losses, 1)?;
    if found.is_empty() { Err(format!("{losses} power losses did not find the planted bug").into()) } else { Ok(()) }
}

#[test]
fn nothing_answered_is_missing_after_a_power_loss_anywhere() -> TestResult {
    let events = recorded()?;
    let found = violations(events, number_of("POWER_LOSSES", 1_200), number_of("POWER_SEED", 1))?;
    match found.first() {
        Some(first) => Err(format!("{} violations, the first: {first}", found.len()).into()), // a panic would be silent
        None => Ok(()),
    }
}

#[test]
fn a_tenth_of_the_log_syncs_left_out_is_found() -> TestResult {
    assert_found(&trace::without_syncs(recorded()?, 10, |path| path.contains("log/")), 400)
}

#[test]
fn the_log_directory_never_synced_is_found() -> TestResult {
    assert_found(&trace::without_syncs(recorded()?, 1, |path| path == "data/log"), 300)
}

#[test]
fn the_snapshot_directory_never_synced_is_found() -> TestResult {
    assert_found(&trace::without_syncs(recorded()?, 1, |path| path == "data/snapshots"), 600)
}
