//! When this node may stand for election.
//!
//! openraft stands whenever it has not heard of a leader for its time, and each time in a higher term. A node that was cut
//! off would come back with a term that deposes a leader whom everybody else is content with; one that lacks entries would
//! lose, and keep the others from standing meanwhile. So it asks first whether others have lost the leader, too, and have no
//! more entries than itself, and stands only with a majority of them (Raft's pre-vote).

use super::{
    ask::ask_each,
    leader::Leadership,
    links::Links,
    quorum,
    wire::{Answer, Opinion, Request},
};
use crate::protocol::NodeId;
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often it is looked.
const GUARD_EVERY: Duration = Duration::from_millis(50);
/// How long others may take to say whether they have a leader.
const ASK_TIMEOUT: Duration = Duration::from_millis(200);
/// A leader that no majority has answered for so long says no more that it lives.
const DEAF_AFTER: Duration = Duration::from_millis(1_000);
/// Looks between two heartbeats of such a leader: without one, and without changes, it would never hear that it is heard.
const DEAF_LOOKS: u32 = 20;
/// How long after a leader's last word a node whose disk is full leaves it to the others to stand for election.
const FULL_PATIENCE: Duration = Duration::from_secs(2);

/// What it takes to know.
#[derive(Clone, Debug)]
pub(crate) struct Elections {
    pub(crate) leadership: Leadership,
    pub(crate) links: Links,
}

impl Elections {
    /// Lets openraft stand when it may; ends with `shutdown`.
    pub(crate) async fn guard(self, shutdown: CancellationToken) {
        let raft = self.leadership.raft();
        for look in 0_u32.. {
            let may_stand = tokio::select! {
                () = shutdown.cancelled() => return,
                may_stand = self.may_stand() => may_stand,
            };
            raft.runtime_config().elect(may_stand);
            // Whoever hears a leader is content with it, even if it hears nobody itself: then it has to fall silent.
            let is_heard = !self.leadership.is_deaf(DEAF_AFTER) || look % DEAF_LOOKS == 0;
            raft.runtime_config().heartbeat(is_heard && !self.leadership.is_yielding());
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(GUARD_EVERY) => {}
            }
        }
    }

    async fn may_stand(&self) -> bool {
        let voters = self.leadership.voters();
        if voters.len() <= 1 {
            return true;
        }
        if self.leadership.is_led() {
            return false;
        }
        // It would refuse all changes: others first, if they can.
        if self.leadership.disk_is_full() && self.leadership.was_led_within(FULL_PATIENCE) {
            return false;
        }
        self.majority_agrees(voters).await
    }

    /// Whether a majority of each set that counts, this node among it, would have this node lead.
    async fn majority_agrees(&self, voters: Vec<NodeId>) -> bool {
        let question = Request::MayLead { last: self.leadership.last_entry().await };
        let own = self.leadership.node();
        let others = voters.into_iter().filter(|id| *id != own).collect();
        let answers = ask_each(&self.links, others, question, ASK_TIMEOUT).await;
        // An older release does not know the question.
        let agrees = |answer: &Answer| matches!(answer, Answer::MayLead(Opinion::Agrees) | Answer::Unknown);
        let agreed: BTreeSet<NodeId> = answers.iter().filter(|(_, answer)| agrees(answer)).map(|(id, _)| *id).collect();
        let is_led = answers.iter().any(|(_, answer)| matches!(answer, Answer::MayLead(Opinion::Leads)));
        let has_majority = quorum::in_each(&self.leadership.voter_sets(), |id| *id == own || agreed.contains(id));
        // On a busy machine a leader may be slow to say that it lives.
        has_majority && !is_led
    }
}
