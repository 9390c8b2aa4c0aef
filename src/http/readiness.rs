//! Whether a load balancer should send traffic here.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// Starting, ready, draining: only ever in this order. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// Everything is recovered and served.
    pub fn set_ready(&self) {
        self.0.fetch_max(READY, Ordering::AcqRel);
    }

    /// The server is leaving.
    pub fn set_draining(&self) {
        self.0.fetch_max(DRAINING, Ordering::AcqRel);
    }

    /// Whether traffic is welcome.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }

    /// A word for people and scripts.
    pub fn as_str(&self) -> &'static str {
        match self.0.load(Ordering::Acquire) {
            STARTING => "starting",
            READY => "ready",
            _ => "draining",
        }
    }
}
