//! The leader dies, the majority goes on; the minority says so and takes nothing back.

use crate::{
    harness::{Cluster, notification, stored, titles},
    support::{ALICE, Api},
    writers::Writers,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

const WRITERS: usize = 4;
const USERS: [&str; 2] = ["1", "2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_leader_costs_no_answered_call_and_none_happens_twice() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let mut writers = Writers::new(WRITERS, &USERS);
    let mut outages = Vec::new();
    for _ in 0..2 {
        let leader = cluster.leader().await;
        // Clients know only those that stay: an address that changes with each start is the test's own peculiarity.
        let apis: Vec<Api> = cluster.others(leader).into_iter().map(|n| cluster.api(n)).collect();
        writers.start(&apis);
        writers.more(40).await;
        cluster.nodes[leader].kill();
        let killed = Instant::now();
        let before = writers.answers();
        // What was under way may still be answered; then there is silence until somebody leads.
        writers.more(WRITERS as u64 + 1).await;
        outages.push((killed.elapsed(), writers.answers() - before));
        writers.more(40).await;
        writers.stop().await;
        tokio::task::block_in_place(|| cluster.nodes[leader].start());
    }
    println!("answered again after {outages:?}; {} answers", writers.answers());
    let ledger = writers.ledger();
    let mut orders: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for n in 0..3 {
        cluster.caught_up(n).await;
        for user in USERS {
            let there = titles(&cluster.api(n), user).await;
            let unique: BTreeSet<String> = there.iter().cloned().collect();
            assert_eq!(unique.len(), there.len(), "something is there twice at node {}", n + 1);
            assert_eq!(unique, ledger[user], "at node {}", n + 1);
            assert_eq!(*orders.entry(user).or_insert_with(|| there.clone()), there, "another order at node {}", n + 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_and_nobody_is_refused() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let leader = cluster.leader().await;
    let others = cluster.others(leader);
    let term = |status: &serde_json::Value| status["term"].as_u64().expect("a term");
    let before = term(&cluster.api(leader).get("/cluster").await.ok());
    let apis: Vec<Api> = others.iter().map(|n| cluster.api(*n)).collect();
    let mut writers = Writers::new(WRITERS, &USERS);
    writers.start(&apis);
    writers.more(40).await;
    tokio::task::block_in_place(|| cluster.nodes[leader].stop());
    writers.more(40).await;
    writers.stop().await;
    let said = cluster.nodes[leader].log();
    assert!(said.contains("this leader has handed over"), "{said}");
    assert_eq!(term(&cluster.api(others[0]).get("/cluster").await.ok()), before + 1, "it costs one election");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_disk_is_full_takes_part_and_leaves_the_lead_to_others() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let leader = cluster.leader().await;
    let (full, other) = (cluster.others(leader)[0], cluster.others(leader)[1]);
    stored(&cluster.api(leader), "1", "before").await;
    tokio::task::block_in_place(|| {
        cluster.nodes[full].stop();
        // The most that can be set: no disk that tests run on has as much room.
        cluster.nodes[full].set("STORAGE__RESERVE_BYTES", 1_u64 << 40);
        cluster.nodes[full].start();
    });
    cluster.ready(full).await;
    // It lets people in and serves what there is, but takes no changes.
    let mut socket = cluster.nodes[full].greeted("/ws/notifications/", ALICE).await;
    let refused = cluster.api(full).post("/notifications", &notification("1", "here", 1)).await;
    assert_eq!((refused.status, refused.code()), (503, "disk_full"));
    stored(&cluster.api(other), "1", "elsewhere").await;
    assert_eq!(socket.next().await["data"]["title"], "elsewhere");
    cluster.nodes[leader].kill();
    stored(&cluster.api(other), "1", "after").await;
    assert_eq!(cluster.leader().await, other, "a node without room leads while another could");
    assert_eq!(titles(&cluster.api(full), "1").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_refuses_and_what_it_says_never_happened_never_does() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    for alone in [cluster.leader().await, cluster.others(cluster.leader().await)[0]] {
        let others = cluster.others(alone);
        others.iter().for_each(|n| cluster.nodes[*n].pause());
        let api = cluster.api(alone);
        let (mut never, mut maybe) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        while never.len() < 3 {
            let title = format!("{alone}-{}", never.len() + maybe.len());
            let asked = Instant::now();
            let answer = api.post("/notifications", &notification("9", &title, 10)).await;
            assert_eq!((answer.status, answer.retry_after.is_some()), (503, true), "{answer:?}");
            match answer.code() {
                "no_quorum" => never.push(title),
                "outcome_unknown" => maybe.push(title),
                other => panic!("{other}: {answer:?}"),
            }
            println!("{} after {:?}", answer.code(), asked.elapsed());
        }
        println!("{} of unknown outcome; {:?} in all", maybe.len(), begun.elapsed());
        assert!(maybe.len() <= 2, "a leader without a majority goes on taking changes: {maybe:?}");
        let ready = api.get_root("/readyz").await;
        assert_eq!((ready.status, ready.body["status"].as_str()), (503, Some("no_quorum")));
        others.iter().for_each(|n| cluster.nodes[*n].resume());
        for n in 0..3 {
            cluster.ready(n).await;
        }
        let last = format!("{alone}-last");
        api.notify("9", &last).await;
        let there = titles(&api, "9").await;
        assert!(there.contains(&last));
        assert!(never.iter().all(|title| !there.contains(title)), "{never:?} in {there:?}");
    }
}
