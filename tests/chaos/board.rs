//! What everybody in a run shares: the history, who may be asked, how far clients have come, and what went wrong.

use crate::{
    history::{Event, Outcome, Stream, User, Write},
    net::Node,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Everybody works.
    Load,
    /// Writers bring to an end what they have begun, and clients stay where they are.
    Settling,
    /// Everybody ends.
    Over,
}

/// What one node has answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    pub stored: u64,
    pub refused: u64,
    /// No answer, or none that says what happened.
    pub unknown: u64,
    pub disk_full: u64,
}

pub struct Board {
    pub stage: watch::Sender<Stage>,
    events: Mutex<Vec<Event>>,
    /// Whom clients know. Also those that are down: nobody has told them.
    nodes: Mutex<Vec<(Node, SocketAddr)>>,
    answers: Mutex<BTreeMap<Node, Answers>>,
    /// When calls were answered well.
    answered_at: Mutex<Vec<Instant>>,
    reached: Mutex<BTreeMap<Stream, u64>>,
    /// By user, the last that was stored and that nobody has taken yet.
    fresh: Mutex<BTreeMap<User, (Write, u64)>>,
    counts: Mutex<BTreeMap<String, u64>>,
    failure: Mutex<Option<String>>,
}

impl Board {
    pub fn new() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Load),
            events: Mutex::default(),
            nodes: Mutex::default(),
            answers: Mutex::default(),
            answered_at: Mutex::default(),
            reached: Mutex::default(),
            fresh: Mutex::default(),
            counts: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    pub fn is(&self, stage: Stage) -> bool {
        *self.stage.borrow() >= stage
    }

    /// Goes into the history.
    pub fn note(&self, event: Event) {
        if let Event::Answered { node, outcome, .. } = event {
            let mut answers = self.answers.lock();
            let answers = answers.entry(node).or_default();
            match outcome {
                Outcome::Stored(_) => {
                    answers.stored += 1;
                    self.answered_at.lock().push(Instant::now());
                }
                Outcome::Never => answers.refused += 1,
                Outcome::Unknown => answers.unknown += 1,
            }
        }
        self.events.lock().push(event);
    }

    pub fn disk_full(&self, node: Node) {
        self.answers.lock().entry(node).or_default().disk_full += 1;
    }

    /// The history so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock())
    }

    pub fn set_nodes(&self, nodes: Vec<(Node, SocketAddr)>) {
        *self.nodes.lock() = nodes;
    }

    pub fn nodes(&self) -> Vec<(Node, SocketAddr)> {
        self.nodes.lock().clone()
    }

    pub fn answers(&self) -> BTreeMap<Node, Answers> {
        self.answers.lock().clone()
    }

    /// Answered well by anybody.
    pub fn stored(&self) -> u64 {
        self.answers.lock().values().map(|answers| answers.stored).sum()
    }

    /// The longest time without a good answer since then.
    pub fn longest_silence(&self, since: Instant) -> Duration {
        let times = self.answered_at.lock();
        let first = times.partition_point(|at| *at <= since);
        let mut last = since;
        let gap = |at: &Instant| at.duration_since(std::mem::replace(&mut last, *at));
        times[first..].iter().map(gap).max().unwrap_or_default()
    }

    /// Something was stored a moment ago.
    pub fn fresh(&self, user: User, write: Write, id: u64) {
        self.fresh.lock().insert(user, (write, id));
    }

    /// What was stored last for this user, once.
    pub fn take_fresh(&self, user: User) -> Option<(Write, u64)> {
        self.fresh.lock().remove(&user)
    }

    pub fn reached(&self, stream: Stream, id: u64) {
        self.reached.lock().insert(stream, id);
    }

    /// The last that was shown to this client.
    pub fn last_of(&self, stream: Stream) -> Option<u64> {
        self.reached.lock().get(&stream).copied()
    }

    /// One more of something that the run reports in the end.
    pub fn count(&self, what: impl Into<String>) {
        *self.counts.lock().entry(what.into()).or_default() += 1;
    }

    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().clone()
    }

    /// The first failure is the one to be told.
    pub fn fail(&self, what: String) {
        self.failure.lock().get_or_insert(what);
    }

    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }
}
