//! Backends and pages that keep a server busy, and what they were told.

use crate::support::{Api, PATIENCE, Socket, User};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Notify;

pub const USERS: [&str; 3] = ["1", "2", "3"];
/// Enough for the log to be cut meanwhile.
const MESSAGE_BYTES: usize = 2 << 10;

#[derive(Default)]
pub struct Told {
    /// Titles by id.
    answered: Mutex<BTreeMap<u64, String>>,
    /// Titles that were sent, answered or not.
    asked: Mutex<BTreeSet<String>>,
    changed: Notify,
    stopped: AtomicBool,
}

impl Told {
    pub fn answered(&self) -> BTreeMap<u64, String> {
        self.answered.lock().clone()
    }

    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().clone()
    }

    pub fn answers(&self) -> usize {
        self.answered.lock().len()
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    pub async fn wait_for(&self, count: usize) {
        let reached = async {
            loop {
                let next = self.changed.notified();
                if self.answers() >= count {
                    return;
                }
                next.await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("writers get answers");
    }
}

/// A call for all users at once, which must be there for all or none.
pub fn is_to_all(title: &str) -> bool {
    title.ends_with("-to-all")
}

/// The body of a call for one user.
pub fn single(user: &str, title: &str) -> Value {
    json!({"user_id": user, "title": title, "message": "x".repeat(MESSAGE_BYTES)})
}

/// Sends to one, sends to all, and reads on a page, in turn; until it is told to stop.
pub async fn write(number: usize, (api, address): (Api, SocketAddr), told: Arc<Told>) {
    let user = USERS[number % USERS.len()];
    let mut page = Socket::connect(address, "/ws/notifications/", User::named(user)).await;
    page.skip_greeting().await;
    for nth in 0.. {
        if told.stopped.load(Ordering::Acquire) {
            // What the page marked is marked, so that whoever reads now reads what stays.
            page.until_pong().await;
            return;
        }
        let (title, body) = if nth % 3 == 0 {
            let title = format!("{number}/{nth}-to-all");
            let body = json!({"user_ids": USERS, "title": title, "message": "m"});
            (title, body)
        } else {
            let title = format!("{number}/{nth}");
            let body = single(user, &title);
            (title, body)
        };
        told.asked.lock().insert(title.clone());
        let path = "/api/v1/notifications";
        let answer = api.call(Method::POST, path, Some(&body), Some(&title)).await.expect("answered").ok();
        let ids: Vec<u64> = match answer["notifications"].as_array() {
            Some(made) => made.iter().map(|one| one["id"].as_u64().expect("an id")).collect(),
            None => vec![answer["id"].as_u64().expect("an id")],
        };
        told.answered.lock().extend(ids.iter().map(|id| (*id, title.clone())));
        told.changed.notify_waiters();
        if nth % 2 == 0 {
            page.send(&json!({"type": "mark_as_read", "notification_id": ids[0]})).await;
        }
    }
}
