//! What is counted about publishing. Handles are looked up once, not on the hot path.

use crate::protocol::Endpoint;
use metrics::{Counter, Gauge, counter, gauge};

/// Open sessions, by `endpoint`.
pub const SESSIONS: &str = "carillon_sessions";
/// Publications, by `kind`: `ephemeral`, `durable`.
pub const PUBLISHES: &str = "carillon_publishes_total";
/// Ephemeral publications that were refused because a shard's queue was full.
pub const OVERLOADS: &str = "carillon_publish_overloads_total";
/// Frames that were queued to sessions.
pub const FRAMES_OUT: &str = "carillon_session_frames_out_total";

/// Handles of this module's counters.
#[derive(Clone)]
pub(super) struct Meters {
    pub(super) sessions: [Gauge; Endpoint::ALL.len()],
    pub(super) ephemeral: Counter,
    pub(super) durable: Counter,
    pub(super) overloads: Counter,
    pub(super) frames_out: Counter,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            sessions: Endpoint::ALL.map(|endpoint| gauge!(SESSIONS, "endpoint" => endpoint.label())),
            ephemeral: counter!(PUBLISHES, "kind" => "ephemeral"),
            durable: counter!(PUBLISHES, "kind" => "durable"),
            overloads: counter!(OVERLOADS),
            frames_out: counter!(FRAMES_OUT),
        }
    }
}

impl Meters {
    pub(super) fn sessions(&self, endpoint: Endpoint) -> &Gauge {
        &self.sessions[endpoint as usize]
    }
}

// Handles have nothing to show.
impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meters")
    }
}
