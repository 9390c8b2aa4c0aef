//! How many messages one socket may send: the generic cell rate algorithm, one number of state.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// So many per second on average, so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Nanoseconds between two messages at the average rate.
    interval_ns: u64,
    /// How far ahead of the average a sender may be.
    tolerance_ns: u64,
}

impl Rate {
    /// `per_second` on average, `burst` at once; both are at least 1.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval_ns = 1_000_000_000 / u64::from(per_second.max(1));
        Self { interval_ns, tolerance_ns: interval_ns * u64::from(burst.max(1) - 1) }
    }
}

/// A rate that is replaced while others read it, at the price of a load; a reader between the two halves of a change is
/// wrong for one message.
#[derive(Debug)]
pub(crate) struct SharedRate {
    interval_ns: AtomicU64,
    tolerance_ns: AtomicU64,
}

impl SharedRate {
    /// Begins with `rate`.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { interval_ns: rate.interval_ns.into(), tolerance_ns: rate.tolerance_ns.into() }
    }

    /// The rate of now.
    pub(crate) fn get(&self) -> Rate {
        Rate { interval_ns: self.interval_ns.load(Relaxed), tolerance_ns: self.tolerance_ns.load(Relaxed) }
    }

    /// Another rate from now on.
    pub(crate) fn set(&self, rate: Rate) {
        self.interval_ns.store(rate.interval_ns, Relaxed);
        self.tolerance_ns.store(rate.tolerance_ns, Relaxed);
    }
}

/// When the next message would come if the sender kept to the average ("theoretical arrival time").
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    due_ns: u64,
}

impl Pace {
    /// Whether a message at `now` (since any fixed moment) is within the rate; one that isn't does not count.
    pub(crate) fn allows(&mut self, rate: Rate, now: Duration) -> bool {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        if self.due_ns > now.saturating_add(rate.tolerance_ns) {
            return false;
        }
        self.due_ns = self.due_ns.max(now).saturating_add(rate.interval_ns);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_passes_then_only_the_average() {
        let rate = Rate::new(10, 3);
        let mut pace = Pace::default();
        let table = [(0, true), (0, true), (0, true), (0, false), (99, false), (100, true), (100, false), (200, true)];
        for (at_ms, allowed) in table {
            assert_eq!(pace.allows(rate, Duration::from_millis(at_ms)), allowed, "at {at_ms} ms");
        }
        assert!(pace.allows(rate, Duration::from_secs(60)));
    }

    proptest! {
        #[test]
        fn never_more_pass_than_burst_and_average_allow(
            per_second in 1_u32..100, burst in 1_u32..50, gaps in proptest::collection::vec(0_u64..200, 1..300),
        ) {
            let rate = Rate::new(per_second, burst);
            let (mut pace, mut now_ms, mut passed) = (Pace::default(), 0, 0_u64);
            for gap in gaps {
                now_ms += gap;
                passed += u64::from(pace.allows(rate, Duration::from_millis(now_ms)));
                let most = u64::from(burst) + now_ms * u64::from(per_second) / 1000 + 1;
                prop_assert!(passed <= most, "{passed} > {most} at {now_ms} ms");
            }
        }
    }
}
