//! How far the log is applied on this node, for those who wait for it.

use tokio::sync::watch;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub struct Progress {
    position: watch::Sender<u64>,
    ended: watch::Sender<u64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { position: watch::Sender::new(0), ended: watch::Sender::new(0) }
    }
}

impl Progress {
    /// Everything up to this entry is in the rows, and what it says to sockets is on its way.
    pub(crate) fn applied(&self, index: u64) {
        self.position.send_replace(index);
    }

    /// A boot of some node is over: [`super::groups::ended_boots`] has changed.
    pub(crate) fn boot_ended(&self) {
        self.ended.send_modify(|count| *count += 1);
    }

    /// The last entry applied, and every later one.
    pub fn watch_position(&self) -> watch::Receiver<u64> {
        self.position.subscribe()
    }

    /// Changes when boots end.
    pub fn watch_ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }
}
