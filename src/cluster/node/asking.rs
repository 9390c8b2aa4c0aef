//! What a node asks of all others at once, and its goodbye.

use super::{Node, company::Company};
use crate::{
    cluster::{
        ask::ask_each,
        wire::{Answer, Request},
    },
    config::limits::RECIPIENTS_WAIT,
    protocol::{Tenant, UserId},
    records::Op,
};
use std::time::Duration;

impl Company {
    /// Asks every other node; the answers that came in time, and whether all did.
    async fn ask_all(&self, question: Request, limit: Duration) -> (Vec<Answer>, bool) {
        let nodes = self.links.peers();
        let asked = nodes.len();
        let answers = ask_each(&self.links, nodes, question, limit).await;
        let is_complete = answers.len() == asked;
        (answers.into_iter().map(|(_, answer)| answer).collect(), is_complete)
    }
}

impl Node {
    /// Presence sockets of these users on the other nodes; `None`: not all of them have said.
    pub async fn connections_elsewhere(&self, tenant: &Tenant, users: &[UserId]) -> Option<Vec<u32>> {
        let mut sums = vec![0; users.len()];
        let Some(company) = &self.company else { return Some(sums) };
        let question = Request::Connections { tenant: tenant.clone(), users: users.to_vec() };
        let (answers, is_complete) = company.ask_all(question, RECIPIENTS_WAIT).await;
        for answer in &answers {
            let Answer::Connections(counts) = answer else { return None };
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        is_complete.then_some(sums)
    }

    /// Where else clients may go now.
    pub async fn other_places(&self) -> Vec<String> {
        let Some(company) = &self.company else { return Vec::new() };
        let (answers, _) = company.ask_all(Request::Where, RECIPIENTS_WAIT).await;
        let place = |answer| if let Answer::Where(place) = answer { place } else { None };
        answers.into_iter().filter_map(place).collect()
    }

    /// Says goodbye, so that nobody waits for this node: another one leads, its members count no more, its users have the
    /// grace time.
    pub async fn leave(&self) {
        let Some(company) = &self.company else { return };
        company.leaving.cancel();
        // Its lease runs on, and whoever is greeted elsewhere from now on does not wait for it.
        self.broker.leave_place();
        company.membership.handover().hand_over("it stops").await;
        let (node, epoch) = self.records.boot();
        if let Err(error) = self.records.propose(&Tenant::default(), Op::MarkDown { node, epoch }).await {
            tracing::info!(%error, "the other nodes find out by themselves that this one has left");
        }
    }

    /// Has other nodes told how many presence sockets a user has on this one.
    pub fn count_connections(&self, count: impl Fn(&Tenant, &UserId) -> u32 + Send + Sync + 'static) {
        if let Some(company) = &self.company {
            company.service.count_connections(count);
        }
    }
}
