//! Whether a load balancer should send traffic here.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use tokio_util::sync::CancellationToken;

const STARTING: u8 = 0;
const READY: u8 = 1;
const DRAINING: u8 = 2;

/// Starting, ready, draining: only ever in this order. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    state: Arc<AtomicU8>,
    draining: CancellationToken,
}

impl Readiness {
    /// Everything is recovered and served.
    pub fn set_ready(&self) {
        self.state.fetch_max(READY, Ordering::AcqRel);
    }

    /// The server is leaving.
    pub fn set_draining(&self) {
        self.state.fetch_max(DRAINING, Ordering::AcqRel);
        self.draining.cancel();
    }

    /// Ready once the server is leaving.
    pub(super) async fn until_draining(&self) {
        self.draining.cancelled().await;
    }

    /// Whether traffic is welcome.
    pub fn is_ready(&self) -> bool {
        self.state.load(Ordering::Acquire) == READY
    }

    /// A word for people and scripts.
    pub fn as_str(&self) -> &'static str {
        match self.state.load(Ordering::Acquire) {
            STARTING => "starting",
            READY => "ready",
            _ => "draining",
        }
    }
}
