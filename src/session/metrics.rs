//! What is counted about sessions. Handles are looked up once, not on the hot path.

use crate::protocol::Close;
use metrics::{Counter, Gauge, counter, gauge};

/// Messages that clients sent.
pub const FRAMES_IN: &str = "carillon_session_frames_in_total";
/// Frames that sockets took.
pub const BYTES_OUT: &str = "carillon_session_bytes_out_total";
/// Frames that were dropped, by `reason`: `full`, `aged`.
pub const DROPS: &str = "carillon_session_drops_total";
/// Ends of sessions, by `code`: a name of [`Close`], `peer` (it closed), `gone` (it vanished), `dead` (no pong).
pub const CLOSES: &str = "carillon_session_closes_total";
/// Bytes that wait in outboxes, sampled by the sweep.
pub const OUTBOX_BYTES: &str = "carillon_session_outbox_bytes";

/// Handles of this module's counters.
#[derive(Clone)]
pub struct Meters {
    pub(crate) frames_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) dropped_full: Counter,
    pub(crate) dropped_aged: Counter,
    pub(crate) outbox_bytes: Gauge,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            frames_in: counter!(FRAMES_IN),
            bytes_out: counter!(BYTES_OUT),
            dropped_full: counter!(DROPS, "reason" => "full"),
            dropped_aged: counter!(DROPS, "reason" => "aged"),
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
