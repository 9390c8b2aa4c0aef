//! What writers were answered: the least that the store must hold.

use crate::support::{Server, User, frames::masked};
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::sync::Notify;

#[derive(Default)]
pub struct Ledger {
    kept: Mutex<Kept>,
    answers: AtomicU64,
    answered: Notify,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Kept {
    /// Title by user and id.
    notifications: BTreeMap<(String, u64), String>,
    read: BTreeSet<(String, u64)>,
    /// `amount` of each update, by user.
    updates: BTreeMap<String, BTreeSet<String>>,
}

impl Ledger {
    fn note(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept.lock());
        self.answers.fetch_add(1, Ordering::AcqRel);
        self.answered.notify_waiters();
    }

    pub fn sent(&self, user: &str, id: u64, title: &str) {
        self.note(|kept| {
            let known = kept.notifications.insert((user.into(), id), title.into());
            assert!(known.is_none(), "the id {id} was given twice: {known:?} and {title}");
        });
    }

    pub fn read(&self, user: &str, id: u64) {
        self.note(|kept| {
            kept.read.insert((user.into(), id));
        });
    }

    pub fn updated(&self, user: &str, amount: &str) {
        self.note(|kept| {
            kept.updates.entry(user.into()).or_default().insert(amount.into());
        });
    }

    /// A change that nothing can be asked about afterwards.
    pub fn done(&self) {
        self.note(|_| {});
    }

    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Acquire)
    }

    /// Waits until so many changes were answered.
    pub async fn wait_for(&self, count: u64) {
        let reached = async {
            loop {
                let next = self.answered.notified();
                if self.answers() >= count {
                    return;
                }
                next.await;
            }
        };
        tokio::time::timeout(crate::support::PATIENCE, reached).await.expect("writers get answers");
    }

    /// Tells writers to finish what they have begun.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Everything answered is among a user's notifications, none of which is there twice.
    pub fn check_kept(&self, user: &str, stored: &BTreeMap<u64, Value>) {
        let kept = self.kept.lock();
        let of_user = (user.to_owned(), 0)..=(user.to_owned(), u64::MAX);
        for ((_, id), title) in kept.notifications.range(of_user.clone()) {
            let there =
                stored.get(id).unwrap_or_else(|| panic!("notification {id} of user {user} was answered and is lost"));
            assert_eq!(there["title"], title.as_str());
        }
        for (_, id) in kept.read.range(of_user) {
            assert_eq!(stored[id]["is_read"], true, "that {id} of user {user} was read is lost");
        }
        let titles: BTreeSet<_> = stored.values().map(|item| item["title"].as_str()).collect();
        assert_eq!(titles.len(), stored.len(), "a retry made a notification of user {user} twice");
    }

    /// With nothing under way, the store holds exactly what was answered; how many notifications and updates.
    pub async fn check_all(&self, server: &Server, users: &[&str]) -> (u64, u64) {
        let mut count = (0, 0);
        for user in users {
            let stored = crate::support::inbox::of(&server.api(), user).await;
            self.check_kept(user, &stored);
            let kept = self.kept.lock();
            let answered = kept.notifications.keys().filter(|(of, _)| of == user).count();
            assert_eq!(stored.len(), answered, "user {user} has more notifications than were answered");
            for (id, item) in stored {
                let read = kept.read.contains(&((*user).to_owned(), id));
                assert_eq!(item["is_read"], read, "notification {id} of user {user}");
            }
            count.0 += answered as u64;
        }
        let updates = self.kept.lock().updates.clone();
        for (user, amounts) in updates {
            let mut socket = server.greeted("/ws/subscriptions/", User::named(&user)).await;
            let history = masked(socket.ask("request_subscription_history").await);
            let mut stored: Vec<_> =
                history["data"].as_array().expect("a list").iter().filter_map(|row| row["amount"].as_str()).collect();
            stored.sort_unstable();
            let answered: Vec<_> = amounts.iter().map(String::as_str).collect();
            assert_eq!(stored, answered, "the history of user {user}");
            count.1 += answered.len() as u64;
        }
        count
    }
}
