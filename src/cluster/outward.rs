//! To other nodes: ephemeral events go where their group has members, closes go everywhere. One task, so that whatever
//! one publisher does stays in order; it waits for no disk and no reader. With each goes up to where this node has applied
//! the log: what was stored before it is shown before it at other nodes, too.

use super::{
    counts::Counts,
    links::Links,
    peer_message::{CountOf, PeerMessage},
    wire,
};
use crate::{
    broker::{CloseTarget, Outgoing, Publication},
    protocol::NodeId,
    records::{Records, RecordsError, features, groups},
    tally::Elsewhere,
    telemetry::names,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Taken from the line at once.
const AT_ONCE: usize = 128;

/// See the module.
pub(crate) struct Outward {
    pub(crate) links: Links,
    pub(crate) records: Records,
    pub(crate) counts: Counts,
    pub(crate) node: NodeId,
}

/// Up to where this node has applied, for messages that say so.
struct Applied {
    position: watch::Receiver<u64>,
    /// Every node understands it: once that is so, it stays so.
    is_understood: bool,
}

impl Outward {
    /// Until `shutdown`.
    pub(crate) async fn run(self, mut line: mpsc::Receiver<Outgoing>, shutdown: CancellationToken) {
        let lost = metrics::counter!(names::PEER_EVENTS_LOST);
        let position = self.records.progress().watch_position();
        let mut applied = Applied { position, is_understood: false };
        let mut number = 0;
        let mut taken = Vec::with_capacity(AT_ONCE);
        loop {
            let count = tokio::select! {
                () = shutdown.cancelled() => return,
                count = line.recv_many(&mut taken, AT_ONCE) => count,
            };
            if count == 0 {
                return;
            }
            for outgoing in taken.drain(..) {
                number += 1;
                if let Err(error) = self.send((number, outgoing), &mut applied, &lost) {
                    tracing::error!(%error, "an event does not get to other nodes");
                }
            }
            // A burst must not keep others of this thread waiting.
            tokio::task::yield_now().await;
        }
    }

    fn send(
        &self,
        (number, outgoing): (u64, Outgoing),
        applied: &mut Applied,
        lost: &metrics::Counter,
    ) -> Result<(), RecordsError> {
        let (nodes, message, elsewhere) = match outgoing {
            Outgoing::Publish(publication, elsewhere) => {
                let nodes = self.records.read(|rows| groups::nodes_of(rows, &publication.group))?;
                (self.others(nodes), publish(publication, number), elsewhere)
            }
            Outgoing::Close(CloseTarget::User { tenant, user, staff_only }, _, elsewhere) => {
                let nodes = self.links.peers();
                (nodes, PeerMessage::Disconnect { tenant, user, staff_only, number }, elsewhere)
            }
            // Other sessions than a user's are this node's own business.
            Outgoing::Close(_, _, elsewhere) => {
                elsewhere.reached(0);
                return Ok(());
            }
        };
        if nodes.is_empty() {
            elsewhere.reached(0);
            return Ok(());
        }
        if !applied.is_understood {
            applied.is_understood = self.records.read(|rows| features::level(rows))? >= features::PEER_ORDER;
        }
        let message = if applied.is_understood {
            PeerMessage::After { index: *applied.position.borrow(), message: Box::new(message) }
        } else {
            message
        };
        self.tell(nodes, (number, &message), (elsewhere, lost));
        Ok(())
    }

    fn tell(
        &self,
        nodes: Vec<NodeId>,
        (number, message): (u64, &PeerMessage),
        (elsewhere, lost): (Elsewhere, &metrics::Counter),
    ) {
        let Ok(bytes) = wire::encode(message) else { return };
        self.counts.expect(CountOf::Event(number), nodes.clone(), elsewhere);
        for node in nodes {
            // At most once: without a link, or with too much in line, it is lost, and the count stays open.
            if self.links.send_event(node, bytes.clone()).is_err() {
                lost.increment(1);
            }
        }
    }

    fn others(&self, mut nodes: Vec<NodeId>) -> Vec<NodeId> {
        nodes.retain(|node| *node != self.node);
        nodes
    }
}

fn publish(publication: Publication, number: u64) -> PeerMessage {
    let Publication { group, frames, except, .. } = publication;
    // They were made from strings.
    let frames = frames.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect();
    PeerMessage::Publish { group, frames, except, number }
}
