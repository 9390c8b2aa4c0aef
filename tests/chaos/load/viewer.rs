//! Somebody who looks at the newest notifications, at one node after the other.

use super::{CLIENT_PATIENCE, Client, name};
use crate::{
    board::Stage,
    history::{Event, Page, User},
};
use reqwest::Method;

/// Pause between two looks, at most.
const PAUSE_MAX_MS: u64 = 60;

pub struct Viewer {
    pub client: Client,
    /// The number of its first page; each has one of its own.
    pub page: Page,
    pub users: Vec<User>,
}

impl Viewer {
    pub async fn run(mut self) {
        while !self.client.board.is(Stage::Settling) && !self.client.is_over() {
            let (node, address) = self.client.any_node();
            let user = self.users[self.client.random.index(self.users.len())];
            self.page += 1;
            let page = self.page;
            let api = self.client.api(address);
            let path = format!("/api/v1/users/{}/notifications?limit=20", name(user));
            self.client.board.note(Event::ReadAsked { page, node, user });
            let asked = tokio::time::timeout(CLIENT_PATIENCE, api.call(Method::GET, &path, None, None)).await;
            if let Ok(Ok(answer)) = asked
                && answer.status == 200
            {
                let rows = answer.body["data"].as_array().into_iter().flatten();
                let row = |row: &serde_json::Value| {
                    (row["id"].as_u64().unwrap_or_default(), row["title"].as_str().unwrap_or_default().to_owned())
                };
                self.client.board.note(Event::ReadDone { page, rows: rows.map(row).collect() });
                self.client.board.count("pages read");
            }
            self.client.pause(PAUSE_MAX_MS).await;
        }
    }
}
