//! The cluster's time: what the leader stamps commands with, and how far members' clocks are apart.
//!
//! Each node asks the others for their time. The leader's stamp is its own clock, moved by the median of the differences:
//! one clock that is wrong, even the leader's own, does not move the time of a cluster of three or more.

use super::{
    ask::ask,
    leader::Leadership,
    links::Links,
    wire::{Answer, Request},
};
use crate::{
    protocol::{NodeId, Timestamp},
    telemetry::names,
    wall_clock,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Pause between two rounds of questions.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// The same as long as somebody has not said yet.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// An answer that takes longer says too little about the other clock.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// A larger difference is worth a warning.
const SKEW_WARNED: Duration = Duration::from_secs(2);
/// Pause between two warnings about one peer.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// What is known of the members' clocks. A handle; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks {
    /// Microseconds by which each peer's clock is ahead of this node's; a peer that is gone keeps its last.
    ahead: Arc<Mutex<BTreeMap<NodeId, i64>>>,
}

impl Clocks {
    /// The cluster's time, as far as this node can tell.
    pub(crate) fn now(&self) -> Timestamp {
        let offset = median(self.ahead.lock().values().copied());
        Timestamp(wall_clock::now().0.saturating_add(offset))
    }

    /// By how many microseconds a peer's clock is ahead of this node's; `None` before it has said.
    pub(crate) fn ahead(&self, node: NodeId) -> Option<i64> {
        self.ahead.lock().get(&node).copied()
    }

    fn note(&self, node: NodeId, ahead: i64) {
        self.ahead.lock().insert(node, ahead);
    }

    fn keep(&self, members: &[NodeId]) {
        self.ahead.lock().retain(|node, _| members.contains(node));
    }
}

/// The middle one of the offsets and this node's own, which is 0; of two in the middle the one that is nearer to 0.
fn median(offsets: impl Iterator<Item = i64>) -> i64 {
    let mut all: Vec<i64> = offsets.chain([0]).collect();
    all.sort_unstable();
    let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
    if low.unsigned_abs() <= high.unsigned_abs() { low } else { high }
}

/// Asks the others for their time, as long as the node runs.
pub(crate) struct ClockWatch {
    pub(crate) links: Links,
    pub(crate) leadership: Leadership,
    pub(crate) clocks: Clocks,
}

impl ClockWatch {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut warned: BTreeMap<NodeId, Instant> = BTreeMap::new();
        loop {
            let members = self.leadership.others();
            self.clocks.keep(&members);
            for node in &members {
                if let Some(ahead) = self.ask(*node).await {
                    self.clocks.note(*node, ahead);
                    show(*node, ahead, &mut warned);
                }
            }
            let knows_all = members.iter().all(|node| self.clocks.ahead(*node).is_some());
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(if knows_all { ASK_EVERY } else { ASK_AGAIN }) => {}
            }
        }
    }

    /// The peer's clock against this one's in the middle between question and answer.
    async fn ask(&self, node: NodeId) -> Option<i64> {
        let (asked, began) = (wall_clock::now(), Instant::now());
        let answer = ask(&self.links, node, &Request::Clock, ASK_TIMEOUT).await?;
        let half = i64::try_from(began.elapsed().as_micros() / 2).ok()?;
        match answer {
            Answer::WallClock(time) => Some(time.0.saturating_sub(asked.0.saturating_add(half))),
            _ => None,
        }
    }
}

/// Tells operators of a difference.
fn show(node: NodeId, ahead: i64, warned: &mut BTreeMap<NodeId, Instant>) {
    let difference = Duration::from_micros(ahead.unsigned_abs());
    let seconds = if ahead < 0 { -difference.as_secs_f64() } else { difference.as_secs_f64() };
    metrics::gauge!(names::CLOCK_SKEW, "node" => node.to_string()).set(seconds);
    if difference < SKEW_WARNED {
        warned.remove(&node);
    } else if warned.get(&node).is_none_or(|at| at.elapsed() >= WARN_EVERY) {
        warned.insert(node, Instant::now());
        tracing::warn!(
            node,
            ahead_seconds = seconds,
            "the clock of a peer differs from this node's: set both by NTP; tokens and tickets are judged by each node's own clock"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_clock_does_not_move_the_time_of_three_nodes() {
        let day = 86_400_000_000;
        let table: [(&[i64], i64); 8] = [
            (&[], 0),
            // Of two nodes nobody can say which is wrong.
            (&[day], 0),
            (&[-day], 0),
            // A peer is wrong.
            (&[day, 5], 5),
            (&[-day, -5], -5),
            // This node is wrong.
            (&[-day, -day + 7], -day + 7),
            (&[day, day, day + 1, day + 2], day),
            (&[10, -20, 30, day], 10),
        ];
        for (offsets, want) in table {
            assert_eq!(median(offsets.iter().copied()), want, "{offsets:?}");
        }
    }
}
