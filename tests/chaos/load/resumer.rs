//! A client of carillon.v1 that is at one node, then at another, and resumes: over all of them it is shown everything, once.

use super::{CLIENT_PATIENCE, Client, Wired, name};
use crate::{
    board::Stage,
    history::{Event, Stream, User},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

/// How long it stays at one node, at most.
const LIFE_MAX_MS: u64 = 2_000;

pub struct Resumer {
    pub client: Client,
    pub stream: Stream,
    pub user: User,
    pub cursor: Option<String>,
}

impl Resumer {
    /// One greeting, which says where this client begins; before anything is written.
    pub async fn find_place(&mut self) {
        while self.cursor.is_none() {
            let (_, address) = self.client.any_node();
            if let Some(wired) = self.open(address).await {
                self.listen(wired, Instant::now() + CLIENT_PATIENCE).await;
            }
        }
        self.client.board.note(Event::Greeted { stream: self.stream, user: self.user });
    }

    /// Goes from node to node until the run is over; stays where it is once the load has ended.
    pub async fn run(mut self) {
        while !self.client.is_over() {
            let (_, address) = self.client.any_node();
            let life = 100 + self.client.random.below(LIFE_MAX_MS);
            match self.open(address).await {
                Some(wired) => self.listen(wired, Instant::now() + Duration::from_millis(life)).await,
                None => self.client.pause_after_refusal().await,
            }
        }
    }

    async fn open(&self, address: std::net::SocketAddr) -> Option<Wired> {
        self.client.open(address, "/ws/notifications/", (&name(self.user), "carillon.v1")).await
    }

    async fn listen(&mut self, mut wired: Wired, until: Instant) {
        let mut is_resumed = false;
        if let Some(cursor) = &self.cursor {
            let resume = json!({"type": "resume", "after": cursor, "id": "resume"});
            if wired.send(Message::text(resume.to_string())).await.is_err() {
                return;
            }
        }
        // At the end it stays, so that nothing is missed by being on the way.
        while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until, wired.next()).await {
            let Message::Text(text) = message else { continue };
            let frames = match serde_json::from_str(&text) {
                Ok(Value::Array(frames)) => frames,
                Ok(frame) => vec![frame],
                Err(_) => return self.client.board.fail(format!("client {} got no JSON: {text}", self.stream)),
            };
            if self.cursor.is_none() {
                self.cursor = frames[0]["pos"].as_str().map(str::to_owned);
                return;
            }
            if frames[0]["id"] == "resume" {
                is_resumed = self.resumed(&frames[0]);
                if !is_resumed {
                    return;
                }
            } else if is_resumed {
                self.show(&frames);
            }
            if self.client.board.is(Stage::Over) {
                return;
            }
        }
        if !is_resumed {
            self.client.board.count("sockets that ended before they resumed");
        }
    }

    fn resumed(&self, reply: &Value) -> bool {
        let is_resumed = reply["type"] == "resumed" && reply["recovered"] == true;
        if is_resumed {
            self.client.board.count("resumes");
        } else if reply["type"] == "error" {
            self.client.board.count(format!("resumes refused: {}", reply["code"]));
        } else {
            self.client.board.fail(format!("client {} resumed after {:?}: {reply}", self.stream, self.cursor));
        }
        is_resumed
    }

    fn show(&mut self, frames: &[Value]) {
        for frame in frames.iter().filter(|frame| frame["type"] == "new_notification") {
            let id = frame["data"]["id"].as_u64().unwrap_or_default();
            let title = frame["data"]["title"].as_str().unwrap_or_default().to_owned();
            self.client.board.note(Event::Shown { stream: self.stream, id, title });
            self.client.board.reached(self.stream, id);
        }
        // Once the whole message is handled.
        if let Some(pos) = frames.iter().rev().find_map(|frame| frame["pos"].as_str()) {
            self.cursor = Some(pos.to_owned());
        }
    }
}
