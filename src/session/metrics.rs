//! What is counted about sessions. Handles are looked up once, not on the hot path.

use crate::{
    endpoints::AdmitError,
    protocol::Close,
    telemetry::names::{BYTES_OUT, CLOSES, DROP_EXPIRED, DROP_SLOW_READER, DROPS, FRAMES_IN, FRAMES_OUT, OUTBOX_BYTES},
};
use metrics::{Counter, Gauge, counter, gauge};

/// Handles of this module's counters.
#[derive(Clone)]
pub struct Meters {
    pub(crate) frames_in: Counter,
    pub(crate) frames_out: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) dropped_full: Counter,
    pub(crate) dropped_aged: Counter,
    pub(crate) outbox_bytes: Gauge,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            frames_in: counter!(FRAMES_IN),
            frames_out: counter!(FRAMES_OUT),
            bytes_out: counter!(BYTES_OUT),
            dropped_full: counter!(DROPS, "reason" => DROP_SLOW_READER),
            dropped_aged: counter!(DROPS, "reason" => DROP_EXPIRED),
            outbox_bytes: gauge!(OUTBOX_BYTES),
        }
    }
}

// Handles have nothing to show.
impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}

/// Once per session, so looking it up is no matter.
pub(super) fn count_close(end: End) {
    let code = match end {
        End::Ours(close) => close.name(),
        End::Peer => "peer",
        End::Gone => "gone",
        End::Dead => "dead",
    };
    counter!(CLOSES, "code" => code).increment(1);
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server closed it.
    Ours(Close),
    /// The client closed it.
    Peer,
    /// The connection broke or ended without a close.
    Gone,
    /// The client did not answer a ping.
    Dead,
}

impl From<AdmitError> for End {
    fn from(error: AdmitError) -> Self {
        Self::Ours(match error {
            AdmitError::Refused(_) => Close::Disconnected,
            AdmitError::Unavailable(_) => Close::Overload,
        })
    }
}
