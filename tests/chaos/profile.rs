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
    /// Of ephemeral events.
    pub publishers: u64,
    /// Who come to the presence endpoint.
    pub people: u64,
    pub fault_at_least: Duration,
    pub faults: Faults,
}

/// Which faults, and how long.
#[derive(Clone, Debug)]
pub enum Faults {
    /// Each of these once, in an order of the seed's.
    Once(Vec<Fault>),
    /// Any of all of them, for so long.
    For(Duration),
}

impl Profile {
    /// Every fault once.
    pub fn short() -> Self {
        Self {
            nodes: 3,
            users: 3,
            writers: 4,
            viewers: 2,
            publishers: 0,
            people: 0,
            fault_at_least: Duration::from_millis(500),
            faults: Faults::Once(FAULTS.to_vec()),
        }
    }

    /// Faults for so many minutes.
    pub fn long(minutes: u64) -> Self {
        let faults = Faults::For(Duration::from_secs(60 * minutes));
        Self { fault_at_least: Duration::from_secs(2), faults, ..Self::short() }
    }

    /// One fault, by a part of its name.
    pub fn only(self, part: &str) -> Self {
        let chosen: Vec<Fault> = FAULTS.iter().filter(|fault| fault.name.contains(part)).copied().collect();
        assert!(!chosen.is_empty(), "no fault has {part:?} in its name");
        Self { faults: Faults::Once(chosen), ..self }
    }

    /// The command that has this run again.
    pub fn again(&self, seed: u64) -> String {
        match &self.faults {
            Faults::Once(faults) if faults.len() == FAULTS.len() => {
                format!("CARILLON_SEED={seed} cargo test --test chaos")
            }
            Faults::Once(faults) => {
                format!("CARILLON_SEED={seed} CARILLON_TEST_FAULT={:?} cargo test --test chaos", faults[0].name)
            }
            Faults::For(time) => format!("make chaos SEED={seed} MINUTES={}", time.as_secs().div_ceil(60)),
        }
    }
}

/// The faults of a run, one after the other.
pub struct Schedule {
    faults: Faults,
    random: Random,
}

impl Faults {
    pub fn begin(self, seed: u64) -> Schedule {
        Schedule { faults: self, random: Random::new(seed) }
    }
}

impl Schedule {
    /// The next one, after so much time; `None` when it is enough.
    pub fn next(&mut self, after: Duration) -> Option<Fault> {
        match &mut self.faults {
            Faults::Once(left) if left.is_empty() => None,
            Faults::Once(left) => Some(left.swap_remove(self.random.index(left.len()))),
            Faults::For(time) if after >= *time => None,
            Faults::For(_) => {
                let mut at = self.random.below(FAULTS.iter().map(|fault| fault.weight).sum());
                FAULTS.iter().copied().find(|fault| {
                    let is_it = at < fault.weight;
                    at = at.saturating_sub(fault.weight);
                    is_it
                })
            }
        }
    }
}
