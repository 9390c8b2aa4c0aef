//! People who come to the presence endpoint and leave it again, so that there is something to tell.

use crate::{
    board::Board,
    support::{Random, Socket, User, socket::request, until},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Pauses between two steps, at most.
const PAUSE_MAX_MS: u64 = 400;

pub struct Visitor {
    pub name: String,
    pub tabs: Vec<Socket>,
    boot: u64,
    random: Random,
    board: Arc<Board>,
    leaving: Arc<AtomicBool>,
}

impl Visitor {
    pub fn new(name: String, seed: u64, board: Arc<Board>, leaving: Arc<AtomicBool>) -> Self {
        Self { name, tabs: Vec::new(), boot: 0, random: Random::new(seed), board, leaving }
    }

    /// Comes and goes until it is time to stay as one is.
    pub async fn run(mut self) -> Self {
        while !self.leaving.load(Ordering::Acquire) && !self.board.is_stopped() {
            let place = *self.board.place.borrow();
            if place.boot != self.boot {
                self.tabs.clear();
                self.boot = place.boot;
            }
            if self.tabs.is_empty() || self.random.one_in(3) {
                let user = User::named(&self.name);
                let request = request(place.address, "/ws/presence/", Some(&user.token()));
                self.tabs.extend(Socket::open(request, "/ws/presence/", user).await.ok());
            } else if !self.random.one_in(3) {
                self.tabs.clear();
            }
            // So that people stay for a while, or are gone for a while; nothing waits for this.
            tokio::time::sleep(Duration::from_millis(self.random.below(PAUSE_MAX_MS))).await;
        }
        self
    }

    /// Waits until the server has noticed who is here and who is not.
    pub async fn settled(&self) {
        let api = crate::support::Api::new(self.board.place.borrow().address);
        let (path, tabs) = (format!("/users/{}/presence", self.name), self.tabs.len());
        until(&format!("{} with {tabs} tabs", self.name), || async {
            let shown = api.get(&path).await.ok();
            (shown["is_online"] == (tabs > 0) && shown["connections"] == tabs).then_some(())
        })
        .await;
    }
}
