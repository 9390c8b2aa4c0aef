//! What is to be seen once everybody has come to rest: every inbox at every node, and who is online.

use crate::{
    board::Board,
    history::{History, Inbox, Online, Row, Stream, User},
    load::{name, people::Person},
    nodes::Cluster,
    support::{inbox, until},
};
use std::collections::BTreeMap;

/// Waits for the load to come to its end, then reads everything.
pub async fn gather(
    cluster: &Cluster,
    (board, users): (&Board, u64),
    resumers: &[(Stream, User)],
    people: Vec<Person>,
) -> History {
    cluster.whole().await;
    let online = online(cluster, people).await;
    // Whoever wrote has come to an end when nothing is applied any more.
    let mut last = u64::MAX;
    while last != board.stored() {
        last = board.stored();
        cluster.level().await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    let mut inboxes = Vec::new();
    for node in cluster.nodes() {
        for user in 1..=users {
            let all = inbox::of(&cluster.api(node), &name(user)).await;
            let row = |(id, item): (u64, serde_json::Value)| Row {
                id,
                title: item["title"].as_str().unwrap_or_default().to_owned(),
                is_read: item["is_read"] == true,
            };
            inboxes.push(Inbox { node, user, rows: all.into_iter().map(row).collect() });
        }
    }
    let newest: BTreeMap<User, u64> =
        inboxes.iter().filter_map(|inbox| Some((inbox.user, inbox.rows.last()?.id))).collect();
    // Whoever does not get there has missed something: the checker says what.
    let all_told = until("every client has been shown the last", || async {
        let is_told = |(stream, user): &(Stream, User)| board.last_of(*stream) >= newest.get(user).copied();
        resumers.iter().all(is_told).then_some(())
    });
    if tokio::time::timeout(std::time::Duration::from_secs(20), all_told).await.is_err() {
        println!("not every client was shown the last notification");
    }
    let resumed = resumers.iter().map(|(stream, _)| *stream).collect();
    History { inboxes, resumed, online, ..History::default() }
}

/// Who is there, and whom each node takes to be.
async fn online(cluster: &Cluster, mut people: Vec<Person>) -> Online {
    let mut online = Online::default();
    if people.is_empty() {
        return online;
    }
    let nodes = cluster.nodes();
    let settled = async {
        loop {
            online = Online::default();
            for person in &mut people {
                if person.is_here().await {
                    online.truth.push(person.name.clone());
                }
            }
            online.truth.sort();
            for node in &nodes {
                let shown = cluster.api(*node).get("/presence?limit=200").await.ok();
                let ids = shown["online"].as_array().into_iter().flatten();
                let mut ids: Vec<String> = ids.filter_map(|one| Some(one["user_id"].as_str()?.to_owned())).collect();
                ids.sort();
                online.shown.push((*node, ids));
            }
            if online.shown.iter().all(|(_, shown)| *shown == online.truth) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    // What does not converge is for the checker to tell.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(20), settled).await;
    online
}
