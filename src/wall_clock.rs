//! What time it is: the one place that reads the wall clock.
//!
//! Read at the rim, where a command is proposed or a token is judged; applying never does. Timeouts have other
//! clocks: `tokio`'s, and the sessions' coarse one.

use crate::protocol::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// This machine's time; 1970 if it stands before.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
