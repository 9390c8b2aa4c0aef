//! A node whose clock is wrong changes nothing that is kept: commands have the cluster's time.

use crate::{
    harness::{Cluster, notification},
    support::{Api, shim, until},
};
use reqwest::Method;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// By how much the clock of one node is ahead: longer than an idempotency key is kept.
const AHEAD_SECONDS: i64 = 25 * 3_600;
const HOUR: u64 = 3_600;

/// Stores a notification under a key, and says its id and when it was made.
async fn store(api: &Api, key: &str) -> (u64, String) {
    let body = notification("1", "once", 10);
    let stored = until("stored", || async {
        let answer = api.call(Method::POST, "/api/v1/notifications", Some(&body), Some(key)).await.expect("answered");
        (answer.status == 201).then_some(answer.body)
    })
    .await;
    (stored["id"].as_u64().expect("an id"), stored["created_at"].as_str().expect("a time").to_owned())
}

/// How far a node says that another's clock is ahead, once it says so of all.
async fn ahead_ms(api: &Api, of: u64) -> i64 {
    until("every clock is known", || async {
        let status = api.get("/cluster").await;
        let members = status.body["members"].as_array().cloned().unwrap_or_default();
        let is_known = members.len() == 3 && members.iter().all(|member| !member["clock_ahead_ms"].is_null());
        let of = members.iter().find(|member| member["id"] == of).map(|member| member["clock_ahead_ms"].clone());
        if is_known { of.as_ref().and_then(Value::as_i64) } else { None }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_a_day_ahead_makes_no_key_forgotten_and_no_time_wrong() {
    let home = tempfile::tempdir().expect("a directory");
    let library = home.path().join("clock.so");
    shim::compile("tests/cluster/clock.c", &library);
    let cluster = tokio::task::block_in_place(|| {
        Cluster::start_with(|options| {
            let preload = library.display().to_string();
            options.env("LD_PRELOAD", preload).env("CLOCK_NODE", 2).env("CLOCK_AHEAD", AHEAD_SECONDS)
        })
    });
    let least_ms = AHEAD_SECONDS * 1_000 - 60_000;
    for n in 0..3 {
        let ahead = ahead_ms(&cluster.api(n), 2).await;
        assert!(if n == 1 { ahead == 0 } else { ahead > least_ms }, "node {} says {ahead} ms", n + 1);
    }
    // The key of node 1 is not forgotten when it is shown at node 2, whose day is over; nor by what node 2 does itself.
    let (id, _) = store(&cluster.api(0), "key-of-one").await;
    assert_eq!(store(&cluster.api(1), "key-of-one").await.0, id, "the same call happened twice");
    let (_, made_at) = store(&cluster.api(1), "key-of-two").await;
    assert_eq!(store(&cluster.api(0), "key-of-one").await.0, id, "the key was dropped by another node's");
    let made_at: jiff::Timestamp = made_at.parse().expect("a time");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let off = u64::try_from(made_at.as_second()).expect("after 1970").abs_diff(now);
    assert!(off < HOUR, "what node 2 stored is {off} s away from the cluster's time");
    let warning = "the clock of a peer differs";
    assert!(cluster.nodes[0].log().contains(warning) && cluster.nodes[2].log().contains(warning));
}
