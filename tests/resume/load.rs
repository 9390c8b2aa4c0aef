//! Backends that never give up, and what each of them was answered: what must have been told, in which order.

use crate::{
    board::Board,
    client::FOR_A_TAB,
    events::{self, Stream},
    support::{Answer, Api, Random},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A change of one notification, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Read,
    Unread,
    Delete,
}

/// What a writer knows of a notification of its own.
struct Own {
    user: String,
    id: u64,
    is_read: bool,
}

/// What a writer was answered.
#[derive(Default)]
pub struct Answered {
    /// The types of events in order, by stream. The payload of the nth has `n` in it.
    pub sent: BTreeMap<Stream, Vec<&'static str>>,
    /// Titles of notifications in order, by user.
    pub titles: BTreeMap<String, Vec<String>>,
    /// Changes in order, by user and notification.
    pub changes: BTreeMap<(String, u64), Vec<Change>>,
    pub read_all: BTreeMap<String, u64>,
}

pub struct Writer {
    pub number: u64,
    pub answered: Answered,
    users: Arc<[String]>,
    board: Arc<Board>,
    random: Random,
    api: Api,
    boot: u64,
    calls: u64,
    own: Vec<Own>,
}

impl Writer {
    pub fn new(number: u64, seed: u64, users: Arc<[String]>, board: Arc<Board>) -> Self {
        let place = *board.place.borrow();
        let (random, api) = (Random::new(seed), Api::new(place.address));
        Self {
            number,
            answered: Answered::default(),
            users,
            board,
            random,
            api,
            boot: place.boot,
            calls: 0,
            own: Vec::new(),
        }
    }

    /// Until the board says stop; the last call is brought to its end.
    pub async fn run(mut self) -> Self {
        let board = self.board.clone();
        while !board.is_stopped() {
            let _open = board.gate.read().await;
            if board.is_stopped() {
                break;
            }
            // Half of it for one user.
            let nth = if self.random.one_in(2) { 0 } else { self.random.index(self.users.len()) };
            let user = self.users[nth].clone();
            match self.random.below(20) {
                0..=4 => self.notify(user).await,
                5..=9 => self.change().await,
                10 if self.random.one_in(4) => self.read_all(user).await,
                10..=12 => {
                    self.send(Stream::Dashboard(user.clone()), "dashboard_update", &format!("/users/{user}/dashboard"))
                        .await;
                }
                13..=16 => self.subscription(user).await,
                17..=18 => self.send(Stream::AdminDashboard, "system_update", "/admin/dashboard").await,
                _ => self.alert().await,
            }
        }
        self
    }

    async fn notify(&mut self, user: String) {
        let titles = self.answered.titles.entry(user.clone()).or_default();
        let for_a_tab = self.random.one_in(3);
        let title = format!("{}w{} {}", if for_a_tab { FOR_A_TAB } else { "" }, self.number, titles.len());
        titles.push(title.clone());
        let body = json!({"user_id": user, "title": title, "message": events::filling()});
        let answer = self.insist(Method::POST, "/notifications", &body).await;
        let id = answer["id"].as_u64().expect("an id");
        if !for_a_tab {
            self.own.push(Own { user, id, is_read: false });
        }
    }

    async fn change(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let nth = self.random.index(self.own.len());
        let own = &mut self.own[nth];
        let change = match own.is_read {
            _ if self.random.one_in(5) => Change::Delete,
            true => Change::Unread,
            false => Change::Read,
        };
        own.is_read = change == Change::Read;
        let (user, id) = (own.user.clone(), own.id);
        let path = format!("/users/{user}/notifications/{id}");
        match change {
            Change::Read => self.insist(Method::POST, &format!("{path}/read"), &Value::Null).await,
            Change::Unread => self.insist(Method::POST, &format!("{path}/unread"), &Value::Null).await,
            Change::Delete => {
                self.own.swap_remove(nth);
                self.insist(Method::DELETE, &path, &Value::Null).await
            }
        };
        self.answered.changes.entry((user, id)).or_default().push(change);
    }

    async fn read_all(&mut self, user: String) {
        self.insist(Method::POST, &format!("/users/{user}/notifications/read-all"), &Value::Null).await;
        *self.answered.read_all.entry(user).or_default() += 1;
    }

    async fn subscription(&mut self, user: String) {
        let (kind, path) = match self.random.below(3) {
            0 => ("subscription_status_update", "subscriptions"),
            1 => ("payment_confirmation", "payments"),
            _ => ("subscription_expiry_warning", "expiry-warnings"),
        };
        self.send(Stream::Subscriptions(user.clone()), kind, &format!("/users/{user}/{path}")).await;
    }

    async fn alert(&mut self) {
        let (kind, alert) = if self.random.one_in(2) {
            ("new_subscription_alert", "new_subscription")
        } else {
            ("subscription_cancellation_alert", "subscription_cancellation")
        };
        let n = self.next_of(&Stream::Alerts);
        let data = json!({"writer": self.number, "n": n});
        self.insist(Method::POST, "/admin/alerts", &json!({"alert_type": alert, "data": data})).await;
        self.answered.sent.entry(Stream::Alerts).or_default().push(kind);
    }

    async fn send(&mut self, stream: Stream, kind: &'static str, path: &str) {
        let n = self.next_of(&stream);
        let mut data = json!({"writer": self.number, "n": n});
        if kind == "subscription_status_update" {
            data["id"] = json!(self.number);
            data["status"] = json!("active");
            data["plan_name"] = json!("plan");
        }
        self.insist(Method::POST, path, &json!({"data": data})).await;
        self.answered.sent.entry(stream).or_default().push(kind);
    }

    fn next_of(&self, stream: &Stream) -> usize {
        self.answered.sent.get(stream).map_or(0, Vec::len)
    }

    /// Repeats a call with one idempotency key until it is answered well.
    async fn insist(&mut self, method: Method, path: &str, body: &Value) -> Value {
        self.calls += 1;
        let key = format!("{}-{}", self.number, self.calls);
        let path = format!("/api/v1{path}");
        loop {
            let body = Some(body).filter(|body| !body.is_null());
            match self.api.call(method.clone(), &path, body, Some(&key)).await {
                Ok(Answer { status: 200..=299, body, .. }) => {
                    self.board.answered();
                    return body;
                }
                Ok(answer) if answer.status != 503 => {
                    self.board.fail(format!("writer {}: {path} was answered {answer:?}", self.number));
                    return Value::Null;
                }
                _ => {}
            }
            if self.board.is_stopped() {
                return Value::Null;
            }
            // The server is leaving, or not there; a new start is told of, a drain is not.
            tokio::time::sleep(Duration::from_millis(10)).await;
            let place = *self.board.place.borrow();
            if place.boot != self.boot {
                (self.boot, self.api) = (place.boot, Api::new(place.address));
            }
        }
    }
}
