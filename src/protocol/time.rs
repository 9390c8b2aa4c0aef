//! Time as a value: microseconds since 1970, written the way the old stack wrote it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Microseconds since 1970-01-01T00:00:00Z. Comes in with a command, never from a clock in here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads RFC 3339: `2026-11-24T08:30:00.123456Z`, or with an offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(|at: jiff::Timestamp| Self(at.as_microsecond()))
    }

    /// Like [`Self::parse`]; a time without an offset is one of UTC.
    pub fn parse_or_utc(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let at: jiff::civil::DateTime = text.parse().ok()?;
            Some(Self(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond()))
        })
    }

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

    #[test]
    fn times_are_read_with_their_offset_or_as_utc() {
        let at = Some(Timestamp(1_795_332_380_543_712));
        for text in
            ["2026-11-22T07:26:20.543712Z", "2026-11-22T08:26:20.543712+01:00", "2026-11-22 07:26:20.543712+00:00"]
        {
            assert_eq!((Timestamp::parse(text), Timestamp::parse_or_utc(text)), (at, at), "{text}");
        }
        for text in ["2026-11-22T07:26:20.543712", "2026-11-22 07:26:20.543712"] {
            assert_eq!((Timestamp::parse(text), Timestamp::parse_or_utc(text)), (None, at), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-22T25:00:00", "1795332380"] {
            assert_eq!(Timestamp::parse_or_utc(text), None, "{text}");
        }
    }
}
