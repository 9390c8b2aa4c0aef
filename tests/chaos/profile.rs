//! How much of what a run has, and how to have it again.

use crate::{
    faults::{FAULTS, Fault},
    support::Random,
};
use std::time::Duration;

/// How a run is put together.
#[derive(Clone, Debug)]
pub struct Profile {
    pub nodes: u64,
    pub users: u64,
    pub writers: u64,
    pub viewers: u64,
    /// Whether backends publish ephemeral events, too.
    pub ephemeral: bool,
    /// Whether people come to the presence endpoint and leave it.
    pub presence: bool,
    pub fault_at_least: Duration,
    /// Those that may come.
    faults: Vec<Fault>,
    /// A part of the names that they were chosen by.
    chosen: Option<String>,
    minutes: Option<u64>,
}

impl Profile {
    /// Every fault once.
    pub fn short() -> Self {
        Self {
            nodes: 3,
            users: 3,
            writers: 4,
            viewers: 2,
            ephemeral: true,
            presence: true,
            fault_at_least: Duration::from_millis(500),
            faults: FAULTS.to_vec(),
            chosen: None,
            minutes: None,
        }
    }

    /// Any of the faults, for so many minutes.
    pub fn long(self, minutes: u64) -> Self {
        Self { fault_at_least: Duration::from_secs(2), minutes: Some(minutes), ..self }
    }

    /// Only faults with this in their names.
    pub fn only(self, part: String) -> Self {
        let faults: Vec<Fault> = FAULTS.iter().filter(|fault| fault.name.contains(&part)).copied().collect();
        assert!(!faults.is_empty(), "no fault has {part:?} in its name");
        Self { faults, chosen: Some(part), ..self }
    }

    /// With so many nodes.
    pub fn of_nodes(self, nodes: u64) -> Self {
        assert!((3..=5).contains(&nodes), "a cluster of {nodes}");
        Self { nodes, ..self }
    }

    /// The command that has this run again.
    pub fn again(&self, seed: u64) -> String {
        let mut again = format!("CARILLON_SEED={seed}");
        if self.nodes != 3 {
            again += &format!(" CARILLON_TEST_NODES={}", self.nodes);
        }
        if let Some(part) = &self.chosen {
            again += &format!(" CARILLON_TEST_FAULT={part:?}");
        }
        if let Some(minutes) = self.minutes {
            again += &format!(" CARILLON_TEST_MINUTES={minutes}");
        }
        again + " cargo test --test chaos whatever_breaks -- --nocapture"
    }

    pub fn schedule(&self, seed: u64) -> Schedule {
        let time = self.minutes.map(|minutes| Duration::from_secs(60 * minutes));
        Schedule { faults: self.faults.clone(), time, random: Random::new(seed) }
    }
}

/// The faults of a run, one after the other: each once, or any by weight for a time.
pub struct Schedule {
    faults: Vec<Fault>,
    time: Option<Duration>,
    random: Random,
}

impl Schedule {
    /// The next one, after so much time; `None` when it is enough.
    pub fn next(&mut self, after: Duration) -> Option<Fault> {
        let Some(time) = self.time else {
            let left = self.faults.len();
            return (left > 0).then(|| self.faults.swap_remove(self.random.index(left)));
        };
        if after >= time {
            return None;
        }
        let mut at = self.random.below(self.faults.iter().map(|fault| fault.weight).sum());
        self.faults.iter().copied().find(|fault| {
            let is_it = at < fault.weight;
            at = at.saturating_sub(fault.weight);
            is_it
        })
    }
}
