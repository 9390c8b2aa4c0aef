//! From other nodes: their ephemeral events and closes, done here in the order in which each sent them, and counted for
//! them.

use super::{
    counts::Counts,
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
use tokio::{sync::mpsc, time::Instant};
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

/// Takes events in, until `shutdown`.
pub(crate) async fn run(
    broker: Broker,
    (counts, tellers): (Counts, Tellers),
    mut events: mpsc::Receiver<PeerEvent>,
    shutdown: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return,
            event = events.recv() => event,
        };
        let Some(PeerEvent { node, bytes, .. }) = event else { return };
        match wire::decode::<PeerMessage>(&bytes) {
            Ok(PeerMessage::Publish { group, frames, except, number }) => {
                let frames = frames.into_iter().map(Bytes::from).collect();
                let publication = Publication { group, frames, v1: InV1::Same, pos: None, except };
                tellers.tell(node, CountOf::Event(number), broker.publish_for_peer(publication).await);
            }
            Ok(PeerMessage::Disconnect { tenant, user, staff_only, number }) => {
                let target = CloseTarget::User { tenant, user, staff_only };
                tellers.tell(node, CountOf::Event(number), broker.close(target, Close::Disconnected).await);
            }
            Ok(PeerMessage::Counted(reached)) => {
                reached.into_iter().for_each(|(what, sessions)| counts.came(node, what, sessions));
            }
            Err(error) => tracing::warn!(node, %error, "a peer says what this program does not understand"),
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
