//! Whether a fault bit: what must be different from before, as seen from outside.

use super::inject::Injected;
use crate::{
    board::{Answers, Board},
    net::{Done, Node},
    nodes::Cluster,
};
use reqwest::Method;
use std::collections::BTreeMap;

/// Something that shows that a fault is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The victims' processes are gone.
    Gone,
    /// Somebody else leads, in a later term.
    NewLeader,
    /// A victim says that it has no majority, and has refused somebody.
    NoQuorum,
    /// Somebody does not reach a victim any more.
    Unreachable,
    /// Callers got no answer, or none that says what happened.
    Unanswered,
    /// Bytes came to a closed lane.
    Held,
    /// Bytes were delayed.
    Slowed,
    /// Connections were ended.
    Broken,
    /// Callers were told that a disk is full, or a victim's process ended because of it.
    DiskFull,
    /// A victim ended, or refused to start, with this exit code.
    Ended(i32),
    /// A victim said so.
    Said(&'static str),
}

/// How it was before.
#[derive(Clone, Debug)]
pub struct Before {
    pub leader: Node,
    pub term: u64,
    done: Done,
    answers: BTreeMap<Node, Answers>,
}

impl Before {
    pub async fn look(cluster: &Cluster, board: &Board) -> Self {
        let (leader, term) = cluster.leader().await;
        Self { leader, term, done: cluster.network.done(), answers: board.answers() }
    }

    fn more(&self, node: Node, board: &Board, count: impl Fn(&Answers) -> u64) -> u64 {
        let now = board.answers().get(&node).map_or(0, &count);
        now - self.answers.get(&node).map_or(0, &count)
    }
}

/// What is not seen yet of what should be.
pub async fn missing(
    bites: &'static [Evidence],
    (injected, before): (&Injected, &Before),
    (cluster, board): (&mut Cluster, &Board),
) -> Vec<Evidence> {
    let mut missing = Vec::new();
    for evidence in bites {
        if !is_seen(*evidence, (injected, before), (cluster, board)).await {
            missing.push(*evidence);
        }
    }
    missing
}

async fn is_seen(
    evidence: Evidence,
    (injected, before): (&Injected, &Before),
    (cluster, board): (&mut Cluster, &Board),
) -> bool {
    let victims = &injected.victims;
    let done = cluster.network.done();
    match evidence {
        Evidence::Gone => victims.iter().all(|node| !cluster.members[node].server.is_running()),
        Evidence::Held => done.held > before.done.held,
        Evidence::Slowed => done.slowed > before.done.slowed + 100,
        Evidence::Broken => done.broken > before.done.broken + 10,
        Evidence::Unanswered => victims.iter().any(|node| before.more(*node, board, |answers| answers.unknown) > 0),
        Evidence::Ended(code) => injected.ended == Some(Some(code)),
        Evidence::Said(what) => victims.iter().any(|node| cluster.members[node].server.log().contains(what)),
        Evidence::DiskFull => {
            let told =
                cluster.nodes().into_iter().any(|node| before.more(node, board, |answers| answers.disk_full) > 0);
            told || victims.iter().any(|node| cluster.member(*node).server.has_ended())
        }
        Evidence::NoQuorum => {
            for node in victims {
                let ready = cluster.api(*node).call(Method::GET, "/readyz", None, None).await;
                let is_told = ready.is_ok_and(|answer| answer.status == 503 && answer.body["status"] == "no_quorum");
                if is_told && before.more(*node, board, |answers| answers.refused) > 0 {
                    return true;
                }
            }
            false
        }
        Evidence::NewLeader | Evidence::Unreachable => {
            for node in cluster.running().into_iter().filter(|node| !victims.contains(node) || injected.is_bridge) {
                let Some(status) = cluster.status(node).await else { continue };
                let leader = status["leader"].as_u64().filter(|leader| *leader != before.leader);
                let is_new = leader.is_some() && status["term"].as_u64() > Some(before.term);
                let members = status["members"].as_array();
                let is_lost = members.into_iter().flatten().any(|member| member["is_reachable"] == false);
                if if evidence == Evidence::NewLeader { is_new } else { is_lost } {
                    return true;
                }
            }
            false
        }
    }
}
