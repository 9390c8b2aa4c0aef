//! Time as a value: microseconds since 1970, written the way the old stack wrote it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z. Comes in with a command, never from a clock in here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds since 1970 as a timestamp.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// This moment and `seconds` more.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}

/// RFC 3339 with microseconds and `+00:00`, as Django's `isoformat()` writes it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = jiff::Timestamp::from_microsecond(self.0).unwrap_or_default();
        write!(f, "{}+00:00", at.strftime("%Y-%m-%dT%H:%M:%S.%6f"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_as_the_old_stack_wrote_them() {
        assert_eq!(Timestamp(1_795_332_380_543_712).to_string(), "2026-11-22T07:26:20.543712+00:00");
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000+00:00");
    }
}
