//! What to make of a stream that says nothing: pure, over moments.

use crate::config::limits::INGEST_IDLE_MAX;
use std::time::Duration;
use tokio::time::Instant;

/// When something was last heard.
#[derive(Debug)]
pub(super) struct Silence {
    interval: Duration,
    timeout: Duration,
    /// Anything, a pong too.
    heard: Instant,
    called: Instant,
}

/// What to do after an interval without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Ask whether somebody is there.
    Ping,
    /// Nobody answered.
    Dead,
    /// Somebody is there and wants nothing.
    Idle,
}

impl Silence {
    /// Pinged after `interval`, dead another `timeout` later.
    pub(super) fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, heard: now, called: now }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant, is_call: bool) {
        self.heard = now;
        if is_call {
            self.called = now;
        }
    }

    /// When to look again if nothing comes.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        let dead = self.heard + self.interval + self.timeout;
        let ping = self.heard + self.interval;
        if now < ping { ping } else { dead.max(now) }
    }

    /// What to do at a look.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        if now >= self.heard + self.interval + self.timeout {
            Verdict::Dead
        } else if now >= self.called + INGEST_IDLE_MAX {
            Verdict::Idle
        } else {
            Verdict::Ping
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_pings_stays_until_it_is_idle_and_who_does_not_is_dead() {
        let seconds = Duration::from_secs;
        let start = Instant::now();
        let mut silence = Silence::new(seconds(25), seconds(10), start);
        assert_eq!(silence.next_look(start), start + seconds(25));
        assert_eq!(silence.verdict(start + seconds(25)), Verdict::Ping);
        assert_eq!(silence.next_look(start + seconds(25)), start + seconds(35));
        assert_eq!(silence.verdict(start + seconds(35)), Verdict::Dead);
        let mut now = start;
        while now < start + INGEST_IDLE_MAX {
            silence.heard(now, false);
            now = silence.next_look(now);
            assert!(silence.verdict(now) == Verdict::Ping || now >= start + INGEST_IDLE_MAX);
        }
        assert_eq!(silence.verdict(now), Verdict::Idle);
        silence.heard(now, true);
        assert_eq!(silence.verdict(now + seconds(25)), Verdict::Ping);
    }
}
