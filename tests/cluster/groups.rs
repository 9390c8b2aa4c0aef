//! Groups across nodes: an event published anywhere is heard everywhere, and from the first frame on.

use crate::{
    harness::{Cluster, assert_reached},
    support::{ALICE, BOB, ROOT, Socket, User, V1Socket, socket, until},
};
use futures_util::future::join_all;
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::task::JoinSet;

const NOTIFICATIONS: &str = "/ws/notifications/";
/// Joins in the proof of the greeting, by so many at once.
const JOINS: u64 = 2_000;
const JOINERS: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_heard_on_every_node_and_everybody_is_counted() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let mut sockets = Vec::new();
    for node in &cluster.nodes {
        sockets.push(node.greeted(NOTIFICATIONS, ALICE).await);
    }
    for n in 0..3 {
        let event = json!({"type": "new_notification", "data": {"id": n}});
        let told = cluster.api(n).post("/groups/notifications_user_1/send", &event).await;
        assert_reached(&told, 3);
        for socket in &mut sockets {
            let heard = socket.next().await;
            assert_eq!(heard["data"]["id"], n, "{heard}");
            socket.next().await; // The unread count that follows.
        }
    }
    // A durable event is counted on all nodes, too.
    let mut dashboards = Vec::new();
    for node in &cluster.nodes[..2] {
        dashboards.push(node.greeted("/ws/dashboard/", ALICE).await);
    }
    let told = cluster.api(2).post("/users/1/dashboard", &json!({"data": {"a": 1}})).await;
    assert_reached(&told, 2);
    for socket in &mut dashboards {
        assert_eq!(socket.next().await["data"], json!({"a": 1}));
    }
    let told = cluster.api(1).post("/users/2/dashboard", &json!({"data": {}})).await;
    assert_reached(&told, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_disconnected_wherever_the_sockets_are() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    for (asked, body) in [(0, json!({})), (1, json!({"revoke": true}))] {
        let mut sockets = Vec::new();
        for node in &cluster.nodes {
            let token = ALICE.token();
            sockets.push(V1Socket::connect_with(node, NOTIFICATIONS, &token).await);
        }
        let mut other = cluster.nodes[2].greeted(NOTIFICATIONS, BOB).await;
        for socket in &mut sockets {
            socket.skip_greeting().await;
        }
        let closed = cluster.api(asked).post("/users/1/disconnect", &body).await;
        assert_eq!((closed.status, &closed.body), (200, &json!({"closed": 3})));
        for mut socket in sockets {
            assert_eq!(socket.closed().await.0, 4403);
        }
        other.expect_nothing(&cluster.api(0)).await;
    }
}

/// Every session is the first of its group at its node, and the others publish as soon as it is greeted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_greeted_misses_nothing_that_is_published_later_at_any_node() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let nodes: Arc<Vec<_>> = Arc::new(cluster.nodes.iter().map(|node| (node.address(), node.api())).collect());
    let next = Arc::new(AtomicU64::new(0));
    let mut joiners = JoinSet::new();
    for _ in 0..JOINERS {
        let (nodes, next) = (nodes.clone(), next.clone());
        joiners.spawn(async move {
            loop {
                let join = next.fetch_add(1, Ordering::Relaxed);
                if join >= JOINS {
                    return;
                }
                let (id, at) = (format!("u{join}"), usize::try_from(join % 3).expect("small"));
                let mut socket = Socket::connect(nodes[at].0, NOTIFICATIONS, User::named(&id)).await;
                socket.skip_greeting().await;
                let path = format!("/groups/notifications_user_{id}/send");
                for node in [(at + 1) % 3, (at + 2) % 3] {
                    let event = json!({"type": "new_notification", "data": {"by": node}});
                    let told = nodes[node].1.post(&path, &event).await;
                    assert_reached(&told, 1);
                }
                for node in [(at + 1) % 3, (at + 2) % 3] {
                    assert_eq!(socket.next().await["data"]["by"], node);
                    socket.next().await; // The unread count.
                }
                socket.close().await;
            }
        });
    }
    while let Some(done) = joiners.join_next().await {
        done.expect("every event was heard");
    }
    // Thousands of first members are few entries.
    let stats = cluster.api(0).get("/stats").await.ok();
    assert!(stats["log"]["applied_index"].as_u64().is_some_and(|index| index < 2 * JOINS), "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_may_ask_any_node_how_many_sockets_a_user_has() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let mut sockets = Vec::new();
    for node in &cluster.nodes {
        sockets.push(node.greeted("/ws/presence/", ROOT).await);
    }
    for n in 0..3 {
        let shown = cluster.api(n).get("/users/3/presence").await.ok();
        assert_eq!((&shown["is_online"], &shown["connections"]), (&json!(true), &json!(3)), "{shown}");
        let many = cluster.api(n).get("/presence?user_ids=1,3").await.ok();
        assert_eq!((&many["users"][0]["connections"], &many["users"][1]["connections"]), (&json!(0), &json!(3)));
    }
}

/// Pairs of a stored event and one that is not.
const PAIRS: usize = 100;
/// Pairs that may be shown the other way round: an event that is not stored waits for at most 100 ms, and a machine may be
/// busier than that. Without waiting 63 of 100 were.
const INVERTED_MAX: usize = 10;

/// How many pairs a dashboard was shown the other way round.
async fn inverted(socket: &mut Socket) -> usize {
    let mut shown = Vec::with_capacity(2 * PAIRS);
    while shown.len() < 2 * PAIRS {
        let frame = socket.next().await;
        shown.push(frame["data"]["n"].as_u64().unwrap_or_else(|| panic!("no number: {frame}")));
    }
    let place =
        |n: usize| shown.iter().position(|shown| *shown == n as u64).unwrap_or_else(|| panic!("{n} is missing"));
    (0..PAIRS).filter(|pair| place(2 * pair + 1) < place(2 * pair)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_stored_event_is_shown_after_it_at_every_node() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    until("all understand it", || async {
        (cluster.api(0).get("/cluster").await.body["feature_level"].as_u64() >= Some(3)).then_some(())
    })
    .await;
    for via_stream in [false, true] {
        for publisher in 0..3 {
            let mut sockets = Vec::new();
            for node in &cluster.nodes {
                sockets.push(node.greeted("/ws/dashboard/", ALICE).await);
            }
            let stored = |pair: usize| json!({"data": {"n": 2 * pair}});
            let told = |pair: usize| json!({"type": "dashboard_update", "data": {"n": 2 * pair + 1}});
            let mut stream = Socket::open(
                socket::request(cluster.nodes[publisher].address(), "/api/v1/ingest", Some("dev")),
                "/api/v1/ingest",
                ALICE,
            )
            .await
            .expect("a stream");
            let api = cluster.api(publisher);
            let publish = async {
                for pair in 0..PAIRS {
                    if via_stream {
                        let update = json!({"user_id": 1, "data": stored(pair)["data"]});
                        let send = json!({"group": "dashboard_user_1", "event": told(pair)});
                        stream.send(&json!({"id": 1, "call": "send_dashboard_update", "args": update})).await;
                        stream.send(&json!({"id": 2, "call": "group_send", "args": send})).await;
                    } else {
                        api.post("/users/1/dashboard", &stored(pair)).await.ok();
                        api.post("/groups/dashboard_user_1/send", &told(pair)).await.ok();
                    }
                }
            };
            let watch = join_all(sockets.iter_mut().map(inverted));
            let ((), inverted) = tokio::join!(publish, watch);
            assert_eq!(inverted[publisher], 0, "at the node that was asked, {via_stream}");
            let most = inverted.iter().max().copied().unwrap_or_default();
            println!("publisher {publisher}, stream {via_stream}: {inverted:?} pairs the other way round");
            assert!(most <= INVERTED_MAX, "publisher {publisher}, stream {via_stream}: {inverted:?} of {PAIRS}");
            for socket in sockets {
                socket.close().await;
            }
        }
    }
}
