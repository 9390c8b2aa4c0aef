//! What must hold after a power loss: the log is a state it was in, no older than the last answer; the tables, or the
//! newest snapshot, are the applied state of an index that the log reaches back to.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use carillon_storage::Snapshots;
use carillon_storage::log::Log;
use carillon_storage::tables::{self, Direction, Read, Tables};

use super::workload::{Held, Step, log_options, table_options, writes};

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Opens what is left in `data`. `begun` and `answered` operations were when the power went.
pub(crate) fn check(data: &Path, steps: &[Step], answered: usize, begun: usize) -> Result<(), String> {
    let log = Log::open(&data.join("log"), log_options()).map_err(|error| format!("the log: {error}"))?;
    let held = Held::of(&log).map_err(|error| format!("the log: {error}"))?;
    let nothing = [Held::nothing()];
    let promised = match answered.checked_sub(1) {
        Some(at) => &steps[at].states[steps[at].states.len() - 1 - steps[at].unpromised..],
        None => &nothing,
    };
    let mut possible = promised.iter().chain(steps[answered..begun].iter().flat_map(|step| &step.states));
    if !possible.any(|state| *state == held) {
        return Err(format!(
            "after {answered} answers and {begun} calls the log holds {:?}, it should hold {:?} or a later state",
            held.state, promised[0].state
        ));
    }
    check_tables(data, &held)?;
    append_one(&log, held.state.entries.end)
}

/// As if the tables had been lost with the power: the snapshots and the log must do.
pub(crate) fn lose_tables(data: &Path) -> Result<(), String> {
    tables::wipe(&data.join("tables")).map_err(|error| error.to_string())
}

/// Recovers as a node does: the tables, or else the newest snapshot, or else nothing.
fn check_tables(data: &Path, held: &Held) -> Result<(), String> {
    let dir = data.join("tables");
    let snapshots = Snapshots::open(&data.join("snapshots")).map_err(|error| error.to_string())?;
    let newest = snapshots.newest_verified().map_err(|error| error.to_string())?;
    let tables = match Tables::open(&dir, &table_options()) {
        Ok(tables) if reaches(held, tables.applied().as_deref()) => tables,
        Err(error) if !error.is_damage() => return Err(error.to_string()),
        _ => match newest {
            Some(file) => tables::restore_from(&dir, &table_options(), &file, &file.meta),
            None => tables::wipe(&dir).and_then(|()| Tables::open(&dir, &table_options())),
        }
        .map_err(|error| format!("the tables cannot be restored: {error}"))?,
    };
    let applied = tables.applied();
    if !reaches(held, applied.as_deref()) {
        return Err(format!("the tables stand at {applied:?}, but the log begins at {}", held.state.entries.start));
    }
    let expected = records_at(applied.as_deref());
    let mut found = Records::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        found.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    tables.reader().scan(&[], &[], Direction::Forward, &mut visit).map_err(|error| error.to_string())?;
    if found == expected { Ok(()) } else { Err(format!("the tables are not what was applied up to {applied:?}")) }
}

/// Whether the log has all that follows the applied position, and is not behind it.
fn reaches(held: &Held, applied: Option<&[u8]>) -> bool {
    let next = next_index(applied);
    held.state.entries.start <= next && next <= held.state.entries.end
}

fn next_index(applied: Option<&[u8]>) -> u64 {
    applied.and_then(|bytes| bytes.try_into().ok()).map_or(0, |bytes| u64::from_be_bytes(bytes) + 1)
}

fn records_at(applied: Option<&[u8]>) -> Records {
    let mut records = Records::new();
    for index in 0..next_index(applied) {
        for (key, value) in writes(index) {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
    }
    records
}

/// The log goes on.
fn append_one(log: &Log, next: u64) -> Result<(), String> {
    let (sender, answer) = std::sync::mpsc::channel();
    log.append(vec![(next, "afterwards".into())], move |result| drop(sender.send(result)))
        .map_err(|error| error.to_string())?;
    answer.recv().map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
