//! What is counted at the door. Handles are looked up once.

use metrics::{Counter, Histogram, counter, histogram};

/// WebSockets that were opened.
pub const CONNECTS: &str = "carillon_connects_total";
/// Handshakes that were refused, by `reason`.
pub const REFUSALS: &str = "carillon_refusals_total";
/// Seconds from the request's head to the upgrade.
pub const CONNECT_SECONDS: &str = "carillon_connect_seconds";
/// Errors of `accept`.
pub const ACCEPT_ERRORS: &str = "carillon_accept_errors_total";

/// Handles of this module's counters.
pub(super) struct Meters {
    pub(super) connects: Counter,
    pub(super) connect_seconds: Histogram,
    pub(super) accept_errors: Counter,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            connects: counter!(CONNECTS),
            connect_seconds: histogram!(CONNECT_SECONDS),
            accept_errors: counter!(ACCEPT_ERRORS),
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
