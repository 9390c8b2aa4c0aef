//! The lead goes to another node without anybody waiting for a timeout: before this one stops, and when its disk is full
//! while another's has room.
//!
//! The leader takes no more changes, waits until another voter has all it has, and asks that one to stand for election.
//! Others do not vote against a leader that they heard of a moment ago, the leader itself does: in a cluster of three
//! its word and the candidate's are a majority. In a larger one the election comes when the others have not heard of a
//! leader for their time, as after a leader's death. If nothing comes of it, this node leads on.

use super::{
    ask,
    leader::{Leadership, Route},
    links::Links,
    wire::{Answer, Request},
};
use crate::protocol::NodeId;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a voter may take to have everything, to answer, and then to be elected.
const STEP_TIMEOUT: Duration = Duration::from_millis(700);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often a leader looks whether its disk is full.
const DISK_EVERY: Duration = Duration::from_millis(500);

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Handover {
    pub(crate) leadership: Leadership,
    pub(crate) links: Links,
}

impl Handover {
    /// Hands over whenever this node leads and its disk is full; ends with `shutdown`.
    pub(crate) async fn when_disk_is_full(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(DISK_EVERY) => {}
            }
            if self.leadership.leads() && self.leadership.disk_is_full() {
                self.hand_over("its disk is full").await;
            }
        }
    }

    /// Has another node lead, if this one does and another can.
    pub(crate) async fn hand_over(&self, why: &str) {
        // Another handover may be under way, that comes to nothing.
        while self.leadership.is_yielding() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let Some(_yielding) = self.leadership.begin_to_yield() else { return };
        let Some(voters) = self.equals().await else {
            return tracing::debug!(why, "no other node has all that this leader has: it leads on");
        };
        for voter in voters {
            if self.ask(voter).await {
                let deposed = self.leadership.deposed(Route::Here);
                match tokio::time::timeout(STEP_TIMEOUT, deposed).await {
                    Ok(()) => tracing::info!(to = voter, why, "this leader has handed over"),
                    Err(_) => tracing::info!(to = voter, why, "a node that was to lead is not elected yet"),
                }
                return;
            }
        }
        tracing::debug!(why, "no other node can lead: this one leads on");
    }

    /// Voters that have all that this leader has, once there are any.
    async fn equals(&self) -> Option<Vec<NodeId>> {
        let found = async {
            loop {
                let voters = self.leadership.equals();
                if !voters.is_empty() {
                    return voters;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(STEP_TIMEOUT, found).await.ok()
    }

    /// Whether it stands for election now.
    async fn ask(&self, voter: NodeId) -> bool {
        // An older release does not know the question.
        let answer = ask::ask(&self.links, voter, &Request::TakeOver, STEP_TIMEOUT).await;
        matches!(answer, Some(Answer::TakeOver(true)))
    }
}
