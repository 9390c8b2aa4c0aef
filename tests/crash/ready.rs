//! A node that is alone has, as soon as it is ready again, everything that it ever answered: before anybody writes, which would
//! bring up what was left lying.

use crate::support::{ALICE, Server, User, V1Socket, inbox};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEPT: usize = 200;
/// Answered while others are under way, when the server is killed.
const WRITERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_soon_as_it_is_ready_all_that_was_answered_is_there_before_the_first_write() {
    let mut server = Server::dev();
    let socket = V1Socket::greeted(&server, "/ws/notifications/", ALICE).await;
    let begin = socket.cursor();
    let bob = User::named("2");
    let _here = server.greeted("/ws/presence/", bob).await;
    let mut writing = tokio::task::JoinSet::new();
    let (told, mut answered) = tokio::sync::mpsc::channel(KEPT);
    for writer in 0..WRITERS {
        let (api, told) = (server.api(), told.clone());
        writing.spawn(async move {
            for nth in 0.. {
                let body = json!({"user_id": 1, "title": format!("{writer}-{nth}"), "message": "m"});
                let call = api.call(reqwest::Method::POST, "/api/v1/notifications", Some(&body), None);
                let Some(id) = call.await.ok().and_then(|answer| answer.body["id"].as_u64()) else { return };
                if told.send(id).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(told);
    let mut ids = BTreeSet::new();
    while ids.len() < KEPT {
        ids.insert(answered.recv().await.expect("writers write"));
    }
    tokio::task::block_in_place(|| server.kill());
    while let Some(id) = answered.recv().await {
        ids.insert(id);
    }
    tokio::task::block_in_place(|| server.start());
    let api = server.api();
    assert_eq!(api.get_root("/readyz").await.status, 200);
    // The count is held against the list in there.
    let kept: BTreeSet<u64> = inbox::of(&api, "1").await.into_keys().collect();
    assert!(kept.is_superset(&ids), "missing: {:?}", ids.difference(&kept).collect::<Vec<_>>());
    let presence = api.get("/users/2/presence").await.ok();
    assert!(presence["last_seen"].is_string(), "{presence}");
    let mut socket = V1Socket::connect(&server, "/ws/notifications/", ALICE).await;
    socket.send(&json!({"type": "resume", "after": begin, "id": 1})).await;
    let mut shown = BTreeSet::new();
    let mut is_resumed = false;
    while !is_resumed || shown.len() < kept.len() {
        let frame: Value = socket.next().await;
        if frame["type"] == "resumed" {
            assert_eq!(frame["recovered"], true, "{frame}");
            is_resumed = true;
        }
        shown.extend(frame["data"]["id"].as_u64().filter(|_| frame["type"] == "new_notification"));
    }
    assert_eq!(shown, kept, "what is resumed is what is kept");
}
