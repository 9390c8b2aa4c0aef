//! Connections that wait for the next call: few, and not for long.

use crate::config::limits::{OUTBOUND_IDLE_CONNECTIONS_MAX, OUTBOUND_IDLE_TIMEOUT};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http1::SendRequest};
use parking_lot::Mutex;
use std::time::Instant;

/// The writing end of a connection. Dropping it closes the connection.
pub(super) type Sender = SendRequest<Empty<Bytes>>;

/// See the module.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<(Sender, Instant)>>);

impl Pool {
    /// The one that was used last: those that nobody needs grow old at the bottom.
    pub(super) fn take(&self) -> Option<Sender> {
        let mut idle = self.0.lock();
        idle.retain(|(sender, since)| sender.is_ready() && since.elapsed() < OUTBOUND_IDLE_TIMEOUT);
        idle.pop().map(|(sender, _)| sender)
    }

    /// Keeps it, if there is room.
    pub(super) fn put(&self, sender: Sender) {
        let mut idle = self.0.lock();
        if idle.len() < OUTBOUND_IDLE_CONNECTIONS_MAX {
            idle.push((sender, Instant::now()));
        }
    }
}
