//! When this node may stand for election.
//!
//! openraft stands whenever it has not heard of a leader for its time, and each time in a higher term. A node that was cut
//! off would come back with a term that deposes a leader whom everybody else is content with; one that lacks entries would
//! lose, and keep the others from standing meanwhile. So it asks first whether others have lost the leader, too, and have no
//! more entries than itself, and stands only with a majority of them (Raft's pre-vote).

use super::{
    leader::Leadership,
    links::{Links, kind::Kind},
    wire::{self, Answer, Opinion, Request},
};
use crate::protocol::NodeId;
use std::time::Duration;
use tokio::task::JoinSet;
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
        // It would refuse all changes: others first, if they can.
        if self.leadership.disk_is_full() && self.leadership.was_led_within(FULL_PATIENCE) {
            return false;
        }
        !self.leadership.is_led() && self.majority_agrees(&voters).await
    }

    /// Whether a majority, this node among it, would have this node lead.
    async fn majority_agrees(&self, voters: &[NodeId]) -> bool {
        let last = self.leadership.last_entry().await;
        let Ok(body) = wire::encode(&Request::MayLead { last }) else { return false };
        let others = voters.iter().filter(|id| **id != self.leadership.node());
        let mut asking: JoinSet<Option<Opinion>> = JoinSet::new();
        for other in others {
            let (links, other, body) = (self.links.clone(), *other, body.clone());
            asking.spawn(async move {
                let asked = tokio::time::timeout(ASK_TIMEOUT, links.call(other, Kind::Calls, body)).await;
                match wire::decode(&asked.ok()?.ok()?) {
                    Ok(Answer::MayLead(opinion)) => Some(opinion),
                    // An older release does not know the question.
                    Ok(Answer::Unknown) => Some(Opinion::Agrees),
                    _ => None,
                }
            });
        }
        let opinions: Vec<Opinion> = asking.join_all().await.into_iter().flatten().collect();
        let agreed = 1 + opinions.iter().filter(|opinion| **opinion == Opinion::Agrees).count();
        // On a busy machine a leader may be slow to say that it lives.
        agreed > voters.len() / 2 && !opinions.contains(&Opinion::Leads)
    }
}
