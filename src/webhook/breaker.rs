//! After some failures in a row the app is left alone for a while: then one call tries whether it is back.

use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row after which it opens.
const FAILURES: u32 = 5;
/// How long it stays open between two tries.
const PAUSE: Duration = Duration::from_secs(5);

/// See the module. A value: time comes in.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Open until then; afterwards one call may try.
    until: Option<Instant>,
}

impl Breaker {
    /// May a call be made?
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        match self.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // This one tries; others wait for it, or for the next pause if it never comes back.
                self.until = Some(now + PAUSE);
                true
            }
        }
    }

    /// The app answered, whatever it said.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// It didn't.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.until = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_tries_once_a_pause_and_closes_at_the_first_answer() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for round in 0..3 {
            for _ in 1..FAILURES {
                breaker.failed(start);
            }
            assert!(breaker.allows(start), "{round}");
            breaker.answered();
        }
        for _ in 0..FAILURES {
            breaker.failed(start);
        }
        assert!(!breaker.allows(start) && !breaker.allows(start + PAUSE - Duration::from_millis(1)));
        let later = start + PAUSE;
        assert!(breaker.allows(later), "one tries");
        assert!(!breaker.allows(later), "only one");
        breaker.failed(later);
        assert!(!breaker.allows(later + PAUSE / 2));
        assert!(breaker.allows(later + PAUSE));
        breaker.answered();
        assert!(breaker.allows(later + PAUSE) && breaker.allows(later + PAUSE));
    }
}
