//! Changing who belongs while somebody is down: each call ends, with an answer that is true, and costs nobody the majority.

use crate::{
    harness::{Cluster, free_addresses, options, stored, titles},
    support::{Api, until},
    writers::Writers,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::TcpListener};

const USERS: [&str; 1] = ["1"];

/// Ids of members.
async fn members(api: &Api) -> BTreeSet<u64> {
    let status = api.get("/cluster").await.ok();
    let all = status["members"].as_array().expect("members");
    all.iter().map(|member| member["id"].as_u64().expect("an id")).collect()
}

fn path(n: usize, more: &str) -> String {
    format!("/cluster/members/{}{more}", n + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_node_is_not_taken_out_while_another_is_down_unless_it_is_forced() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let leader = cluster.leader().await;
    let [down, live] = cluster.others(leader)[..] else { panic!("three nodes") };
    tokio::task::block_in_place(|| cluster.nodes[down].kill());
    // It is known that it is down, not only that it may be.
    let api = cluster.api(leader);
    until("it counts as down", || async { cluster.nodes[leader].log().contains("they count as down").then_some(()) })
        .await;
    for asked in [leader, live] {
        let refused = cluster.api(asked).delete(&path(live, "")).await;
        let message = refused.body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(message.contains(&format!("do not answer: {}.", down + 1)), "{message}");
    }
    // Nothing was begun: both go on, and neither ends.
    assert_eq!(members(&api).await, BTreeSet::from([1, 2, 3]));
    cluster.api(live).notify("1", "two of three").await;

    // Forced, it is done, and waits for the one that is down.
    let forced = tokio::spawn({
        let (api, path) = (api.clone(), path(live, "?force=true"));
        async move { api.delete(&path).await }
    });
    until("it is begun", || async {
        let log = cluster.nodes[leader].log();
        let stored = api.post("/notifications", &json!({"user_id": 1, "title": "t", "message": "m"})).await;
        (stored.status == 503 || log.contains("was removed")).then_some(())
    })
    .await;
    tokio::task::block_in_place(|| cluster.nodes[down].start());
    let answer = forced.await.expect("no panic");
    assert!([200, 503].contains(&answer.status), "{answer:?}");
    until("two are left", || async {
        let status = api.get("/cluster").await;
        let left = status.body["members"].as_array().map(Vec::len);
        (left == Some(2)).then_some(())
    })
    .await;
    let ended = tokio::task::block_in_place(|| cluster.nodes[live].ended());
    assert_eq!(ended.code, Some(78), "{ended:#?}");
    stored(&cluster.api(down), "1", "the two that are left").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_node_is_taken_out_and_others_come_and_go_under_load() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let leader = cluster.leader().await;
    let [lost, other] = cluster.others(leader)[..] else { panic!("three nodes") };
    let apis = [cluster.api(leader), cluster.api(other)];
    let mut writers = Writers::new(4, &USERS);
    writers.start(&apis);
    writers.more(20).await;
    tokio::task::block_in_place(|| cluster.nodes[lost].kill());
    let removed = apis[1].delete(&path(lost, "")).await;
    assert_eq!((removed.status, &removed.body["id"]), (200, &json!(lost + 1)), "{removed:?}");
    assert_eq!(members(&apis[0]).await.len(), 2);

    // Nobody is there; somebody is who says nothing; then it is there.
    let address = free_addresses(1).remove(0);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_address = silent.local_addr().expect("bound").to_string();
    for (at, why) in [(&address, "Connection refused"), (&silent_address, "")] {
        let refused = apis[0].post("/cluster/members", &json!({"id": 4, "address": at})).await;
        let message = refused.body["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(refused.status, 422, "{refused:?}");
        assert!(message.contains("node 4 was not found at") && message.contains(why), "{message}");
    }
    assert_eq!(apis[0].delete(&path(3, "")).await.status, 422, "it was never added");
    let mut fourth = options(4, &address).set("CLUSTER__JOIN", &cluster.addresses[leader]).prepare();
    fourth.launch();
    until("it is added", || async { members(&apis[0]).await.contains(&4).then_some(()) }).await;
    // Gone again, at whatever point of becoming a voter.
    fourth.kill();
    let removed = apis[1].delete(&path(3, "")).await;
    assert_eq!(removed.status, 200, "{removed:?}");
    assert_eq!(members(&apis[0]).await, BTreeSet::from([leader as u64 + 1, other as u64 + 1]));
    writers.more(20).await;
    writers.stop().await;
    let there: BTreeSet<String> = titles(&apis[0], "1").await.into_iter().collect();
    assert_eq!(there, writers.ledger()["1"], "what was answered is there once");
    let refused: Value = apis[0].post("/cluster/members", &json!({"id": 4, "address": address})).await.body;
    assert!(refused["error"]["message"].is_string(), "{refused}");
}
