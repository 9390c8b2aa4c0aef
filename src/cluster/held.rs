//! Events of peers that came before what they come after: each waits until this node has applied that, but not for long.
//!
//! A stored event is shown where it is applied, an event that is not stored is sent at once. So a node that is behind gets
//! the second before the first. What one peer sends stays in its order. Values in, values out: no clock, no I/O.

use super::peer_message::PeerMessage;
use crate::{
    config::limits::{HELD_BYTES_MAX, HELD_EVENTS_MAX, HELD_FOR},
    protocol::NodeId,
};
use std::collections::{BTreeMap, VecDeque};
use tokio::time::Instant;

/// See the module. Empty on a node that is not behind.
#[derive(Debug, Default)]
pub(super) struct Held {
    by_peer: BTreeMap<NodeId, VecDeque<Waiting>>,
    events: usize,
    bytes: usize,
}

/// An event that waits.
#[derive(Debug)]
struct Waiting {
    after: u64,
    until: Instant,
    bytes: usize,
    message: PeerMessage,
}

/// An event as a peer has sent it.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) node: NodeId,
    pub(super) message: PeerMessage,
    /// On the wire.
    pub(super) bytes: usize,
}

impl Held {
    /// Takes an event in; gives it back if nothing keeps it from being shown now.
    pub(super) fn take(&mut self, arrived: Arrived, (applied, now): (u64, Instant)) -> Option<(NodeId, PeerMessage)> {
        let Arrived { node, message, bytes } = arrived;
        let (after, message) = match message {
            PeerMessage::After { index, message } => (index, *message),
            // A count is for no socket.
            PeerMessage::Counted(counted) => return Some((node, PeerMessage::Counted(counted))),
            // An older release does not say.
            message => (0, message),
        };
        if after <= applied && !self.by_peer.contains_key(&node) {
            return Some((node, message));
        }
        let waiting = Waiting { after, until: now + HELD_FOR, bytes, message };
        self.by_peer.entry(node).or_default().push_back(waiting);
        self.events += 1;
        self.bytes += bytes;
        None
    }

    /// The next event that may be shown: this node has applied what it comes after, or it has waited for long enough, or
    /// too much waits.
    pub(super) fn next(&mut self, (applied, now): (u64, Instant)) -> Option<(NodeId, PeerMessage)> {
        let is_full = self.events > HELD_EVENTS_MAX || self.bytes > HELD_BYTES_MAX;
        let oldest = self.until();
        let may_go =
            |first: &Waiting| first.after <= applied || first.until <= now || (is_full && Some(first.until) == oldest);
        let fronts = self.by_peer.iter().filter_map(|(node, line)| Some((*node, line.front()?)));
        let node = fronts.filter(|(_, first)| may_go(first)).map(|(node, _)| node).next()?;
        let line = self.by_peer.get_mut(&node)?;
        let first = line.pop_front()?;
        if line.is_empty() {
            self.by_peer.remove(&node);
        }
        self.events -= 1;
        self.bytes -= first.bytes;
        Some((node, first.message))
    }

    /// When the next one has waited for long enough; `None` while none waits.
    pub(super) fn until(&self) -> Option<Instant> {
        self.by_peer.values().filter_map(VecDeque::front).map(|first| first.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Tenant;
    use std::time::Duration;

    /// An event that is known by its number.
    fn event(number: u64) -> PeerMessage {
        let user = crate::protocol::UserId::new("1").expect("an id");
        PeerMessage::Disconnect { tenant: Tenant::default(), user, staff_only: false, number }
    }

    fn after(index: u64, number: u64) -> PeerMessage {
        PeerMessage::After { index, message: Box::new(event(number)) }
    }

    fn arrive(
        held: &mut Held,
        node: NodeId,
        message: PeerMessage,
        at: (u64, Instant),
    ) -> Option<(NodeId, PeerMessage)> {
        held.take(Arrived { node, message, bytes: 100 }, at)
    }

    #[test]
    fn a_node_that_is_not_behind_holds_nothing() {
        let (mut held, now) = (Held::default(), Instant::now());
        assert_eq!(arrive(&mut held, 1, after(7, 1), (7, now)), Some((1, event(1))));
        assert_eq!(arrive(&mut held, 1, event(2), (0, now)), Some((1, event(2))), "of an older release");
        assert_eq!((held.until(), held.next((7, now))), (None, None));
    }

    #[test]
    fn each_peers_events_are_shown_in_their_order_once_what_they_come_after_is_applied() {
        let (mut held, now) = (Held::default(), Instant::now());
        for (node, message) in [(1, after(8, 1)), (1, after(5, 2)), (2, after(9, 3)), (1, event(4))] {
            assert_eq!(arrive(&mut held, node, message, (7, now)), None);
        }
        assert_eq!(arrive(&mut held, 3, after(7, 5), (7, now)), Some((3, event(5))), "another peer's");
        let counted = PeerMessage::Counted(Vec::new());
        assert_eq!(arrive(&mut held, 1, counted.clone(), (7, now)), Some((1, counted)));
        assert_eq!(held.next((7, now)), None);
        let shown: Vec<_> = std::iter::from_fn(|| held.next((8, now))).collect();
        assert_eq!(shown, [(1, event(1)), (1, event(2)), (1, event(4))]);
        assert_eq!(arrive(&mut held, 1, after(8, 6), (8, now)), Some((1, event(6))), "nothing of it waits any more");
        assert_eq!(held.next((9, now)), Some((2, event(3))));
        assert_eq!(held.until(), None);
    }

    #[test]
    fn nothing_waits_for_long_and_not_much_waits() {
        let (mut held, now) = (Held::default(), Instant::now());
        for (nth, number) in [(0, 1), (1, 2)] {
            assert_eq!(arrive(&mut held, 1, after(9, number), (0, now + nth * Duration::from_millis(10))), None);
        }
        assert_eq!(held.until(), Some(now + HELD_FOR));
        assert_eq!(held.next((0, now + HELD_FOR)), Some((1, event(1))));
        assert_eq!(held.next((0, now + HELD_FOR)), None, "the other one came later");
        assert_eq!(held.next((0, now + 2 * HELD_FOR)), Some((1, event(2))));
        let mut shown = 0;
        for number in 0..2 * HELD_EVENTS_MAX as u64 {
            assert_eq!(arrive(&mut held, 1, after(9, number), (0, now)), None);
            while let Some((_, message)) = held.next((0, now)) {
                assert_eq!(message, event(shown), "out of order");
                shown += 1;
            }
        }
        assert_eq!(shown, HELD_EVENTS_MAX as u64);
    }
}
