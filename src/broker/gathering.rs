//! Presence changes on their way to sockets that speak v1: gathered over a short window, then one frame for all.
//!
//! In a storm of comings and goings a socket gets some ten frames a second instead of thousands.

use crate::protocol::{Cursor, Pos, Tenant, frames};
use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};
use tokio::time::Instant;

/// How long changes are gathered after the first.
const WINDOW: Duration = Duration::from_millis(100);
/// So many changes are a frame, window or not.
const CHANGES_MAX: usize = 256;

/// A change and where it happened.
pub(super) type Change = (Pos, String);

/// What waits in one shard, by tenant.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    tenants: HashMap<Tenant, Gathered>,
}

#[derive(Debug)]
struct Gathered {
    due: Instant,
    changes: Vec<Change>,
}

impl Gathering {
    /// Takes a change in.
    pub(super) fn add(&mut self, tenant: &Tenant, change: Change, now: Instant) {
        let new = || Gathered { due: now + WINDOW, changes: Vec::new() };
        let gathered = self.tenants.entry(tenant.clone()).or_insert_with(new);
        gathered.changes.push(change);
        if gathered.changes.len() >= CHANGES_MAX {
            gathered.due = now;
        }
    }

    /// Hands out what waits for a tenant, due or not.
    pub(super) fn take(&mut self, tenant: &Tenant) -> Vec<Change> {
        match self.tenants.entry(tenant.clone()) {
            Entry::Occupied(gathered) => gathered.remove().changes,
            Entry::Vacant(_) => Vec::new(),
        }
    }

    /// Tenants whose window is over.
    pub(super) fn due(&self, now: Instant) -> Vec<Tenant> {
        let due = self.tenants.iter().filter(|(_, gathered)| gathered.due <= now);
        due.map(|(tenant, _)| tenant.clone()).collect()
    }

    /// When to look again.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.tenants.values().map(|gathered| gathered.due).min()
    }
}

/// The frame for these changes.
pub(super) fn frame(changes: &[Change], history: u64) -> Option<(String, Pos)> {
    let (last, _) = changes.last()?;
    let frame = frames::presence_changes(changes.iter().map(|(_, entry)| entry.as_str()));
    Some((crate::protocol::edition::with_pos(&frame, Cursor { history, pos: *last }), *last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn changes_wait_for_their_window_or_until_they_are_many() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        let tenant = Tenant::default();
        assert_eq!(gathering.next_at(), None);
        gathering.add(&tenant, (Pos(1), "{}".into()), now);
        gathering.add(&tenant, (Pos(2), "{}".into()), now + WINDOW / 2);
        assert_eq!((gathering.due(now), gathering.next_at()), (Vec::new(), Some(now + WINDOW)));
        assert_eq!(gathering.due(now + WINDOW), std::slice::from_ref(&tenant));
        assert_eq!(gathering.take(&tenant).len(), 2);
        assert_eq!((gathering.take(&tenant).len(), gathering.next_at()), (0, None));
        for n in 0..CHANGES_MAX {
            gathering.add(&tenant, (Pos(n as u64), "{}".into()), now);
        }
        assert_eq!(gathering.due(now), [tenant]);
    }

    #[test]
    fn a_frame_stands_at_its_last_change() {
        assert_eq!(frame(&[], 1), None);
        let (text, pos) = frame(&[(Pos(1), r#"{"a":1}"#.into()), (Pos(9), r#"{"a":2}"#.into())], 1).expect("changes");
        assert_eq!(pos, Pos(9));
        let expected = r#"{"type":"presence_changes","data":[{"a":1},{"a":2}],"pos":"0000000000000001-9"}"#;
        assert_eq!(text, expected);
    }
}
