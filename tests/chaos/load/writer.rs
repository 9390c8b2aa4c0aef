//! A backend that stores notifications: each call is repeated with its key, at whatever node, until the outcome is known.

use super::{CLIENT_PATIENCE, Client, name};
use crate::{
    board::Stage,
    history::{Event, Outcome, User, Write},
};
use reqwest::Method;
use serde_json::{Value, json};

/// Pause between two calls, at most.
const PAUSE_MAX_MS: u64 = 12;
/// What was refused everywhere so far is given up once in so many times: it must never have happened.
const GIVES_UP_ONE_IN: u64 = 4;
/// Once in so many times a notification is marked as read.
const MARKS_ONE_IN: u64 = 6;
/// Once in so many times the next call goes to another node though this one has answered.
const MOVES_ONE_IN: u64 = 3;

pub struct Writer {
    pub client: Client,
    pub number: u64,
    pub users: Vec<User>,
}

impl Writer {
    /// Until the load ends; what was begun is brought to an end.
    pub async fn run(mut self) {
        let mut at = self.client.any_node();
        for nth in 0.. {
            if self.client.board.is(Stage::Settling) || self.client.is_over() {
                return;
            }
            let write = Write { writer: self.number, nth };
            let user = self.users[self.client.random.index(self.users.len())];
            let id = self.store((write, user), &mut at).await;
            if let Some(id) = id {
                self.client.board.fresh(user, write, id);
            }
            if let Some(id) = id
                && self.client.random.one_in(MARKS_ONE_IN)
            {
                self.mark((write, user, id), &mut at).await;
            }
            if self.client.random.one_in(MOVES_ONE_IN) {
                at = self.client.any_node();
            }
            self.client.pause(PAUSE_MAX_MS).await;
        }
    }

    /// The id; `None` if it was given up.
    async fn store(&mut self, (write, user): (Write, User), at: &mut (u64, std::net::SocketAddr)) -> Option<u64> {
        let body = json!({"user_id": user, "title": write.to_string(), "message": "m"});
        let mut may_have_happened = false;
        loop {
            self.client.board.note(Event::Asked { write, user });
            let node = at.0;
            let (outcome, _) = self.call(*at, ("/notifications", &body), &format!("{write}")).await;
            self.client.board.note(Event::Answered { write, node, outcome });
            match outcome {
                Outcome::Stored(id) => return Some(id),
                Outcome::Never if !may_have_happened && self.client.random.one_in(GIVES_UP_ONE_IN) => {
                    self.client.board.count("calls given up");
                    return None;
                }
                Outcome::Never => {}
                Outcome::Unknown => may_have_happened = true,
            }
            if self.client.is_over() {
                return None;
            }
            self.client.pause_after_refusal().await;
            *at = self.client.any_node();
        }
    }

    async fn mark(&mut self, (write, user, id): (Write, User, u64), at: &mut (u64, std::net::SocketAddr)) {
        self.client.board.note(Event::MarkAsked { write });
        let path = format!("/users/{}/notifications/{id}/read", name(user));
        while !self.client.is_over() {
            let (_, status) = self.call(*at, (&path, &Value::Null), &format!("{write}-read")).await;
            if status == 200 {
                self.client.board.note(Event::Marked { write });
                return;
            }
            self.client.pause_after_refusal().await;
            *at = self.client.any_node();
        }
    }

    async fn call(
        &mut self,
        (node, address): (u64, std::net::SocketAddr),
        (path, body): (&str, &Value),
        key: &str,
    ) -> (Outcome, u16) {
        let api = self.client.api(address);
        let path = format!("/api/v1{path}");
        let body = Some(body).filter(|body| !body.is_null());
        let call = api.call(Method::POST, &path, body, Some(key));
        let Ok(Ok(answer)) = tokio::time::timeout(CLIENT_PATIENCE, call).await else { return (Outcome::Unknown, 0) };
        let outcome = match (answer.status, answer.code()) {
            (200..=299, _) => Outcome::Stored(answer.body["id"].as_u64().unwrap_or_default()),
            (503, "outcome_unknown") => Outcome::Unknown,
            (503, code @ ("no_quorum" | "disk_full" | "overloaded" | "not_ready")) => {
                if code == "disk_full" {
                    self.client.board.disk_full(node);
                }
                Outcome::Never
            }
            _ => {
                let number = self.number;
                self.client.board.fail(format!("writer {number}: node {node} answered {path} with {answer:?}"));
                Outcome::Unknown
            }
        };
        (outcome, answer.status)
    }
}
