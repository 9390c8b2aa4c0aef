//! What is counted about publishing. Handles are looked up once, not on the hot path.

use crate::{
    protocol::Endpoint,
    telemetry::names::{DROP_OVERLOAD, DROPS, PUBLISHES, SESSIONS},
};
use metrics::{Counter, Gauge, counter, gauge};

/// Handles of this module's counters.
#[derive(Clone)]
pub(super) struct Meters {
    pub(super) sessions: [Gauge; Endpoint::ALL.len()],
    pub(super) ephemeral: Counter,
    pub(super) durable: Counter,
    pub(super) overloads: Counter,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            sessions: Endpoint::ALL.map(|endpoint| gauge!(SESSIONS, "endpoint" => endpoint.label())),
            ephemeral: counter!(PUBLISHES, "kind" => "ephemeral"),
            durable: counter!(PUBLISHES, "kind" => "durable"),
            overloads: counter!(DROPS, "reason" => DROP_OVERLOAD),
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
