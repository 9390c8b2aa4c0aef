//! What everybody in a run shares: where the server is, how far everybody has come, and the first thing that was wrong.

use crate::support::PATIENCE;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::sync::{Notify, RwLock, watch};

/// Where the server is, since which of its starts.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub boot: u64,
    pub address: SocketAddr,
}

pub struct Board {
    pub place: watch::Sender<Place>,
    /// Writers hold it for reading while a call is under way; whoever has it for writing has silence.
    pub gate: RwLock<()>,
    counts: Mutex<BTreeMap<String, u64>>,
    resumes: AtomicU64,
    answers: AtomicU64,
    /// The last phase whose end each client has seen.
    reached: Mutex<BTreeMap<usize, u64>>,
    failure: Mutex<Option<String>>,
    changed: Notify,
    quiet: AtomicBool,
    stopped: AtomicBool,
}

impl Board {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            place: watch::Sender::new(Place { boot: 0, address }),
            gate: RwLock::new(()),
            counts: Mutex::default(),
            resumes: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            reached: Mutex::default(),
            failure: Mutex::default(),
            changed: Notify::new(),
            quiet: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }
    }

    pub fn resumed(&self) {
        self.resumes.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    pub fn resumes(&self) -> u64 {
        self.resumes.load(Ordering::Acquire)
    }

    pub fn answered(&self) {
        self.answers.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Acquire)
    }

    /// One more of something that the run reports in the end.
    pub fn count(&self, what: impl Into<String>) {
        *self.counts.lock().entry(what.into()).or_default() += 1;
    }

    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().clone()
    }

    pub fn reached(&self, client: usize, phase: u64) {
        self.reached.lock().insert(client, phase);
        self.changed.notify_waiters();
    }

    /// The first failure is the one to be told.
    pub fn fail(&self, what: String) {
        self.failure.lock().get_or_insert(what);
        self.changed.notify_waiters();
    }

    /// Clients begin no more changes of their own.
    pub fn hush(&self) {
        self.quiet.store(true, Ordering::Release);
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Acquire)
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || self.failure.lock().is_some()
    }

    /// Panics if anything was found wrong.
    #[track_caller]
    pub fn check(&self, seed: u64) {
        if let Some(failure) = self.failure.lock().clone() {
            panic!("CARILLON_SEED={seed}: {failure}");
        }
    }

    /// Waits until `done`; a failure of anybody ends the test.
    pub async fn wait(&self, seed: u64, what: &str, done: impl Fn(&Self) -> bool) {
        let reached = async {
            loop {
                let next = self.changed.notified();
                self.check(seed);
                if done(self) {
                    return;
                }
                // A notice may have been given just before it was asked for.
                let _ = tokio::time::timeout(std::time::Duration::from_millis(50), next).await;
            }
        };
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            panic!("CARILLON_SEED={seed}: never: {what}; ends of phases seen by client: {:?}", self.reached.lock());
        }
    }

    /// Whether all clients below `clients` have seen the end of this phase.
    pub fn all_reached(&self, clients: usize, phase: u64) -> bool {
        let reached = self.reached.lock();
        (0..clients).all(|client| reached.get(&client).is_some_and(|seen| *seen >= phase))
    }
}
