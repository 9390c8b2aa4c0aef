//! A node that was away comes back: by the log, or, when that has been cut meanwhile, by a snapshot.

use crate::{
    harness::{Cluster, free_addresses, notification, options, titles},
    support::{Api, User, until, v1::V1Socket},
};
use reqwest::Method;
use std::{fs, path::Path};
use tokio::task::JoinSet;

/// Stores so many notifications of 8 KiB, several at a time.
async fn fill(api: &Api, user: &'static str, count: usize) {
    let mut calls = JoinSet::new();
    for n in 0..count {
        let api = api.clone();
        calls.spawn(async move {
            let body = notification(user, &format!("{n}"), 8 << 10);
            let answer = api.call(Method::POST, "/api/v1/notifications", Some(&body), None).await;
            answer.expect("answered").ok();
        });
        if calls.len() >= 32 {
            calls.join_next().await.expect("some").expect("stored");
        }
    }
    while let Some(done) = calls.join_next().await {
        done.expect("stored");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_gets_what_it_lacks_from_the_log() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let away = cluster.others(cluster.leader().await)[0];
    cluster.nodes[away].kill();
    let api = cluster.api(cluster.leader().await);
    fill(&api, "1", 50).await;
    let expected = titles(&api, "1").await;
    tokio::task::block_in_place(|| cluster.nodes[away].start());
    // Ready means that it has caught up.
    assert_eq!(titles(&cluster.api(away), "1").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_long_gets_a_snapshot_and_its_sessions_are_told() {
    let small = |options: crate::support::Options| {
        options.set("STORAGE__SNAPSHOT_LOG_BYTES", 1 << 20).set("STORAGE__SEGMENT_BYTES", 256 << 10)
    };
    let mut cluster = tokio::task::block_in_place(|| Cluster::start_with(small));
    let away = cluster.others(cluster.leader().await)[0];
    let mut socket = V1Socket::greeted(&cluster.nodes[away], "/ws/notifications/", User::named("1")).await;
    cluster.nodes[away].pause();
    let leader = cluster.leader().await;
    let api = cluster.api(leader);
    // The log is cut behind the older of two snapshots.
    let dir = cluster.nodes[leader].data_dir().join("snapshots");
    let names = |ending: &'static str| files(&dir, ending);
    for (snapshot, notifications) in [(1, 250), (2, 700)] {
        fill(&api, "1", notifications).await;
        until("a snapshot", || async { (names(".snap").len() >= snapshot).then_some(()) }).await;
    }
    // The first segment's name ends with its first entry.
    let log = cluster.nodes[leader].data_dir().join("log");
    until("a cut", || async { files(&log, "-00000000000000000000.seg").is_empty().then_some(()) }).await;
    let expected = titles(&api, "1").await;
    cluster.nodes[away].resume();
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["code"]), (4410, &"lost_place".into()), "a session that missed something must be told");
    cluster.ready(away).await;
    cluster.caught_up(away).await;
    assert_eq!(titles(&cluster.api(away), "1").await, expected);
    assert!(cluster.nodes[away].log().contains("a snapshot has arrived"), "{}", cluster.nodes[away].log());
    // What was taken in outlives a kill, the next moment.
    tokio::task::block_in_place(|| cluster.nodes[away].kill_and_restart());
    assert_eq!(titles(&cluster.api(away), "1").await, expected);
    assert_eq!(files(&cluster.nodes[away].data_dir().join("snapshots"), ".tmp"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_catches_up_with_a_cluster_whose_founders_are_gone() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    // One of them sleeps while the two others are replaced: it knows nobody who is left.
    let away = 2;
    cluster.nodes[away].pause();
    let addresses = free_addresses(3);
    let join = |cluster: &mut Cluster, id: usize| {
        let settings = options(id, &addresses[id - 4]).set("CLUSTER__JOIN", cluster.addresses[0].clone());
        let mut node = settings.prepare();
        node.start();
        cluster.nodes.push(node);
    };
    let api = cluster.api(0);
    tokio::task::block_in_place(|| {
        join(&mut cluster, 4);
        join(&mut cluster, 5);
    });
    api.notify("1", "before").await;
    for gone in [0, 1] {
        let voters = 5 - gone;
        let api = cluster.api(3);
        until("every node votes", || async {
            let members = api.get("/cluster").await.body["members"].as_array().cloned().unwrap_or_default();
            let count = members.iter().filter(|member| member["role"] == "voter").count();
            (count == voters).then_some(())
        })
        .await;
        let path = format!("/cluster/members/{}", gone + 1);
        until("a founder is removed", || async { (api.delete(&path).await.status == 200).then_some(()) }).await;
        tokio::task::block_in_place(|| cluster.nodes[gone].ended());
    }
    cluster.addresses[0].clone_from(&addresses[0]);
    cluster.api(3).notify("1", "after").await;
    let expected = titles(&cluster.api(3), "1").await;
    // It has all of the log to read, from when there were other nodes.
    tokio::task::block_in_place(|| join(&mut cluster, 6));
    cluster.nodes[away].resume();
    for n in [away, 5] {
        let api = cluster.api(n);
        until("caught up", || async { (api.get_root("/readyz").await.status == 200).then_some(()) }).await;
        until("what was stored", || async { (titles(&api, "1").await == expected).then_some(()) }).await;
    }
}

fn files(dir: &Path, ending: &str) -> Vec<String> {
    let names = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.ends_with(ending)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cluster_that_was_killed_comes_back_with_everything() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let api = cluster.api(0);
    fill(&api, "1", 20).await;
    let expected = titles(&api, "1").await;
    for node in &mut cluster.nodes {
        node.kill();
    }
    tokio::task::block_in_place(|| cluster.start_all());
    for n in 0..3 {
        assert_eq!(titles(&cluster.api(n), "1").await, expected, "at node {}", n + 1);
    }
    until("another call", || async {
        let answer = cluster.api(1).post("/notifications", &notification("1", "after", 10)).await;
        (answer.status == 201).then_some(())
    })
    .await;
}
