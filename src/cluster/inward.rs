//! From other nodes: their ephemeral events and closes, done here in the order in which each sent them, and counted for
//! them.

use super::{
    counts::Counts,
    held::{Arrived, Held},
    links::Links,
    peer_message::{CountOf, PeerMessage},
    service::PeerEvent,
    wire,
};
use crate::{
    broker::{Broker, CloseTarget, Publication},
    config::limits::{COUNTS_WAITING_MAX, RECIPIENTS_WAIT},
    protocol::{Close, InV1, NodeId},
    tally::Tally,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Counts that go in one message.
const AT_ONCE: usize = 256;

/// Counts for other nodes, on their way.
#[derive(Clone, Debug)]
pub(crate) struct Tellers {
    line: mpsc::Sender<(NodeId, CountOf, Tally)>,
}

impl Tellers {
    /// Starts to tell others what was counted for them.
    pub(crate) fn start(links: Links, shutdown: CancellationToken) -> Self {
        let (line, waiting) = mpsc::channel(COUNTS_WAITING_MAX);
        links.clone().spawn(tell(links, waiting, shutdown));
        Self { line }
    }

    /// Tells a node once it is counted; if too much waits, that node's count stays open.
    pub(crate) fn tell(&self, node: NodeId, what: CountOf, tally: Tally) {
        let _ = self.line.try_send((node, what, tally));
    }
}

/// What it takes to show events of other nodes here.
pub(crate) struct Inward {
    pub(crate) broker: Broker,
    pub(crate) counts: Counts,
    pub(crate) tellers: Tellers,
    /// Up to where this node has applied the log.
    pub(crate) position: watch::Receiver<u64>,
}

impl Inward {
    /// Takes events in, until `shutdown`.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<PeerEvent>, shutdown: CancellationToken) {
        let mut held = Held::default();
        loop {
            let until = held.until();
            let event = tokio::select! {
                () = shutdown.cancelled() => return,
                event = events.recv() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
                _ = self.position.changed(), if until.is_some() => None,
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => None,
            };
            let now = |position: &watch::Receiver<u64>| (*position.borrow(), Instant::now());
            if let Some(PeerEvent { node, bytes }) = event {
                match wire::decode::<PeerMessage>(&bytes) {
                    Ok(message) => {
                        let arrived = Arrived { node, message, bytes: bytes.len() };
                        if let Some(of_peer) = held.take(arrived, now(&self.position)) {
                            self.show(of_peer).await;
                        }
                    }
                    Err(error) => tracing::warn!(node, %error, "a peer says what this program does not understand"),
                }
            }
            if held.until().is_some() {
                self.position.borrow_and_update();
                while let Some(of_peer) = held.next(now(&self.position)) {
                    self.show(of_peer).await;
                }
            }
        }
    }

    async fn show(&self, (node, message): (NodeId, PeerMessage)) {
        match message {
            PeerMessage::Publish { group, frames, except, number } => {
                let frames = frames.into_iter().map(Bytes::from).collect();
                let publication = Publication { group, frames, v1: InV1::Same, pos: None, except };
                self.tellers.tell(node, CountOf::Event(number), self.broker.publish_for_peer(publication).await);
            }
            PeerMessage::Disconnect { tenant, user, staff_only, number } => {
                let target = CloseTarget::User { tenant, user, staff_only };
                self.tellers.tell(node, CountOf::Event(number), self.broker.close(target, Close::Disconnected).await);
            }
            PeerMessage::Counted(reached) => {
                reached.into_iter().for_each(|(what, sessions)| self.counts.came(node, what, sessions));
            }
            // One within another: nobody sends that.
            PeerMessage::After { .. } => tracing::warn!(node, "a peer says what this program does not understand"),
        }
    }
}

async fn tell(links: Links, mut waiting: mpsc::Receiver<(NodeId, CountOf, Tally)>, shutdown: CancellationToken) {
    let mut counting = Vec::with_capacity(AT_ONCE);
    loop {
        let count = tokio::select! {
            () = shutdown.cancelled() => return,
            count = waiting.recv_many(&mut counting, AT_ONCE) => count,
        };
        if count == 0 {
            return;
        }
        let until = Instant::now() + RECIPIENTS_WAIT;
        let mut by_node: BTreeMap<NodeId, Vec<(CountOf, u64)>> = BTreeMap::new();
        for (node, what, tally) in counting.drain(..) {
            let reached = tally.wait(until.saturating_duration_since(Instant::now())).await;
            if !reached.partial {
                by_node.entry(node).or_default().push((what, reached.count));
            }
        }
        for (node, reached) in by_node {
            if let Ok(bytes) = wire::encode(&PeerMessage::Counted(reached)) {
                // Lost, like any event; whoever waits says that the count is not complete.
                let _ = links.send_event(node, bytes);
            }
        }
    }
}
