//! Nodes that are lost and come back: their users go in time and once, their sessions start over, resumes go on
//! anywhere.

use crate::{
    harness::{Cluster, assert_reached},
    support::{ALICE, BOB, ROOT, Socket, User, V1Socket, until},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

const PRESENCE: &str = "/ws/presence/";
const NOTIFICATIONS: &str = "/ws/notifications/";
const GRACE_SECONDS: u32 = 2;

fn with_grace() -> Cluster {
    Cluster::start_with(|options| options.set("PRESENCE__GRACE_SECONDS", GRACE_SECONDS))
}

/// The next frames of these kinds, in their order; others are skipped.
async fn transitions(socket: &mut Socket, count: usize) -> Vec<(String, Value)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let frame = socket.next().await;
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        if kind == "user_online" || kind == "user_offline" {
            seen.push((kind, frame["data"]["user_id"].clone()));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_on_different_nodes_are_one_user() {
    let cluster = tokio::task::block_in_place(with_grace);
    let mut watcher = cluster.nodes[2].greeted(PRESENCE, ROOT).await;
    let here = cluster.nodes[0].greeted(PRESENCE, ALICE).await;
    let there = cluster.nodes[1].greeted(PRESENCE, ALICE).await;
    here.close().await;
    there.close().await;
    assert_eq!(
        transitions(&mut watcher, 2).await,
        [("user_online".into(), json!(1)), ("user_offline".into(), json!(1))]
    );
    watcher.expect_nothing(&cluster.api(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_nodes_users_go_offline_once_unless_they_come_back_elsewhere() {
    let mut cluster = tokio::task::block_in_place(with_grace);
    let gone = cluster.others(cluster.leader().await)[0];
    let alive = cluster.others(gone);
    let mut watchers =
        [cluster.nodes[alive[0]].greeted(PRESENCE, ROOT).await, cluster.nodes[alive[1]].greeted(PRESENCE, ROOT).await];
    let _alice = cluster.nodes[gone].greeted(PRESENCE, ALICE).await;
    let _bob = cluster.nodes[gone].greeted(PRESENCE, BOB).await;
    for watcher in &mut watchers {
        transitions(watcher, 2).await;
    }
    tokio::task::block_in_place(|| cluster.nodes[gone].kill());
    // One of them is quick.
    let _alice = cluster.nodes[alive[0]].greeted(PRESENCE, ALICE).await;
    for watcher in &mut watchers {
        assert_eq!(transitions(watcher, 1).await, [("user_offline".into(), json!(2))]);
    }
    // Nobody is waited for that is down: a new group is greeted.
    let mut socket = cluster.nodes[alive[1]].greeted("/ws/dashboard/", BOB).await;
    cluster.api(alive[0]).post("/users/2/dashboard", &json!({"data": {"n": 1}})).await.ok();
    assert_eq!(socket.next().await["data"], json!({"n": 1}));
    for (watcher, asked) in watchers.iter_mut().zip(&alive) {
        watcher.expect_nothing(&cluster.api(*asked)).await;
        let shown = cluster.api(*asked).get("/presence?user_ids=1,2").await.ok();
        let online: Vec<_> = shown["users"].as_array().expect("two").iter().map(|user| &user["is_online"]).collect();
        assert_eq!(online, [&json!(true), &json!(false)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_sends_its_sessions_away_and_takes_part_again() {
    let cluster = tokio::task::block_in_place(with_grace);
    let still = cluster.others(cluster.leader().await)[0];
    let other = cluster.others(still)[0];
    let mut session = V1Socket::greeted(&cluster.nodes[still], NOTIFICATIONS, ALICE).await;
    let boot = cluster.api(still).get("/cluster").await.ok()["node"]["boot"].clone();
    cluster.nodes[still].pause();
    // Its place is given up: whoever is greeted now does not wait for it.
    let mut bob = until("greeted without it", || async {
        let request =
            crate::support::socket::request(cluster.nodes[other].address(), NOTIFICATIONS, Some(&BOB.token()));
        Socket::open(request, NOTIFICATIONS, BOB).await.ok()
    })
    .await;
    bob.skip_greeting().await;
    cluster.nodes[still].resume();
    assert_eq!(session.closed().await, (4410, json!({"code": "lost_place"})));
    cluster.ready(still).await;
    let status = cluster.api(still).get("/cluster").await.ok();
    assert!(status["node"]["boot"].as_u64() > boot.as_u64(), "{status}");
    let mut again = cluster.nodes[still].greeted(NOTIFICATIONS, ALICE).await;
    for publisher in [other, still] {
        let event = json!({"type": "new_notification", "data": {"by": publisher}});
        let told = cluster.api(publisher).post("/groups/notifications_user_1/send", &event).await;
        assert_reached(&told, 1);
        assert_eq!(again.next().await["data"]["by"], publisher);
        again.next().await;
    }
    // What it does in its new boot is done once, like in the old one.
    cluster.api(still).notify("1", "of the new boot").await;
    assert_eq!(again.next().await["data"]["title"], "of the new boot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_to_a_node_that_stood_still_stays_online() {
    let cluster = tokio::task::block_in_place(with_grace);
    let still = cluster.others(cluster.leader().await)[0];
    let other = cluster.others(still)[0];
    let mut watcher = cluster.nodes[other].greeted(PRESENCE, ROOT).await;
    let mut alice = cluster.nodes[still].greeted(PRESENCE, ALICE).await;
    let mut bob = cluster.nodes[still].greeted(PRESENCE, BOB).await;
    transitions(&mut watcher, 2).await;
    cluster.nodes[still].pause();
    until("it is marked down", || async {
        cluster.nodes[other].log().contains("a boot of a node is over").then_some(())
    })
    .await;
    cluster.nodes[still].resume();
    assert_eq!((alice.closed().await.0, bob.closed().await.0), (1006, 1006));
    // One of them comes back to the same node, before the time of grace is over.
    let _alice = until("let in again", || async {
        let request = crate::support::socket::request(cluster.nodes[still].address(), PRESENCE, Some(&ALICE.token()));
        Socket::open(request, PRESENCE, ALICE).await.ok()
    })
    .await;
    assert_eq!(transitions(&mut watcher, 1).await, [("user_offline".into(), json!(2))]);
    watcher.expect_nothing(&cluster.api(other)).await;
    let shown = cluster.api(other).get("/users/1/presence").await.ok();
    assert_eq!(shown["is_online"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_its_leader_publishes_nothing_and_says_so() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let leader = cluster.leader().await;
    let others = cluster.others(leader);
    others.iter().for_each(|n| cluster.nodes[*n].pause());
    let event = json!({"type": "new_notification", "data": {}});
    let refused = until("it notices", || async {
        let told = cluster.api(leader).post("/groups/notifications_user_1/send", &event).await;
        (told.status != 202).then_some(told)
    })
    .await;
    assert_eq!((refused.status, refused.code()), (503, "no_quorum"));
    assert!(refused.retry_after.is_some());
    assert_eq!(cluster.api(leader).get_root("/readyz").await.status, 503);
    let request = crate::support::socket::request(cluster.nodes[leader].address(), NOTIFICATIONS, Some(&ALICE.token()));
    assert_eq!(crate::support::socket::status(request).await, 503);
    others.iter().for_each(|n| cluster.nodes[*n].resume());
    for n in 0..3 {
        cluster.ready(n).await;
    }
    let told = cluster.api(leader).post("/groups/notifications_user_1/send", &event).await;
    assert_eq!(told.status, 202, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_goes_on_at_any_node_where_it_stood() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let mut session = V1Socket::greeted(&cluster.nodes[0], NOTIFICATIONS, ALICE).await;
    for round in 0..30 {
        let (shown, next) = (round % 3, (round + 1) % 3);
        cluster.api(next).notify("1", &format!("seen {round}")).await;
        let mut cursor = String::new();
        while cursor.is_empty() {
            let frame = session.next().await;
            if frame["data"]["title"] == format!("seen {round}") {
                cursor = session.cursor();
            }
        }
        drop(session);
        cluster.api(shown).notify("1", &format!("missed {round}")).await;
        // The cursor may be ahead of what the next node has applied.
        session = V1Socket::greeted(&cluster.nodes[next], NOTIFICATIONS, ALICE).await;
        let answer = session.ask(json!({"type": "resume", "after": cursor})).await;
        assert_eq!(answer["recovered"], true, "{answer}");
        let missed = session.next().await;
        assert_eq!(missed["data"]["title"], format!("missed {round}"), "{missed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_tells_its_sessions_where_to_go_and_nobody_waits_for_it() {
    let mut cluster = tokio::task::block_in_place(|| {
        let named = |options: crate::support::Options| {
            options.set("DRAIN__SECONDS", 1).set("PRESENCE__GRACE_SECONDS", 60).set("CLUSTER__DOWN_MS", 60_000)
        };
        let mut cluster = Cluster::prepare(3, named);
        for (n, node) in cluster.nodes.iter_mut().enumerate() {
            node.set("CLUSTER__PUBLIC_URL", format!("wss://node{n}.example.org"));
        }
        cluster.start_all();
        cluster
    });
    let leaves = cluster.others(cluster.leader().await)[0];
    let stay = cluster.others(leaves);
    let mut sessions = Vec::new();
    for _ in 0..8 {
        sessions.push(V1Socket::greeted(&cluster.nodes[leaves], NOTIFICATIONS, ALICE).await);
    }
    let closes = async {
        let mut places = std::collections::BTreeSet::new();
        for session in &mut sessions {
            let (code, reason) = session.closed().await;
            assert_eq!((code, &reason["code"]), (1012, &json!("drain")));
            assert!(reason["retry_after_ms"].is_u64(), "{reason}");
            places.insert(reason["to"].as_str().expect("a place").to_owned());
        }
        places
    };
    let stop = async { tokio::task::block_in_place(|| cluster.nodes[leaves].stop()) };
    let (places, _) = tokio::join!(closes, stop);
    let others: std::collections::BTreeSet<_> = stay.iter().map(|n| format!("wss://node{n}.example.org")).collect();
    assert_eq!(places, others, "the others share them");
    // It would not be marked down for a minute: it has said so itself.
    let mut bob = cluster.nodes[stay[0]].greeted(NOTIFICATIONS, BOB).await;
    bob.expect_nothing(&cluster.api(stay[0])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_reconnects_after_a_nodes_death_is_few_entries() {
    const PEOPLE: usize = 200;
    let mut cluster = tokio::task::block_in_place(|| Cluster::start_with(|o| o.set("PRESENCE__GRACE_SECONDS", 30)));
    let gone = cluster.others(cluster.leader().await)[0];
    let alive = cluster.others(gone);
    let ids: Vec<String> = (0..PEOPLE).map(|n| format!("p{n}")).collect();
    let come = |n: usize, at: std::net::SocketAddr| {
        let id = ids[n].clone();
        async move {
            let mut socket = Socket::connect(at, PRESENCE, User::named(&id)).await;
            socket.skip_greeting().await;
            socket
        }
    };
    let addresses: Vec<_> = cluster.nodes.iter().map(|node| node.address()).collect();
    let _before = join_all((0..PEOPLE).map(|n| come(n, addresses[gone]))).await;
    let mut watcher = cluster.nodes[alive[0]].greeted(PRESENCE, ROOT).await;
    let index = |stats: &Value| stats["log"]["applied_index"].as_u64().expect("an index");
    let api = cluster.api(alive[0]);
    let begun = index(&api.get("/stats").await.ok());
    tokio::task::block_in_place(|| cluster.nodes[gone].kill());
    let _after = join_all((0..PEOPLE).map(|n| come(n, addresses[alive[n % 2]]))).await;
    let entries = index(&api.get("/stats").await.ok()) - begun;
    assert!(entries < PEOPLE as u64 / 2, "{entries} entries for {PEOPLE} people");
    // They were online all the time.
    watcher.expect_nothing(&api).await;
}
