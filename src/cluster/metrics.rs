//! Counters of the way through the log. Handles are kept: nothing is looked up per batch.

use crate::telemetry::names;
use metrics::{Counter, Histogram};
use std::time::Duration;

/// What the proposer counts.
pub(crate) struct ProposerMetrics {
    commands: Counter,
    batches: Counter,
    seconds: Histogram,
}

impl ProposerMetrics {
    pub(crate) fn new() -> Self {
        Self {
            commands: metrics::counter!(names::PROPOSALS),
            batches: metrics::counter!(names::PROPOSAL_BATCHES),
            seconds: metrics::histogram!(names::PROPOSAL_SECONDS),
        }
    }

    pub(crate) fn batch(&self, commands: usize, took: Duration) {
        self.commands.increment(commands as u64);
        self.batches.increment(1);
        self.seconds.record(took.as_secs_f64());
    }
}
