//! Reading over HTTP after a write at another node, and joining what was read to a socket.

use super::Ways;
use crate::support::{ALICE, Answer, Api, Server, V1Socket};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_names_the_position_of_a_write_shows_it_or_says_that_it_cannot() {
    let ways = Ways::start().await;
    let (leader, follower) = (ways.at_leader(), ways.at_follower());
    let body = json!({"user_id": 1, "title": "t", "message": "m"});
    ways.hold();
    let stored = leader.post("/notifications", &body).await;
    let position = stored.position.clone().expect("every stored call says where it stands");
    // Without it, a node shows what it has.
    assert_eq!(follower.get("/users/1/notifications/unread-count").await.ok()["count"], 0);
    let behind = follower.after(&position).get("/users/1/notifications").await;
    assert_eq!((behind.status, behind.code()), (503, "behind"), "{behind:?}");
    assert!(behind.retry_after.is_some());
    let reading = tokio::spawn({
        let follower = follower.after(&position);
        async move { follower.get("/users/1/notifications").await }
    });
    follower.get("/stats").await.ok();
    ways.let_go();
    let page = reading.await.expect("no panic").ok();
    assert_eq!(page["data"][0]["id"], stored.body["id"], "{page}");
    // Everything that stores says where; what it says is good at each node, and so is the `pos` of what was read.
    let at = |answer: Answer| answer.position.clone().unwrap_or_else(|| panic!("no position: {answer:?}"));
    let batch = json!({"calls": [{"call": "send_notification", "args": {"user_id": 1, "title": "t", "message": "m"}}]});
    let positions = [
        at(leader.post("/batch", &batch).await),
        at(leader.post("/tickets", &json!({"user_id": 1})).await),
        at(leader.put("/users/1", &ALICE.profile()).await),
        at(leader.post("/users/1/notifications/read-all", &Value::Null).await),
        at(leader.delete("/users/9").await),
        page["pos"].as_str().expect("a position").to_owned(),
    ];
    for position in positions {
        let shown = follower.after(&position).get("/users/1/notifications").await;
        assert_eq!(shown.status, 200, "{position}: {shown:?}");
    }
    // What is none is refused by name.
    let history = position.split('-').next().expect("two parts");
    for (wrong, status, code) in [
        ("7", 422, "invalid"),
        ("00000000000000ff-10000", 409, "unknown_position"),
        (&format!("{history}-ffffffffff0000"), 409, "unknown_position"),
    ] {
        let refused = follower.after(wrong).get("/users/1").await;
        assert_eq!((refused.status, refused.code()), (status, code), "{wrong}: {refused:?}");
    }
}

/// Every durable frame on a socket of this path, from a cursor on.
async fn rest(server: &Server, (path, after): (&str, &str), last: &str) -> Vec<Value> {
    let mut socket = V1Socket::greeted(server, path, ALICE).await;
    socket.send(&json!({"type": "resume", "after": after, "id": 1})).await;
    let mut frames = Vec::new();
    loop {
        let frame = socket.next().await;
        if frame["type"] == "resumed" {
            assert_eq!((&frame["recovered"], &frame["pos"]), (&json!(true), &json!(after)), "{frame}");
            // What came before it, the greeting tells.
            frames.clear();
            continue;
        }
        let is_last = frame.to_string().contains(last);
        frames.push(frame);
        if is_last {
            return frames;
        }
    }
}

async fn read(api: &Api, path: &str) -> (Value, String) {
    let body = api.get(path).await.ok();
    let pos = body["pos"].as_str().unwrap_or_else(|| panic!("{path} has no pos: {body}")).to_owned();
    (body, pos)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_over_http_and_what_a_socket_resumes_from_there_are_all_that_there_is() {
    let ways = Ways::start().await;
    let nodes = &ways.cluster.nodes;
    let (at, elsewhere) = (ways.cluster.api(ways.follower), ways.cluster.api(ways.other));
    elsewhere.notify("1", "before").await;
    ways.level().await;
    let (list, list_pos) = read(&at, "/users/1/notifications").await;
    let (count, count_pos) = read(&at, "/users/1/notifications/unread-count").await;
    let (_, one_pos) = read(&at, "/users/7/presence").await;
    let (_, some_pos) = read(&at, "/presence?user_ids=1,7").await;
    let (people, people_pos) = read(&at, "/presence").await;
    assert_eq!((list["data"].as_array().map(Vec::len), &count["count"]), (Some(1), &json!(1)));
    assert_eq!(people["online"], json!([]));

    let mut late = Vec::new();
    for n in 0..5 {
        late.push(elsewhere.notify("1", &format!("later {n}")).await);
    }
    let seven = crate::support::User::named("7");
    let _seven = nodes[ways.leader].greeted("/ws/presence/", seven).await;
    for node in nodes {
        for pos in [&list_pos, &count_pos] {
            let rest = rest(node, (super::NOTIFICATIONS, pos), "later 4").await;
            let shown: Vec<u64> = rest.iter().filter_map(|frame| frame["data"]["id"].as_u64()).collect();
            assert_eq!(shown, late, "after {pos}");
        }
        for pos in [&one_pos, &some_pos, &people_pos] {
            let rest = rest(node, ("/ws/presence/", pos), "\"user_id\":7").await;
            let changes = rest.iter().flat_map(|frame| frame["data"].as_array().cloned().unwrap_or_default());
            let seven = changes.filter(|change| change["user_id"] == 7 && change["online"] == true).count();
            assert_eq!(seven, 1, "after {pos}: {rest:?}");
        }
    }
    // A position that one node has given is waited for at another.
    ways.hold();
    let last = elsewhere.notify("1", "the last").await;
    let (_, pos) = read(&elsewhere, "/users/1/notifications").await;
    let resumed = tokio::spawn({
        let address = nodes[ways.follower].api();
        let pos = pos.clone();
        async move { address.after(&pos).call(Method::GET, "/api/v1/users/1/notifications", None, None).await }
    });
    at.get("/stats").await.ok();
    ways.let_go();
    assert_eq!(resumed.await.expect("no panic").expect("answered").ok()["data"][0]["id"], last);
}
