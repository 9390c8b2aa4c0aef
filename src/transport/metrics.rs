//! What is counted at the door. Handles are looked up once.

use crate::telemetry::names::{ACCEPT_ERRORS, CONNECT_SECONDS, CONNECTS, HEAD_BYTES, REFUSALS};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Handles of this module's counters.
pub(super) struct Meters {
    pub(super) connects: Counter,
    pub(super) connect_seconds: Histogram,
    pub(super) accept_errors: Counter,
    pub(super) head_bytes: Gauge,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            connects: counter!(CONNECTS),
            connect_seconds: histogram!(CONNECT_SECONDS),
            accept_errors: counter!(ACCEPT_ERRORS),
            head_bytes: gauge!(HEAD_BYTES),
        }
    }
}

impl Meters {
    /// Refusals are rare or unwelcome; looking one up may cost.
    pub(super) fn refused(reason: &'static str) {
        counter!(REFUSALS, "reason" => reason).increment(1);
    }
}

// Handles have nothing to show.
impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}
