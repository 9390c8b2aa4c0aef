//! A question for other nodes, and what they answer in time.

use super::{
    links::{Links, kind::Kind},
    wire::{self, Answer, Request},
};
use crate::protocol::NodeId;
use std::time::Duration;
use tokio::task::JoinSet;

/// Asks one node; `None`: no answer in time, or none that is understood.
pub(super) async fn ask(links: &Links, node: NodeId, question: &Request, limit: Duration) -> Option<Answer> {
    let body = wire::encode(question).ok()?;
    let asked = tokio::time::timeout(limit, links.call(node, Kind::Calls, body)).await;
    wire::decode(&asked.ok()?.ok()?).ok()
}

/// Asks several at once; the answers that came in time and from whom, in no order.
pub(super) async fn ask_each(
    links: &Links,
    nodes: Vec<NodeId>,
    question: Request,
    limit: Duration,
) -> Vec<(NodeId, Answer)> {
    let question = std::sync::Arc::new(question);
    let ask_one = |node| {
        let (links, question) = (links.clone(), question.clone());
        async move { ask(&links, node, &question, limit).await.map(|answer| (node, answer)) }
    };
    let asking: JoinSet<Option<(NodeId, Answer)>> = nodes.into_iter().map(ask_one).collect();
    asking.join_all().await.into_iter().flatten().collect()
}
