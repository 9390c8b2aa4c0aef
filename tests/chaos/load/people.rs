//! Somebody who comes to the presence endpoint and leaves it again, with several tabs at several nodes.

use super::{Client, Wired};
use crate::board::Stage;
use futures_util::StreamExt;
use std::time::Duration;

/// Pause between two steps, at most.
const PAUSE_MAX_MS: u64 = 400;
const TABS_MAX: usize = 3;

pub struct Person {
    pub client: Client,
    pub name: String,
    tabs: Vec<Wired>,
}

impl Person {
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name, tabs: Vec::new() }
    }

    /// Comes and goes until the load ends; then stays as they are, with the tabs that still live.
    pub async fn run(mut self) -> Self {
        while !self.client.board.is(Stage::Settling) && !self.client.is_over() {
            if self.tabs.len() < TABS_MAX && (self.tabs.is_empty() || self.client.random.one_in(3)) {
                let (_, address) = self.client.any_node();
                let opened = self.client.open(address, "/ws/presence/", (&self.name, "carillon.v0")).await;
                self.tabs.extend(opened);
            } else if !self.client.random.one_in(3) {
                self.tabs.clear();
            }
            self.tabs = living(std::mem::take(&mut self.tabs)).await;
            self.client.pause(PAUSE_MAX_MS).await;
        }
        self
    }

    /// Whether a tab is open.
    pub async fn is_here(&mut self) -> bool {
        self.tabs = living(std::mem::take(&mut self.tabs)).await;
        !self.tabs.is_empty()
    }
}

/// Those that have not ended; what they were told is read.
async fn living(tabs: Vec<Wired>) -> Vec<Wired> {
    let mut alive = Vec::new();
    for mut tab in tabs {
        let ended = async { while let Some(Ok(_)) = tab.next().await {} };
        if tokio::time::timeout(Duration::from_millis(1), ended).await.is_err() {
            alive.push(tab);
        }
    }
    alive
}
