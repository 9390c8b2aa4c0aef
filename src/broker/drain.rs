//! Leaving without a stampede: which sessions are closed when, and when they are asked to come back.

use crate::protocol::{Close, OtherServer, SessionId};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often a draining shard closes its next few sessions.
const STEP: Duration = Duration::from_millis(50);
/// Clients come back between this …
const RETRY_MIN_MS: u32 = 250;
/// … and this much later.
const RETRY_SPREAD_MS: u32 = 2_000;

/// A drain under way.
#[derive(Debug)]
pub(super) struct Draining {
    start: Instant,
    window: Duration,
    total: usize,
    left: Vec<SessionId>,
    places: Arc<[&'static OtherServer]>,
}

impl Draining {
    /// Closes `sessions` one after the other, evenly over `window`, and shares them out among `places`.
    pub(super) fn start(sessions: Vec<SessionId>, (window, places): (Duration, Arc<[&'static OtherServer]>)) -> Self {
        Self { start: Instant::now(), window, total: sessions.len(), left: sessions, places }
    }

    /// The close of one session, with a hint that differs from its neighbours'.
    pub(super) fn close_for(&self, id: SessionId) -> Close {
        close_for(id, &self.places)
    }

    /// Those whose turn has come by `now` and that were not named before.
    pub(super) fn due(&mut self, now: Instant) -> Vec<SessionId> {
        let elapsed = now.saturating_duration_since(self.start);
        let share = if elapsed >= self.window { 1.0 } else { elapsed.as_secs_f64() / self.window.as_secs_f64() };
        // A share of a count of sessions: exact enough in an f64.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let gone_by_now = (self.total as f64 * share).ceil() as usize;
        let keep = self.total.saturating_sub(gone_by_now).min(self.left.len());
        self.left.split_off(keep)
    }

    /// When to look again; never, once all have been named.
    pub(super) fn next_at(&self) -> Option<Instant> {
        (!self.left.is_empty()).then(|| Instant::now() + STEP)
    }
}

fn close_for(id: SessionId, places: &[&'static OtherServer]) -> Close {
    // Fibonacci hashing: neighbouring ids get hints far apart.
    let mixed = id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let spread = u32::try_from((mixed * u64::from(RETRY_SPREAD_MS)) >> 32).unwrap_or(0);
    let place = mixed.checked_rem(places.len() as u64).and_then(|nth| places.get(usize::try_from(nth).ok()?));
    Close::Drain { retry_after_ms: RETRY_MIN_MS + spread, to: place.copied() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn closes_are_spread_evenly_over_the_window_and_none_is_forgotten() {
        let ids: Vec<SessionId> = (0..100).map(SessionId).collect();
        let mut draining = Draining::start(ids, (Duration::from_secs(10), Arc::default()));
        let start = Instant::now();
        let mut gone = 0;
        for second in 1..=9 {
            let due = draining.due(start + Duration::from_secs(second)).len();
            assert_eq!(due, 10, "second {second}");
            gone += due;
            assert!(draining.next_at().is_some());
        }
        gone += draining.due(start + Duration::from_secs(60)).len();
        assert_eq!((gone, draining.next_at()), (100, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_of_nothing_closes_all_at_once() {
        let mut draining = Draining::start((0..7).map(SessionId).collect(), (Duration::ZERO, Arc::default()));
        assert_eq!(draining.due(Instant::now()).len(), 7);
    }

    #[test]
    fn hints_differ_and_stay_in_their_bounds() {
        let hints: std::collections::BTreeSet<String> =
            (0..100).map(|id| close_for(SessionId(id), &[]).reason()).collect();
        assert!(hints.len() > 90);
    }
}
