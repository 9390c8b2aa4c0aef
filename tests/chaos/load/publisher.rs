//! A backend that sends ephemeral events to a user's sockets, one after the other, through one node. When that does not
//! answer, another publisher goes on at another node.

use super::{CLIENT_PATIENCE, Client, name};
use crate::{
    board::Stage,
    history::{Event, Toast, User},
};
use reqwest::Method;
use serde_json::json;

/// Pause between two events, at most.
const PAUSE_MAX_MS: u64 = 20;
/// Once in so many times another publisher takes over anyway.
const ENDS_ONE_IN: u64 = 100;

pub struct Publisher {
    pub client: Client,
    /// The first of its numbers.
    pub number: u64,
    pub users: Vec<User>,
}

impl Publisher {
    pub async fn run(mut self) {
        while !self.client.board.is(Stage::Settling) && !self.client.is_over() {
            self.number += 1;
            self.publish().await;
        }
    }

    /// Events of one publisher.
    async fn publish(&mut self) {
        let (_, address) = self.client.any_node();
        let user = self.users[self.client.random.index(self.users.len())];
        let (board, api) = (self.client.board.clone(), self.client.api(address));
        let path = format!("/api/v1/groups/notifications_user_{}/send", name(user));
        for nth in 0.. {
            if board.is(Stage::Settling) || self.client.is_over() || self.client.random.one_in(ENDS_ONE_IN) {
                return;
            }
            let toast = Toast { publisher: self.number, nth };
            let body = json!({"type": "notification_message", "message": format!("toast {}-{nth}", self.number)});
            board.note(Event::Published { toast, user });
            let called = tokio::time::timeout(CLIENT_PATIENCE, api.call(Method::POST, &path, Some(&body), None)).await;
            match called {
                Ok(Ok(answer)) if answer.status == 202 => {
                    // Otherwise a node has not said in time that its sockets have it: it may be lost with the next fault.
                    if answer.body["partial"] != true {
                        board.note(Event::Taken { toast });
                        board.count("events published");
                    }
                }
                _ => return self.client.pause_after_refusal().await,
            }
            self.client.pause(PAUSE_MAX_MS).await;
        }
    }
}
