//! Backends that store notifications at any node, and remember what was answered.

use crate::{
    harness::notification,
    support::{Answer, Api, until},
};
use reqwest::Method;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::task::JoinSet;

/// What was answered: titles by user.
pub type Ledger = BTreeMap<&'static str, BTreeSet<String>>;

/// Several of them; they can be started again, and go on counting.
pub struct Writers {
    count: usize,
    starts: usize,
    users: &'static [&'static str],
    shared: Arc<Shared>,
    running: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    answers: AtomicU64,
    is_stopped: AtomicBool,
}

impl Writers {
    /// So many, for these users in turn.
    pub fn new(count: usize, users: &'static [&'static str]) -> Self {
        Self { count, starts: 0, users, shared: Arc::default(), running: JoinSet::new() }
    }

    /// Lets them write at these nodes.
    pub fn start(&mut self, apis: &[Api]) {
        self.shared.is_stopped.store(false, Ordering::Relaxed);
        for number in 0..self.count {
            let number = number + self.starts * self.count;
            self.running.spawn(write(number, apis.to_vec(), self.users, self.shared.clone()));
        }
        self.starts += 1;
    }

    /// How many calls were answered well.
    pub fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::Relaxed)
    }

    /// Waits until so many more are.
    pub async fn more(&self, count: u64) {
        let enough = self.answers() + count;
        until("answers", || async { (self.answers() >= enough).then_some(()) }).await;
    }

    /// Lets each finish its call.
    pub async fn stop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.running.join_next().await {
            ended.expect("a writer's task");
        }
    }

    /// What was answered by now.
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger.lock().expect("whole").clone()
    }
}

/// One call after the other, each repeated with its key, at one node after the other, until it is answered well.
async fn write(number: usize, apis: Vec<Api>, users: &'static [&'static str], shared: Arc<Shared>) {
    let mut nth = number;
    for call in 0.. {
        if shared.is_stopped.load(Ordering::Relaxed) {
            return;
        }
        let user = users[call % users.len()];
        let (title, key) = (format!("{number}-{call}"), format!("k{number}-{call}"));
        let body = notification(user, &title, 100);
        loop {
            let api = &apis[nth % apis.len()];
            match api.call(Method::POST, "/api/v1/notifications", Some(&body), Some(&key)).await {
                Ok(Answer { status: 201, .. }) => break,
                Ok(Answer { status: 503, .. }) | Err(_) => nth += 1,
                Ok(other) => panic!("{title}: {other:?}"),
            }
        }
        shared.ledger.lock().expect("whole").entry(user).or_default().insert(title);
        shared.answers.fetch_add(1, Ordering::Relaxed);
    }
}
