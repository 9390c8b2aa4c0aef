//! Who is still one of us, and who may still publish.
//!
//! Every node asks the leader, several times a second, for a lease, and publishes ephemeral events only while it has
//! one. A leader marks a node down that has not asked for longer than a lease lasts: by then the node has stopped
//! publishing by itself, so nobody needs to wait for it. What makes that safe:
//!
//! - a leader's own lease counts from when a majority had asked it, as their echoes of its clock prove: whoever elects
//!   another later had not by then;
//! - a lease counts from when the node asked, and the silence of a node from when it was last granted one, which is later;
//! - a leader that has condemned a boot of a node grants it no lease any more, and none to anybody before it has
//!   applied what earlier leaders had condemned;
//! - a node is marked down by an entry of the leader's own term or not at all: such an entry is never passed on.

use super::leader::Leadership;
use crate::{
    protocol::{NodeId, Tenant},
    records::{Batch, CLUSTER, Command, Op, Records, RecordsError, groups},
    wall_clock::now,
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often a leader looks for nodes that are silent.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a leader waits for the majority before it marks a node down once more.
const MARK_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Its clock, for echoes.
    started: Instant,
    /// A node that has been silent for so long is marked down.
    down_after: Duration,
    term: Mutex<Term>,
}

/// What this node knows as the leader of one term.
#[derive(Debug)]
struct Term {
    number: u64,
    since: Instant,
    granted: BTreeMap<NodeId, (u64, Instant)>,
    /// When each asked, or later.
    asked: BTreeMap<NodeId, Instant>,
    condemned: BTreeSet<Boot>,
    /// Entries in which nodes were marked down.
    marks: u64,
}

impl Term {
    fn new(number: u64) -> Self {
        let (granted, asked, condemned) = Default::default();
        Self { number, since: Instant::now(), granted, asked, condemned, marks: 0 }
    }
}

impl Inner {
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
    pub(crate) fn new(leadership: Leadership, records: Records, down_after: Duration) -> Self {
        let term = Mutex::new(Term::new(0));
        Self { inner: Arc::new(Inner { leadership, records, started: Instant::now(), down_after, term }) }
    }

    /// Grants a lease, if this node leads and the boot counts: what to echo with the next question. `echo` is what the
    /// node was answered last.
    pub(crate) fn grant(&self, (node, epoch): Boot, echo: Option<u64>) -> Option<u64> {
        let inner = &self.inner;
        let number = inner.leadership.settled_term()?;
        let mut term = inner.term(number);
        if term.condemned.contains(&(node, epoch)) {
            return None;
        }
        if inner.records.read(|rows| groups::standing(rows, node)).ok()? != Some(epoch) {
            return None;
        }
        let now = Instant::now();
        term.granted.insert(node, (epoch, now));
        let clock = u64::try_from(now.duration_since(inner.started).as_millis()).unwrap_or(u64::MAX);
        // One from another process's clock may lie ahead.
        if let Some(asked) = echo.filter(|echo| *echo <= clock) {
            term.asked.insert(node, inner.started + Duration::from_millis(asked));
        }
        Some(clock)
    }

    /// Until when this node, as the leader, holds a lease of this length itself.
    pub(crate) fn own(&self, lease: Duration) -> Option<Instant> {
        let inner = &self.inner;
        let number = inner.leadership.settled_term()?;
        let term = inner.term(number);
        let (own, now) = (inner.leadership.node(), Instant::now());
        let asked = |voter: &NodeId| match term.asked.get(voter) {
            _ if *voter == own => Some(now),
            asked => asked.copied(),
        };
        let voters = inner.leadership.voters();
        let mut times: Vec<Option<Instant>> = voters.iter().map(asked).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.get(voters.len() / 2).copied().flatten().map(|majority| majority + lease)
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
        let mut silent = Vec::new();
        for node in inner.leadership.others() {
            let Some(epoch) = inner.records.read(|rows| groups::standing(rows, node))? else { continue };
            let granted = term.granted.get(&node).filter(|(of, _)| *of == epoch).map(|(_, at)| *at);
            if granted.map_or(term.since, |at| at.max(term.since)).elapsed() > inner.down_after {
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
