//! The decisions of one connection, as values: how it behaves, whether it lives. No socket, no clock, no async.

use super::rate::{Pace, Rate};
use crate::{config::limits::BAD_FRAMES_MAX, protocol::Close};
use std::time::Duration;

/// What is sent for a message that came too fast.
pub const TOO_FAST: &str =
    r#"{"type":"error","code":"rate_limited","message":"too many messages: this one was not read; slow down"}"#;

/// How the peer behaves: its pace, and its bad frames in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conduct {
    pace: Pace,
    bad_in_a_row: u32,
}

impl Conduct {
    /// A message came at `now` (since any fixed moment): may it be read?
    pub(super) fn allows(&mut self, rate: Rate, now: Duration) -> bool {
        self.pace.allows(rate, now)
    }

    /// It meant something.
    pub fn good(&mut self) {
        self.bad_in_a_row = 0;
    }

    /// It didn't, or came too fast: `why` it must close once there were too many in a row.
    pub fn bad(&mut self, why: Close) -> Option<Close> {
        self.bad_in_a_row += 1;
        (self.bad_in_a_row >= BAD_FRAMES_MAX).then_some(why)
    }
}

/// When a peer is asked whether it is there, and when it has not answered.
///
/// Sessions are spread over the seconds of the interval, so that a sweep each second asks only some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    interval: u32,
    timeout: u32,
}

impl Liveness {
    /// Seconds between two pings, and for the answer. The timeout is at most the interval, both are at least 1.
    pub fn new(interval: u64, timeout: u64) -> Self {
        let interval = u32::try_from(interval).unwrap_or(u32::MAX).clamp(1, 3_600);
        Self { interval, timeout: u32::try_from(timeout).unwrap_or(u32::MAX).clamp(1, interval) }
    }

    /// How many phases there are: one for each second of the interval.
    pub fn phases(self) -> u32 {
        self.interval
    }

    /// The phase that is pinged at second `now`.
    pub fn to_ping(self, now: u32) -> u32 {
        now % self.interval
    }

    /// The phase whose answers are due at second `now`.
    pub fn to_check(self, now: u32) -> u32 {
        (now + self.interval - self.timeout) % self.interval
    }

    /// Whether a peer that was asked at `asked` and last heard of at `heard` is gone at second `now`.
    pub fn is_gone(self, asked: Option<u32>, heard: u32, now: u32) -> bool {
        asked.is_some_and(|asked| heard < asked && now >= asked.saturating_add(self.timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_bad_frames_in_a_row_close_and_one_good_frame_forgives() {
        let mut conduct = Conduct::default();
        for _ in 1..BAD_FRAMES_MAX {
            assert_eq!(conduct.bad(Close::BadFrames), None);
        }
        conduct.good();
        for _ in 1..BAD_FRAMES_MAX {
            assert_eq!(conduct.bad(Close::TooFast), None);
        }
        assert_eq!(conduct.bad(Close::TooFast), Some(Close::TooFast));
    }

    #[test]
    fn each_phase_is_pinged_once_per_interval_and_checked_a_timeout_later() {
        for (interval, timeout) in [(25, 10), (25, 25), (1, 1), (2, 1), (10, 0), (5, 99)] {
            let liveness = Liveness::new(interval, timeout);
            for phase in 0..liveness.phases() {
                let pinged: Vec<u32> =
                    (1_000..1_000 + liveness.phases()).filter(|s| liveness.to_ping(*s) == phase).collect();
                assert_eq!(pinged.len(), 1);
                assert_eq!(liveness.to_check(pinged[0] + liveness.timeout), phase, "{liveness:?}");
            }
        }
    }

    #[test]
    fn a_peer_is_gone_only_if_it_was_asked_and_said_nothing_since() {
        let liveness = Liveness::new(25, 10);
        let table = [
            (None, 0, 1_000, false),
            (Some(100), 100, 110, false),
            (Some(100), 105, 110, false),
            (Some(100), 99, 109, false),
            (Some(100), 99, 110, true),
            (Some(100), 99, 125, true),
        ];
        for (asked, heard, now, gone) in table {
            assert_eq!(liveness.is_gone(asked, heard, now), gone, "{asked:?} {heard} {now}");
        }
    }
}
