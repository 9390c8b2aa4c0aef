//! Who is still one of us, and who may still publish.
//!
//! Every node asks the leader, several times a second, for a lease, and publishes ephemeral events only while it has
//! one. A leader marks a node down that has not asked for longer than a lease lasts: by then the node has stopped
//! publishing by itself, so nobody needs to wait for it. What makes that safe:
//!
//! - a leader's own lease counts from when a majority had asked it, as their echoes of its clock prove: whoever elects
//!   another later had not by then;
//! - it grants leases only while it holds its own;
//! - a lease counts from when the node asked, and the silence of a node from when it was last granted one, which is later;
//! - a leader that has condemned a boot of a node grants it no lease any more, and none to anybody before it has
//!   applied what earlier leaders had condemned;
//! - a node is marked down by an entry of the leader's own term or not at all: such an entry is never passed on.
//!
//! A node that lives but applies nothing any more, because its disk hangs, gets no lease either: all others would wait
//! for it at every greeting.

use super::{
    leader::Leadership,
    links::Applied,
    quorum::{self, Voters},
};
use crate::{
    protocol::{NodeId, Tenant},
    records::{Batch, CLUSTER, Command, Op, Records, RecordsError, groups},
    wall_clock::now,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// How often a leader looks for nodes that are silent.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a leader waits for the majority before it marks a node down once more.
const MARK_TIMEOUT: Duration = Duration::from_secs(2);

/// A node that lacks what the leader had applied so long ago gets no lease.
const BEHIND_MAX: Duration = Duration::from_secs(5);

/// A boot of a node.
type Boot = (NodeId, u64);

/// The leader's side. A handle; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    leadership: Leadership,
    records: Records,
    /// How far others have applied, as they say.
    applied: watch::Receiver<BTreeMap<NodeId, Applied>>,
    /// Its clock, for echoes.
    started: Instant,
    /// How long a lease lasts.
    length: Duration,
    /// A node that has been silent for so long is marked down.
    down_after: Duration,
    term: Mutex<Term>,
}

/// What this node knows as the leader of one term.
#[derive(Debug)]
struct Term {
    number: u64,
    since: Instant,
    /// Since when this node has held its own lease.
    held_since: Option<Instant>,
    granted: BTreeMap<NodeId, (u64, Instant)>,
    /// When each asked, or later.
    asked: BTreeMap<NodeId, Instant>,
    condemned: BTreeSet<Boot>,
    /// Entries in which nodes were marked down.
    marks: u64,
    progress: Past,
}

impl Term {
    fn new(number: u64) -> Self {
        let (granted, asked, condemned, progress) = Default::default();
        Self { number, since: Instant::now(), held_since: None, granted, asked, condemned, marks: 0, progress }
    }
}

/// How far this node had applied when, for a while back.
#[derive(Debug, Default)]
struct Past(VecDeque<(Instant, u64)>);

impl Past {
    fn note(&mut self, now: Instant, applied: u64) {
        self.0.push_back((now, applied));
        while self.0.get(1).is_some_and(|(at, _)| *at + BEHIND_MAX <= now) {
            self.0.pop_front();
        }
    }

    /// What everybody should have applied by now.
    fn due(&self, now: Instant) -> u64 {
        self.0.front().filter(|(at, _)| *at + BEHIND_MAX <= now).map_or(0, |(_, applied)| *applied)
    }
}

/// An answer to a node that asks for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// To be echoed.
    pub(crate) clock: u64,
    /// Whether it has a lease.
    pub(crate) is_held: bool,
}

impl Inner {
    /// See [`Leases::own`].
    fn own(&self, term: &Term) -> Option<Instant> {
        let (own, now) = (self.leadership.node(), Instant::now());
        let asked = |voter: &NodeId| match term.asked.get(voter) {
            _ if *voter == own => Some(now),
            asked => asked.copied(),
        };
        let majority = quorum::reached_in_each(&self.leadership.voter_sets(), asked).flatten();
        majority.map(|majority| majority + self.length)
    }

    /// What is known of this term; a new one begins with nothing.
    fn term(&self, number: u64) -> MutexGuard<'_, Term> {
        let mut term = self.term.lock();
        if term.number != number {
            *term = Term::new(number);
        }
        term
    }
}

impl Leases {
    /// Leases of the given length; a node that has had none for the other time is marked down.
    pub(crate) fn new(
        (leadership, records): (Leadership, Records),
        applied: watch::Receiver<BTreeMap<NodeId, Applied>>,
        (length, down_after): (Duration, Duration),
    ) -> Self {
        let (started, term) = (Instant::now(), Mutex::new(Term::new(0)));
        Self { inner: Arc::new(Inner { leadership, records, applied, started, length, down_after, term }) }
    }

    /// Grants a lease, if this node leads and the boot counts. `echo` is what the node was answered last; it counts
    /// whether the node gets a lease or not.
    pub(crate) fn grant(&self, (node, epoch): Boot, echo: Option<u64>) -> Option<Granted> {
        let inner = &self.inner;
        let number = inner.leadership.settled_term()?;
        let mut term = inner.term(number);
        let now = Instant::now();
        let clock = u64::try_from(now.duration_since(inner.started).as_millis()).unwrap_or(u64::MAX);
        // One from another process's clock may lie ahead.
        if let Some(asked) = echo.filter(|echo| *echo <= clock) {
            term.asked.insert(node, inner.started + Duration::from_millis(asked));
        }
        let stands = inner.records.read(|rows| groups::standing(rows, node)).ok()? == Some(epoch);
        let is_behind = inner.applied.borrow().get(&node).is_some_and(|at| at.index < term.progress.due(now));
        let is_held = stands
            && !is_behind
            && !term.condemned.contains(&(node, epoch))
            && inner.own(&term).is_some_and(|until| until > now);
        if is_held {
            term.granted.insert(node, (epoch, now));
        }
        Some(Granted { clock, is_held })
    }

    /// Those whom this node, as the leader, has heard so lately that they do not count as down; itself among them.
    pub(crate) fn heard(&self) -> Voters {
        let inner = &self.inner;
        let Some(number) = inner.leadership.settled_term() else { return Voters::new() };
        let term = inner.term(number);
        let lately = term.asked.iter().filter(|(_, at)| at.elapsed() <= inner.down_after).map(|(node, _)| *node);
        lately.chain([inner.leadership.node()]).collect()
    }

    /// Until when this node, as the leader, holds a lease itself.
    pub(crate) fn own(&self) -> Option<Instant> {
        let inner = &self.inner;
        let number = inner.leadership.settled_term()?;
        let term = inner.term(number);
        inner.own(&term)
    }

    /// Marks silent nodes down while this one leads; ends with `shutdown`.
    pub(crate) async fn watch(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match self.condemn() {
                Ok(None) => {}
                Ok(Some((term, marks, boots))) => self.mark_down((term, marks), &boots).await,
                Err(error) => tracing::error!(%error, "it cannot be read which nodes stand"),
            }
        }
    }

    /// Boots that have been silent for too long: from now on they get no lease.
    fn condemn(&self) -> Result<Option<(u64, u64, Vec<Boot>)>, RecordsError> {
        let inner = &self.inner;
        let Some(number) = inner.leadership.settled_term() else { return Ok(None) };
        let mut term = inner.term(number);
        term.progress.note(Instant::now(), *inner.records.progress().watch_position().borrow());
        let now = Instant::now();
        if inner.own(&term).is_none_or(|until| until <= now) {
            // Nobody is granted a lease, whether they are silent or not.
            term.held_since = None;
            return Ok(None);
        }
        let since = term.since.max(*term.held_since.get_or_insert(now));
        let mut silent = Vec::new();
        for node in inner.leadership.others() {
            let Some(epoch) = inner.records.read(|rows| groups::standing(rows, node))? else { continue };
            let granted = term.granted.get(&node).filter(|(of, _)| *of == epoch).map(|(_, at)| *at);
            if granted.map_or(since, |at| at.max(since)).elapsed() > inner.down_after {
                silent.push((node, epoch));
            }
        }
        if silent.is_empty() {
            return Ok(None);
        }
        term.condemned.extend(&silent);
        term.marks += 1;
        Ok(Some((number, term.marks, silent)))
    }

    async fn mark_down(&self, (term, marks): (u64, u64), boots: &[Boot]) {
        tracing::warn!(nodes = ?boots, "these nodes have been silent for too long: they count as down");
        let mark = |(node, epoch): &Boot| Command {
            tenant: Tenant::default(),
            at: now(),
            idempotency: None,
            op: Op::MarkDown { node: *node, epoch: *epoch },
        };
        // The cluster's own words: terms ascend, so no two entries have the same number.
        let batch = Batch { node: CLUSTER, epoch: term, sequence: marks, commands: boots.iter().map(mark).collect() };
        let written = self.inner.leadership.raft().client_write(batch);
        match tokio::time::timeout(MARK_TIMEOUT, written).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "nodes are not marked down by this leader"),
            Err(_) => tracing::debug!("nodes are not marked down yet: no majority answers"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_should_have_is_what_was_applied_a_while_ago() {
        let begun = Instant::now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        let mut past = Past::default();
        assert_eq!(past.due(at(0)), 0);
        for second in 0..20 {
            past.note(at(second * 1_000), second);
        }
        for (now, due) in [(19_000, 14), (19_999, 14), (40_000, 14)] {
            assert_eq!(past.due(at(now)), due, "at {now} ms");
        }
        assert!(past.0.len() <= 7, "{past:?}");
    }
}
