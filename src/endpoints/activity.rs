//! When each user was last heard from, until the log is told: at most once a minute, and when a user goes.

use super::tabs::Who;
use crate::protocol::Timestamp;
use parking_lot::Mutex;
use std::{collections::HashMap, mem};

/// What this node heard since it last told the log.
#[derive(Debug, Default)]
pub(super) struct Activity {
    heard: Mutex<HashMap<Who, Timestamp>>,
}

impl Activity {
    /// An inbound frame.
    pub(super) fn heard_from(&self, who: Who, at: Timestamp) {
        self.heard.lock().insert(who, at);
    }

    /// What the log did not take after all, unless something newer came meanwhile.
    pub(super) fn put_back(&self, who: Who, at: Timestamp) {
        self.heard.lock().entry(who).or_insert(at);
    }

    /// When this user was heard from, if the log does not know yet.
    pub(super) fn of(&self, who: &Who) -> Option<Timestamp> {
        self.heard.lock().get(who).copied()
    }

    /// Hands one user's over to the log.
    pub(super) fn take(&self, who: &Who) -> Option<Timestamp> {
        self.heard.lock().remove(who)
    }

    /// Hands everything over to the log.
    pub(super) fn take_all(&self) -> HashMap<Who, Timestamp> {
        mem::take(&mut self.heard.lock())
    }
}
