//! Whom something reached on other nodes: their counts, gathered until all have come or nobody waits any more.

use super::peer_message::CountOf;
use crate::{config::limits::RECIPIENTS_WAIT, protocol::NodeId, tally::Elsewhere};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};
use tokio::time::Instant;

/// Counts under way at once; whatever is older is not waited for.
const COUNTS_MAX: usize = 65_536;

/// A handle; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    gathering: Arc<Mutex<Gathering>>,
}

#[derive(Debug, Default)]
struct Gathering {
    of: HashMap<CountOf, Gathered>,
    /// In the order in which they began.
    begun: VecDeque<(Instant, CountOf)>,
}

#[derive(Debug, Default)]
struct Gathered {
    /// `None`: counts have come earlier than the question. Another node may apply a command first.
    asked: Option<(Vec<NodeId>, Elsewhere)>,
    came: Vec<(NodeId, u64)>,
}

impl Counts {
    /// Asks for the counts of these nodes.
    pub(crate) fn expect(&self, what: CountOf, nodes: Vec<NodeId>, elsewhere: Elsewhere) {
        if nodes.is_empty() {
            return elsewhere.reached(0);
        }
        let mut gathering = self.gathering.lock();
        gathering.entry(what).asked = Some((nodes, elsewhere));
        gathering.settle(what);
    }

    /// A node has counted.
    pub(crate) fn came(&self, node: NodeId, what: CountOf, reached: u64) {
        let mut gathering = self.gathering.lock();
        // An event's number is expected before it is sent; one that isn't any more has had its time.
        if matches!(what, CountOf::Event(_)) && !gathering.of.contains_key(&what) {
            return;
        }
        gathering.entry(what).came.push((node, reached));
        gathering.settle(what);
    }
}

impl Gathering {
    fn entry(&mut self, what: CountOf) -> &mut Gathered {
        let now = Instant::now();
        while let Some((begun, old)) = self.begun.front().copied()
            && (self.begun.len() > COUNTS_MAX || now.duration_since(begun) > 2 * RECIPIENTS_WAIT)
        {
            self.begun.pop_front();
            self.of.remove(&old);
        }
        self.of.entry(what).or_insert_with(|| {
            self.begun.push_back((now, what));
            Gathered::default()
        })
    }

    fn settle(&mut self, what: CountOf) {
        let Some(gathered) = self.of.get(&what) else { return };
        let Some((nodes, _)) = &gathered.asked else { return };
        if !nodes.iter().all(|node| gathered.came.iter().any(|(of, _)| of == node)) {
            return;
        }
        if let Some(Gathered { asked: Some((_, elsewhere)), came }) = self.of.remove(&what) {
            elsewhere.reached(came.iter().map(|(_, reached)| reached).sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::Pos, tally::Tally};
    use std::time::Duration;

    async fn counted(tally: Tally) -> (u64, bool) {
        let recipients = tally.wait(Duration::ZERO).await;
        (recipients.count, recipients.partial)
    }

    #[tokio::test]
    async fn a_count_is_complete_when_every_node_has_said_its_part_whoever_was_first() {
        let counts = Counts::default();
        let at = CountOf::Command(Pos::new(7, 0));
        // The other node was quicker.
        counts.came(2, at, 5);
        let (tally, elsewhere) = Tally::elsewhere();
        counts.expect(at, vec![2, 3], elsewhere);
        assert_eq!(counted(tally.clone()).await, (0, true));
        counts.came(3, at, 1);
        assert_eq!(counted(tally).await, (6, false));
    }

    #[tokio::test]
    async fn nobody_to_ask_is_a_count_of_none_and_a_late_count_changes_nothing() {
        let counts = Counts::default();
        let (tally, elsewhere) = Tally::elsewhere();
        counts.expect(CountOf::Event(1), Vec::new(), elsewhere);
        assert_eq!(counted(tally).await, (0, false));
        counts.came(2, CountOf::Event(1), 9);
        assert!(counts.gathering.lock().of.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn counts_that_nobody_waits_for_any_more_are_forgotten() {
        let counts = Counts::default();
        for number in 0..10 {
            counts.expect(CountOf::Event(number), vec![2], Tally::elsewhere().1);
        }
        tokio::time::advance(3 * RECIPIENTS_WAIT).await;
        counts.expect(CountOf::Event(10), vec![2], Tally::elsewhere().1);
        assert_eq!(counts.gathering.lock().of.len(), 1);
    }
}
