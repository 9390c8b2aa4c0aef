//! A backend that never gives up: one change after the other, each repeated until its outcome is known.

use crate::{
    USERS,
    ledger::Ledger,
    support::{Answer, Api, Random},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::watch;

/// Where the server is, since which of its starts.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub boot: u64,
    pub address: SocketAddr,
}

/// Updates for one user: its whole history fits into one frame.
const UPDATES_PER_USER: u64 = 100;

/// Enough for the log to grow.
const MESSAGE_BYTES: usize = 4 << 10;

pub struct Writer {
    number: u64,
    random: Random,
    place: watch::Receiver<Place>,
    ledger: Arc<Ledger>,
    api: Api,
    boot: u64,
    changes: u64,
    updates: u64,
    /// Own notifications that are not read yet.
    unread: Vec<(&'static str, u64)>,
}

impl Writer {
    pub fn new(number: u64, seed: u64, (place, ledger): (watch::Receiver<Place>, Arc<Ledger>)) -> Self {
        let now = *place.borrow();
        let (api, boot) = (Api::new(now.address), now.boot);
        let random = Random::new(seed);
        Self { number, random, place, ledger, api, boot, changes: 0, updates: 0, unread: Vec::new() }
    }

    /// Until the ledger says stop; the last change is brought to its end.
    pub async fn run(mut self) {
        while !self.ledger.is_stopped() {
            match self.random.below(10) {
                0..=4 => self.send().await,
                5..=6 => self.mark_read().await,
                7..=8 => self.update().await,
                _ => self.pay().await,
            }
        }
    }

    async fn send(&mut self) {
        let user = USERS[self.random.index(USERS.len())];
        let title = format!("{}/{}", self.number, self.changes);
        let body = json!({"user_id": user, "title": title, "message": "x".repeat(MESSAGE_BYTES)});
        let answer = self.insist("/notifications", &body).await;
        let id = answer["id"].as_u64().expect("an id");
        assert_eq!(answer["title"], title.as_str());
        self.ledger.sent(user, id, &title);
        self.unread.push((user, id));
    }

    async fn mark_read(&mut self) {
        if self.unread.is_empty() {
            return;
        }
        let nth = self.random.index(self.unread.len());
        let (user, id) = self.unread.swap_remove(nth);
        self.insist(&format!("/users/{user}/notifications/{id}/read"), &Value::Null).await;
        self.ledger.read(user, id);
    }

    async fn update(&mut self) {
        let user = format!("w{}-{}", self.number, self.updates / UPDATES_PER_USER);
        let amount = format!("{:06}", self.updates);
        self.updates += 1;
        let data = json!({"plan_name": "A", "status": "active", "amount": amount});
        self.insist(&format!("/users/{user}/subscriptions"), &json!({"data": data})).await;
        self.ledger.updated(&user, &amount);
    }

    async fn pay(&mut self) {
        self.insist("/users/1/payments", &json!({"data": {"amount": "1.00"}})).await;
        self.ledger.done();
    }

    /// Repeats a call with one idempotency key until it is answered well.
    async fn insist(&mut self, path: &str, body: &Value) -> Value {
        self.changes += 1;
        let key = format!("{}-{}", self.number, self.changes);
        let path = format!("/api/v1{path}");
        loop {
            let body = Some(body).filter(|body| !body.is_null());
            match self.api.call(Method::POST, &path, body, Some(&key)).await {
                Ok(Answer { status: 200..=299, body, .. }) => return body,
                Ok(answer) if answer.status == 503 => tokio::task::yield_now().await,
                Ok(answer) => panic!("{path}: {answer:?}"),
                Err(_) => self.follow().await,
            }
        }
    }

    /// Waits for the server's next start.
    async fn follow(&mut self) {
        let gone = self.boot;
        let place = *self.place.wait_for(|place| place.boot > gone).await.expect("the test goes on");
        (self.boot, self.api) = (place.boot, Api::new(place.address));
    }
}
