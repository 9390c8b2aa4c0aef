//! A rolling restart: one node after the other is stopped and started under load, and nobody notices more than a pause.

use crate::{
    harness::{Cluster, titles},
    support::{ALICE, ROOT, V1Socket, until},
    writers::Writers,
};
use serde_json::json;

const USERS: [&str; 2] = ["1", "2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_restarted_one_after_the_other_under_load_and_nothing_is_lost() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let mut writers = Writers::new(4, &USERS);
    for n in 0..3 {
        // Writers take no other refusal than a 503, and repeat with their key.
        let apis: Vec<_> = cluster.others(n).into_iter().map(|other| cluster.api(other)).collect();
        writers.start(&apis);
        writers.more(20).await;
        let mut session = V1Socket::greeted(&cluster.nodes[n], "/ws/notifications/", ALICE).await;
        let boot = cluster.api(n).get("/cluster").await.ok()["node"]["boot"].clone();
        let closed = async { session.closed().await };
        let stop = async { tokio::task::block_in_place(|| cluster.nodes[n].stop()) };
        let ((code, reason), ()) = tokio::join!(closed, stop);
        assert_eq!((code, &reason["code"]), (1012, &json!("drain")), "{reason}");
        writers.more(20).await;
        tokio::task::block_in_place(|| cluster.nodes[n].start());
        cluster.ready(n).await;
        let again = cluster.api(n).get("/cluster").await.ok()["node"]["boot"].clone();
        assert_ne!(again, boot);
        writers.stop().await;
    }
    for (user, wanted) in writers.ledger() {
        for n in 0..3 {
            cluster.caught_up(n).await;
            let found = titles(&cluster.api(n), user).await;
            let once: std::collections::BTreeSet<_> = found.iter().cloned().collect();
            assert_eq!((found.len(), &once), (wanted.len(), &wanted), "at node {}", n + 1);
        }
    }
    // Everybody stands again, and is waited for again.
    until("all members are up", || async {
        let members = cluster.api(0).get("/cluster").await.ok()["members"].clone();
        members.as_array().is_some_and(|all| all.iter().all(|one| one["is_reachable"] == true)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_node_is_spared_what_it_does_not_understand_until_it_is_replaced() {
    let mut cluster = tokio::task::block_in_place(|| {
        let mut cluster = Cluster::prepare(3, |options| options.set("PRESENCE__GRACE_SECONDS", 1));
        cluster.nodes[2].set("CLUSTER__FEATURE_LEVEL", 1);
        cluster.start_all();
        cluster
    });
    let level = |n: usize| {
        let api = cluster.api(n);
        async move { api.get("/cluster").await.ok()["feature_level"].clone() }
    };
    assert_eq!((level(0).await, level(2).await), (json!(1), json!(1)));
    // What newer nodes would do in another way, they do as the old one does: a lost node's users go offline.
    let mut watcher = cluster.nodes[2].greeted("/ws/presence/", ROOT).await;
    let _alice = cluster.nodes[0].greeted("/ws/presence/", ALICE).await;
    watcher.expect(json!({"type": "user_online", "data": ALICE.person()})).await;
    tokio::task::block_in_place(|| cluster.nodes[0].kill());
    until("she is offline", || async {
        let shown = cluster.api(2).get("/users/1/presence").await;
        (shown.body["is_online"] == false).then_some(())
    })
    .await;
    tokio::task::block_in_place(|| cluster.nodes[0].start());
    // Replaced, it understands what the others do; nobody goes back after that.
    tokio::task::block_in_place(|| {
        cluster.nodes[2].stop();
        cluster.nodes[2].set("CLUSTER__FEATURE_LEVEL", 2);
        cluster.nodes[2].start();
    });
    for n in 0..3 {
        let api = cluster.api(n);
        until("all understand it", || async { (api.get("/cluster").await.body["feature_level"] == 2).then_some(()) })
            .await;
    }
    let refused = tokio::task::block_in_place(|| {
        cluster.nodes[2].stop();
        cluster.nodes[2].set("CLUSTER__FEATURE_LEVEL", 1);
        cluster.nodes[2].try_start()
    });
    let ended = refused.expect_err("too old");
    assert!(ended.code == Some(78) && ended.said.contains("at feature level 2"), "{ended:#?}");
}
