//! Read indexes: up to where everything is that was ever answered, as only a leader with its majority can say.
//!
//! Those who ask while a question is under way share the next one, so that however many ask, one question is out.

use super::{
    ask,
    leader::{Leadership, Route},
    links::Links,
    wire::{Answer, Request},
};
use crate::{config::limits::COMMIT_TIMEOUT, records::Asked};
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long one leader may take to say it.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause before whoever leads then is asked.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Least time between two questions: strangers who show tickets that never were make a node ask, and must not keep the leader
/// busy. Whoever asks after a quiet moment does not wait.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// Who asks together.
const TOGETHER_MAX: usize = 1_024;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    pub(crate) leadership: Leadership,
    pub(crate) links: Links,
}

impl Reads {
    /// Asks whoever leads, once; `None`: nobody does, or says so in time.
    pub(crate) async fn index(&self) -> Option<u64> {
        let route = self.leadership.route()?;
        let asked = async {
            match route {
                Route::Here => self.leadership.read_index().await,
                Route::To(leader) => match ask::ask(&self.links, leader, &Request::ReadIndex, ASK_TIMEOUT).await? {
                    Answer::ReadIndex(index) => index,
                    _ => None,
                },
            }
        };
        tokio::select! {
            asked = timeout(ASK_TIMEOUT, asked) => asked.ok().flatten(),
            () = self.leadership.deposed(route) => None,
        }
    }

    /// Answers those who ask, until `shutdown`. Who is not answered in time is let go.
    pub(crate) async fn serve(self, mut asked: mpsc::Receiver<Asked>, shutdown: CancellationToken) {
        let mut together = Vec::with_capacity(TOGETHER_MAX);
        loop {
            let count = tokio::select! {
                () = shutdown.cancelled() => return,
                count = asked.recv_many(&mut together, TOGETHER_MAX) => count,
            };
            if count == 0 {
                return;
            }
            let asked_at = Instant::now();
            // The question goes out after all of them have asked, so the answer holds for each.
            let index = tokio::select! {
                () = shutdown.cancelled() => return,
                index = timeout(COMMIT_TIMEOUT, self.insist(&together)) => index.ok().flatten(),
            };
            for asked in together.drain(..) {
                if let Some(index) = index {
                    // Whoever asked may have given up.
                    let _ = asked.send(index);
                }
            }
            tokio::time::sleep_until(asked_at + ASK_EVERY).await;
        }
    }

    /// Asks until a leader answers; `None` once all who wait have given up.
    async fn insist(&self, waiting: &[Asked]) -> Option<u64> {
        while waiting.iter().any(|asked| !asked.is_closed()) {
            if let Some(index) = self.index().await {
                return Some(index);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        None
    }
}
