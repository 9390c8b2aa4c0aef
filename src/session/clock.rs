//! A clock that costs one load to read: whole seconds since the server started, moved on by the broker's shards.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use tokio::time::Instant;

/// Shared by all sessions of a server. Good for timeouts of many seconds, at most a second behind.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    seconds: Arc<AtomicU32>,
}

impl Clock {
    /// Stands at zero.
    pub fn start() -> Self {
        Self { start: Instant::now(), seconds: Arc::default() }
    }

    /// The last second that was ticked.
    pub fn now(&self) -> u32 {
        self.seconds.load(Relaxed)
    }

    /// Reads the real clock; returns what is now the coarse time.
    pub fn tick(&self) -> u32 {
        let now = u32::try_from(self.start.elapsed().as_secs()).unwrap_or(u32::MAX);
        self.seconds.fetch_max(now, Relaxed).max(now)
    }

    /// When the clock will have reached `second`.
    pub fn at(&self, second: u32) -> Instant {
        self.start + std::time::Duration::from_secs(second.into())
    }
}
