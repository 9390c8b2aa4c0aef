//! A page that marks what was stored a moment ago, over a socket that is at whatever node: where its notification may not have
//! come yet, and must be marked all the same once that is confirmed.

use super::{CLIENT_PATIENCE, Client, Wired, name};
use crate::{
    board::Stage,
    history::{Event, User},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

/// Pause between two marks, at most.
const PAUSE_MAX_MS: u64 = 20;
/// Marks over one socket, at most.
const MARKS_MAX: u64 = 20;

pub struct Marker {
    pub client: Client,
    pub user: User,
    /// Marks all of its inbox, not one after the other.
    pub marks_all: bool,
    pub asked: u64,
}

/// What was asked for, as the history has it, and as its confirmation is called.
struct Mark {
    frame: Value,
    asked: Event,
    done: Event,
    reply: &'static str,
}

impl Marker {
    pub async fn run(mut self) {
        while !self.client.board.is(Stage::Settling) && !self.client.is_over() {
            let (_, address) = self.client.any_node();
            match self.client.open(address, "/ws/notifications/", (&name(self.user), "carillon.v0")).await {
                Some(wired) => self.mark(wired).await,
                None => self.client.pause_after_refusal().await,
            }
        }
    }

    /// Marks until something does not go well, or for a while: then it goes elsewhere.
    async fn mark(&mut self, mut wired: Wired) {
        for _ in 0..self.client.random.below(MARKS_MAX) {
            if self.client.board.is(Stage::Settling) {
                return;
            }
            if let Some(mark) = self.next() {
                self.client.board.note(mark.asked);
                if wired.send(Message::text(mark.frame.to_string())).await.is_err() {
                    return;
                }
                if !confirmed(&mut wired, mark.reply).await {
                    self.client.board.count("marks over sockets that were not confirmed");
                    return;
                }
                self.client.board.note(mark.done);
                self.client.board.count("marks over sockets");
            }
            self.client.pause(PAUSE_MAX_MS).await;
        }
    }

    fn next(&mut self) -> Option<Mark> {
        let (write, id) = self.client.board.take_fresh(self.user)?;
        let user = self.user;
        self.asked += 1;
        let number = self.asked;
        Some(if self.marks_all {
            Mark {
                frame: json!({"type": "mark_all_as_read"}),
                asked: Event::AllMarkAsked { user, number },
                done: Event::AllMarked { user, number },
                reply: "all_notifications_marked_read",
            }
        } else {
            Mark {
                frame: json!({"type": "mark_as_read", "notification_id": id}),
                asked: Event::MarkAsked { write },
                done: Event::Marked { write },
                reply: "notification_marked_read",
            }
        })
    }
}

/// Whether the reply comes; an error, the end and silence are none. Events are skipped.
async fn confirmed(wired: &mut Wired, reply: &str) -> bool {
    let until = Instant::now() + CLIENT_PATIENCE;
    while let Ok(Some(Ok(message))) = timeout_at(until, wired.next()).await {
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap_or_default();
        if frame["type"] == reply || frame["type"] == "error" {
            return frame["type"] == reply;
        }
    }
    false
}
