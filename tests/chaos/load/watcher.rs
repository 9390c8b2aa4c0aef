//! A page of the first edition: from each greeting on it is shown everything, durable or not, until its socket ends.

use super::{Client, Wired, name};
use crate::{
    board::Stage,
    history::{Event, Stream, Toast, User},
};
use futures_util::StreamExt;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

const LIFE_MAX_MS: u64 = 4_000;

pub struct Watcher {
    pub client: Client,
    /// Of its first socket; each has a number of its own.
    pub stream: Stream,
    pub user: User,
}

impl Watcher {
    pub async fn run(mut self) {
        while !self.client.is_over() {
            let (_, address) = self.client.any_node();
            let life = Duration::from_millis(100 + self.client.random.below(LIFE_MAX_MS));
            let opened = self.client.open(address, "/ws/notifications/", (&name(self.user), "carillon.v0")).await;
            match opened {
                Some(wired) => {
                    self.stream += 1;
                    self.listen(wired, Instant::now() + life).await;
                }
                None => self.client.pause_after_refusal().await,
            }
        }
    }

    async fn listen(&mut self, mut wired: Wired, until: Instant) {
        let (board, stream) = (self.client.board.clone(), self.stream);
        let mut is_greeted = false;
        loop {
            let is_staying = board.is(Stage::Settling);
            // A socket that is at a dead node's end hears nothing, and leaves.
            let next =
                tokio::time::timeout_at(until.max(Instant::now() + Duration::from_millis(50)), wired.next()).await;
            match next {
                Ok(Some(Ok(Message::Text(text)))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap_or_default();
                    if !std::mem::replace(&mut is_greeted, true) {
                        board.note(Event::Greeted { stream, user: self.user });
                    }
                    self.show(&frame);
                }
                Ok(Some(Ok(_))) => {}
                Err(_elapsed) if is_staying && !board.is(Stage::Over) => {}
                _ => break,
            }
            if Instant::now() >= until && !is_staying {
                break;
            }
        }
        if !board.is(Stage::Over) {
            board.note(Event::Ended { stream });
        }
    }

    fn show(&self, frame: &Value) {
        let stream = self.stream;
        match frame["type"].as_str() {
            Some("new_notification") => {
                let id = frame["data"]["id"].as_u64().unwrap_or_default();
                let title = frame["data"]["title"].as_str().unwrap_or_default().to_owned();
                self.client.board.note(Event::Shown { stream, id, title });
            }
            Some("notification") => {
                let text = frame["message"].as_str().unwrap_or_default();
                let toast = text.strip_prefix("toast ").and_then(|rest| {
                    let (publisher, nth) = rest.split_once('-')?;
                    Some(Toast { publisher: publisher.parse().ok()?, nth: nth.parse().ok()? })
                });
                match toast {
                    Some(toast) => self.client.board.note(Event::Heard { stream, toast }),
                    None => self.client.board.fail(format!("socket {stream} was shown {frame}")),
                }
            }
            _ => {}
        }
    }
}
