//! What a node does to its disk, in small: the process under the shim. It marks in the trace when an operation begins
//! and when it was answered, by writing to a file called `MARKS`.
//!
//! Everything is a function of its number, so that the checker knows every state the node was ever in.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;

use bytes::Bytes;
use carillon_storage::log::{Log, LogOptions, LogState};
use carillon_storage::tables::{self, Tables, Writes};
use carillon_storage::{SnapshotFile, Snapshots};

use super::random::Random;

type Failure = Box<dyn std::error::Error>;

/// The marks' file name.
pub(crate) const MARKS: &str = "MARKS";
const OPERATIONS: u64 = 420;

/// A call to the log.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Append(u64, Vec<Bytes>),
    Vote(Vec<u8>),
    Committed(Vec<u8>),
    Truncate(u64),
    Purge(u64, Vec<u8>),
}

/// What the log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) state: LogState,
    pub(crate) entries: Vec<(u64, Bytes)>,
}

impl Held {
    pub(crate) fn nothing() -> Self {
        Self { state: LogState { last_purged: None, entries: 0..0, vote: None, committed: None }, entries: Vec::new() }
    }

    pub(crate) fn of(log: &Log) -> Result<Self, Failure> {
        Ok(Self { state: log.state(), entries: log.read(0..u64::MAX, usize::MAX)? })
    }

    /// Every state that the call goes through: one per record.
    fn steps(&self, call: &Call) -> Vec<Self> {
        let mut now = self.clone();
        match call {
            Call::Append(first, entries) => {
                let mut steps = Vec::new();
                for (index, entry) in (*first..).zip(entries) {
                    now.entries.push((index, entry.clone()));
                    now.state.entries.end = index + 1;
                    steps.push(now.clone());
                }
                return steps;
            }
            Call::Vote(vote) => now.state.vote = Some(vote.clone()),
            Call::Committed(id) => now.state.committed = Some(id.clone()),
            Call::Truncate(from) => {
                now.entries.retain(|(index, _)| index < from);
                now.state.entries.end = *from;
            }
            Call::Purge(upto, id) => {
                now.entries.retain(|(index, _)| index > upto);
                now.state.entries.start = upto + 1;
                now.state.last_purged = Some((*upto, id.clone()));
            }
        }
        vec![now]
    }
}

/// The calls of operation `number`, when the log holds `held` and entries below `applied` must stay.
fn calls(number: u64, held: &Held, applied: u64, purge: Option<u64>) -> Vec<Call> {
    let mut random = Random::new(number);
    let next = held.state.entries.end;
    let mut calls = Vec::new();
    if number.is_multiple_of(5) {
        calls.push(Call::Vote(format!("vote {number}").into_bytes()));
    }
    if number.is_multiple_of(11) && next > applied {
        let from = applied + random.below(next - applied + 1);
        calls.push(Call::Truncate(from));
    }
    let next = calls.iter().fold(next, |next, call| if let Call::Truncate(from) = call { *from } else { next });
    let count = 1 + random.below(6);
    let entries = (0..count).map(|at| {
        let size = [30, 300, 700, 3_000][random.below(4) as usize];
        let mut entry = format!("entry {} of operation {number};", next + at).into_bytes();
        entry.resize(size, if at % 2 == 0 { 0 } else { b'x' });
        Bytes::from(entry)
    });
    calls.push(Call::Append(next, entries.collect()));
    if number.is_multiple_of(3) {
        calls.push(Call::Committed(format!("committed {number}").into_bytes()));
    }
    if let Some(upto) = purge {
        calls.push(Call::Purge(upto, format!("purged {upto}").into_bytes()));
    }
    calls
}

/// What applying entry `index` changes.
pub(crate) fn writes(index: u64) -> Writes {
    let mut random = Random::new(index ^ 0xABCD);
    let mut writes = Writes::new();
    for _ in 0..1 + random.below(4) {
        let key = [vec![1 + random.below(3) as u8], random.below(200).to_be_bytes().to_vec()].concat();
        let value = (random.below(5) > 0).then(|| format!("value of {index}").repeat(1 + random.below(20) as usize));
        writes.insert(key, value.map(String::into_bytes));
    }
    writes
}

/// One operation as the checker knows it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) calls: Vec<Call>,
    /// Every state of the log from before the operation (first) to after it (last).
    pub(crate) states: Vec<Held>,
    /// How many of the last states an answer does not promise: a committed id is saved without waiting.
    pub(crate) unpromised: usize,
    /// Entries below this index are applied afterwards.
    pub(crate) applied: u64,
    /// A snapshot of the applied state is made afterwards.
    pub(crate) snapshot: bool,
}

/// The whole workload, operation by operation.
pub(crate) fn script() -> Vec<Step> {
    let (mut held, mut applied, mut older, mut newest) = (Held::nothing(), 0, None, None);
    let mut steps = Vec::new();
    for number in 1..=OPERATIONS {
        let purge = (number % 60 == 30).then_some(older).flatten();
        let calls = calls(number, &held, applied, purge);
        let mut states = vec![held.clone()];
        for call in &calls {
            let reached = states.last().cloned().unwrap_or(held);
            states.extend(reached.steps(call));
            held = reached;
        }
        held = states.last().cloned().unwrap_or(held);
        applied = applied.max(held.state.entries.end.saturating_sub(3)); // the last few are not committed yet
        let snapshot = number.is_multiple_of(40);
        if snapshot {
            (older, newest) = (newest, applied.checked_sub(1));
        }
        let unpromised = usize::from(matches!(calls.last(), Some(Call::Committed(_))));
        steps.push(Step { calls, states, unpromised, applied, snapshot });
    }
    steps
}

pub(crate) fn log_options() -> LogOptions {
    LogOptions { segment_bytes: 128 << 10, ballast_bytes: 0, cache_bytes: 10_000, ..LogOptions::default() }
}

pub(crate) fn table_options() -> tables::Options {
    tables::Options { cache_bytes: 4 << 20, scan_bytes: 1 << 20 }
}

/// Runs the script in `root`, leaving marks `B n` and `A n`.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let mut marks = File::create(root.join(MARKS))?;
    fs::create_dir_all(root.join("data"))?;
    File::open(root)?.sync_all()?;
    let log = Log::open(&root.join("data/log"), log_options())?;
    let tables = Tables::open(&root.join("data/tables"), &table_options())?;
    let snapshots = Snapshots::open(&root.join("data/snapshots"))?;
    let mut applied = 0;
    marks.write_all(b"A 0\n")?;
    for (number, step) in (1_u64..).zip(script()) {
        marks.write_all(format!("B {number}\n").as_bytes())?;
        call(&log, &step.calls)?;
        while applied < step.applied {
            tables.commit(&writes(applied), &applied.to_be_bytes())?;
            applied += 1;
        }
        if step.snapshot {
            snapshot(&tables, &snapshots)?;
        }
        if number.is_multiple_of(25) {
            tables.checkpoint()?;
        }
        marks.write_all(format!("A {number}\n").as_bytes())?;
    }
    Ok(())
}

/// Makes the calls without waiting in between, then waits for all answers.
fn call(log: &Log, calls: &[Call]) -> Result<(), Failure> {
    let (sender, answers) = mpsc::channel();
    for call in calls.iter().cloned() {
        let sender = sender.clone();
        let done = move |result| drop(sender.send(result));
        match call {
            Call::Append(first, entries) => log.append((first..).zip(entries).collect(), done)?,
            Call::Vote(vote) => log.save_vote(vote, done)?,
            Call::Committed(id) => log.save_committed(id)?,
            Call::Truncate(from) => log.truncate(from, done)?,
            Call::Purge(upto, id) => log.purge(upto, id, done)?,
        }
    }
    drop(sender);
    answers.into_iter().collect::<Result<(), _>>()?;
    Ok(())
}

fn snapshot(tables: &Tables, snapshots: &Snapshots) -> Result<SnapshotFile, Failure> {
    let mut scan = tables.scan_consistently()?;
    let mut writer = snapshots.create(scan.applied().unwrap_or_default())?;
    while let Some(chunk) = scan.next_chunk(100)? {
        for (key, value) in chunk {
            writer.push(&key, &value)?;
        }
    }
    Ok(writer.finish()?)
}
