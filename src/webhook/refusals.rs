//! Refusals that are kept for a moment, so that whoever repeats a bad credential does not pass every try on to the app.

use crate::{
    auth::Fingerprint,
    config::limits::{WEBHOOK_REFUSAL_TIME, WEBHOOK_REFUSALS_MAX},
};
use std::collections::HashMap;
use tokio::time::Instant;

/// By what was refused: until when that stands. A value: time comes in.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<Fingerprint, Instant>);

impl Refusals {
    /// Whether the app has just refused this.
    pub(super) fn has(&self, fingerprint: &Fingerprint, now: Instant) -> bool {
        self.0.get(fingerprint).is_some_and(|until| now < *until)
    }

    /// The app refuses this. When there are too many that are not over, it is not kept: then the app is asked again.
    pub(super) fn note(&mut self, fingerprint: Fingerprint, now: Instant) {
        if self.0.len() >= WEBHOOK_REFUSALS_MAX {
            self.0.retain(|_, until| now < *until);
        }
        if self.0.len() < WEBHOOK_REFUSALS_MAX {
            self.0.insert(fingerprint, now + WEBHOOK_REFUSAL_TIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_stands_for_a_moment_and_their_number_is_bounded() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let name = |nth: usize| {
            let mut fingerprint = [0; 32];
            fingerprint[..8].copy_from_slice(&(nth as u64).to_be_bytes());
            fingerprint
        };
        for nth in 0..=WEBHOOK_REFUSALS_MAX {
            refusals.note(name(nth), now);
        }
        assert!(refusals.has(&name(0), now) && refusals.has(&name(WEBHOOK_REFUSALS_MAX - 1), now));
        assert!(!refusals.has(&name(WEBHOOK_REFUSALS_MAX), now), "there is no end to them");
        let later = now + WEBHOOK_REFUSAL_TIME;
        assert!(!refusals.has(&name(0), later));
        refusals.note(name(WEBHOOK_REFUSALS_MAX), later);
        assert!(refusals.has(&name(WEBHOOK_REFUSALS_MAX), later) && refusals.0.len() == 1);
    }
}
