//! What is to be seen once everybody has come to rest: every inbox at every node, and who is online.
//!
//! Each wait here ends after a while even if what it waits for does not come: the checker says what is missing.

use crate::{
    board::Board,
    check::toasts,
    history::{History, Inbox, Online, Row, Stream, User},
    load::{name, people::Person},
    nodes::Cluster,
    support::inbox,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long a listener may take for the last that it must be shown, and a node to know who is there.
const REST_PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Reads everything; nobody changes anything any more.
pub async fn gather(
    cluster: &Cluster,
    (board, users): (&Board, u64),
    resumers: &[(Stream, User)],
    people: Vec<Person>,
) -> History {
    cluster.whole().await;
    let online = online(cluster, people).await;
    cluster.level().await;
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
    let resumed = resumers.iter().map(|(stream, _)| *stream).collect();
    let history = History { inboxes, resumed, online, ..History::default() };
    rest(board, &history, resumers).await;
    history
}

/// Waits until whoever listens has been shown the last.
async fn rest(board: &Board, history: &History, resumers: &[(Stream, User)]) {
    let newest: BTreeMap<User, u64> =
        history.inboxes.iter().filter_map(|inbox| Some((inbox.user, inbox.rows.last()?.id))).collect();
    let is_told = |(stream, user): &(Stream, User)| board.last_of(*stream) >= newest.get(user).copied();
    let resumed = &history.resumed;
    let at_rest = async {
        while !resumers.iter().all(is_told) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let so_far = || History { events: board.events(), resumed: resumed.clone(), ..History::default() };
        while !toasts::violations(&so_far()).is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(REST_PATIENCE, at_rest).await.is_err() {
        println!("not everybody was shown the last");
    }
}

/// Who is there, and whom each node takes to be.
async fn online(cluster: &Cluster, mut people: Vec<Person>) -> Online {
    let mut online = Online::default();
    if people.is_empty() {
        return online;
    }
    let settled = async {
        loop {
            online = look(cluster, &mut people).await;
            if online.shown.iter().all(|(_, shown)| *shown == online.truth) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    // What does not converge is for the checker to tell.
    let begun = Instant::now();
    if tokio::time::timeout(REST_PATIENCE, settled).await.is_ok() {
        println!(
            "all nodes agree with the truth on who is online, {:.2?} after the last came or went",
            begun.elapsed()
        );
    }
    online
}

async fn look(cluster: &Cluster, people: &mut [Person]) -> Online {
    let mut online = Online::default();
    for person in people {
        if person.is_here().await {
            online.truth.push(person.name.clone());
        }
    }
    online.truth.sort();
    for node in cluster.nodes() {
        let shown = cluster.api(node).get("/presence?limit=200").await.ok();
        let people = shown["online"].as_array().into_iter().flatten();
        let mut ids: Vec<String> = people.filter_map(|one| Some(one["user_id"].as_str()?.to_owned())).collect();
        ids.sort();
        online.shown.push((node, ids));
    }
    online
}
