//! A node that is behind says nothing that is not so: what other nodes have answered counts for it, too.
//!
//! Each node dials each other one by way of a proxy of its own. When what the leader dials to a follower is held, the
//! follower gets no entries, while its own questions still reach the leader: it serves, and is behind.

#[path = "../chaos/net/lane.rs"]
#[allow(dead_code)]
mod lane;
#[path = "../chaos/net/proxy.rs"]
#[allow(dead_code)]
mod proxy;
mod reading;

use crate::{
    harness::{Cluster, caught_up_with},
    support::{ALICE, Api, Options, Socket, User, socket},
};
use lane::{Flow, Lane};
use proxy::Proxy;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

const NOTIFICATIONS: &str = "/ws/notifications/";
/// Without any fault: of 300 marks at a follower right after the 201 at the leader, 38 were lost once.
const ROUNDS: u64 = 60;

/// Three nodes with a way of its own from each to each.
struct Ways {
    cluster: Cluster,
    /// What a node says on connections that it has dialled itself, by who dials whom.
    said: BTreeMap<(usize, usize), Arc<Lane>>,
    _proxies: Vec<Proxy>,
    leader: usize,
    /// Who can be held behind.
    follower: usize,
    other: usize,
}

impl Ways {
    async fn start() -> Self {
        let mut cluster = Cluster::prepare(3, |options: Options| options);
        let (mut said, mut proxies) = (BTreeMap::new(), Vec::new());
        for from in 0..3 {
            let mut peers = Vec::new();
            for to in 0..3 {
                let target = cluster.addresses[to].parse().expect("an address");
                let mut at = target;
                if to != from {
                    let lane: Arc<Lane> = Arc::default();
                    let here = (IpAddr::from(Ipv4Addr::LOCALHOST), target);
                    let proxy = Proxy::start(here, (lane.clone(), Arc::default())).await;
                    at = proxy.address;
                    proxies.push(proxy);
                    said.insert((from, to), lane);
                }
                peers.push(format!("{}={at}", to + 1));
            }
            cluster.nodes[from].set("CLUSTER__PEERS", peers.join(","));
        }
        tokio::task::block_in_place(|| cluster.start_all());
        let leader = cluster.leader().await;
        let [follower, other] = cluster.others(leader)[..] else { panic!("three nodes") };
        Self { cluster, said, _proxies: proxies, leader, follower, other }
    }

    /// The follower gets no entries any more.
    fn hold(&self) {
        self.said[&(self.leader, self.follower)].set(Flow { is_open: false, ..Flow::default() });
    }

    /// Nor are its questions heard by anybody.
    fn cut_off(&self) {
        self.hold();
        for to in [self.leader, self.other] {
            self.said[&(self.follower, to)].set(Flow { is_open: false, ..Flow::default() });
        }
    }

    /// Everything gets through.
    fn let_go(&self) {
        self.said.values().for_each(|lane| lane.set(Flow::default()));
    }

    fn at_leader(&self) -> Api {
        self.cluster.api(self.leader)
    }

    fn at_follower(&self) -> Api {
        self.cluster.api(self.follower)
    }

    /// What is known now to the leader is known to the follower.
    async fn level(&self) {
        caught_up_with(&self.at_follower(), &self.at_leader()).await;
    }

    async fn socket(&self) -> Socket {
        self.cluster.nodes[self.follower].greeted(NOTIFICATIONS, ALICE).await
    }

    /// The status of a handshake at the follower.
    fn handshake(&self, path: &str, token: Option<&str>) -> tokio::task::JoinHandle<u16> {
        tokio::spawn(socket::status(socket::request(self.cluster.nodes[self.follower].address(), path, token)))
    }
}

/// The reply of this type; events before it are skipped.
async fn reply(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let frame = socket.next().await;
        if frame["type"] == kind || frame["type"] == "error" {
            return frame;
        }
    }
}

/// Whether a notification is read, as a node shows it.
async fn is_read(api: &Api, id: u64) -> bool {
    let page = api.get("/users/1/notifications?limit=200").await.ok();
    let all = page["data"].as_array().expect("a list");
    all.iter().find(|item| item["id"] == id).is_some_and(|item| item["is_read"] == true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_at_a_node_that_is_behind_is_confirmed_only_when_it_is_made() {
    let ways = Ways::start().await;
    let (leader, follower) = (ways.at_leader(), ways.at_follower());
    let mut socket = ways.socket().await;
    let mark_all = json!({"type": "mark_all_as_read"});
    let one = leader.notify("1", "known").await;
    ways.level().await;
    // Unknown at the follower; believed to be read there; and all of an inbox that is believed to be read.
    for case in ["unknown", "believed read", "all"] {
        leader.post("/users/1/notifications/read-all", &Value::Null).await.ok();
        ways.level().await;
        ways.hold();
        let id = match case {
            "believed read" => {
                leader.post(&format!("/users/1/notifications/{one}/unread"), &Value::Null).await.ok();
                one
            }
            _ => leader.notify("1", case).await,
        };
        let (frame, kind) = match case {
            "all" => (mark_all.clone(), "all_notifications_marked_read"),
            _ => (json!({"type": "mark_as_read", "notification_id": id}), "notification_marked_read"),
        };
        socket.send(&frame).await;
        // The follower serves meanwhile, and knows nothing of it.
        let count = follower.get("/users/1/notifications/unread-count").await.ok();
        assert_eq!(count["count"], 0, "{case}: the follower is not behind");
        ways.let_go();
        let confirmed = reply(&mut socket, kind).await;
        assert_eq!(confirmed["type"], kind, "{case}: {confirmed}");
        assert!(is_read(&follower, id).await, "{case}: {id} was confirmed, and is not read");
        ways.level().await;
        assert!(is_read(&leader, id).await, "{case}: {id} is read at one node only");
    }
    // What changes nothing is confirmed without an entry of the log, at a follower, too.
    let mut is_free = false;
    for _ in 0..5 {
        // Others may write meanwhile: the nodes themselves.
        let last_index = async || follower.get("/stats").await.ok()["log"]["last_index"].clone();
        let before = last_index().await;
        socket.send(&mark_all).await;
        assert_eq!(reply(&mut socket, "all_notifications_marked_read").await, mark_all_done());
        is_free |= last_index().await == before;
    }
    assert!(is_free, "each mark that changes nothing costs an entry");
    // Cut off, it confirms nothing.
    ways.cut_off();
    socket.send(&mark_all).await;
    let refused = reply(&mut socket, "all_notifications_marked_read").await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("no_quorum")), "{refused}");
}

fn mark_all_done() -> Value {
    json!({"type": "all_notifications_marked_read"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn right_after_the_answer_of_one_node_every_other_one_knows_what_to_mark_and_which_tickets_there_are() {
    let ways = Ways::start().await;
    let (leader, follower) = (ways.at_leader(), ways.at_follower());
    let mut socket = ways.socket().await;
    for round in 0..ROUNDS {
        let id = leader.notify("1", &round.to_string()).await;
        let (frame, kind) = if round % 2 == 0 {
            (json!({"type": "mark_as_read", "notification_id": id}), "notification_marked_read")
        } else {
            (json!({"type": "mark_all_as_read"}), "all_notifications_marked_read")
        };
        socket.send(&frame).await;
        let confirmed = reply(&mut socket, kind).await;
        assert_eq!(confirmed["type"], kind, "{confirmed}");
        assert!(is_read(&follower, id).await, "round {round}: {id} was confirmed, and is not read");
        let ticket = leader.post("/tickets", &json!({"user_id": 1})).await.ok()["ticket"].clone();
        let path = format!("{NOTIFICATIONS}?ticket={}", ticket.as_str().expect("a ticket"));
        assert_eq!(ways.handshake(&path, None).await.expect("no panic"), 101, "round {round}: a fresh ticket");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_for_what_a_node_that_is_behind_does_not_know() {
    let ways = Ways::start().await;
    let leader = ways.at_leader();
    let profile =
        |is_active: bool, is_staff: bool| json!({"username": "s", "is_active": is_active, "is_staff": is_staff});
    leader.put("/users/s", &profile(false, false)).await.ok();
    ways.level().await;
    let staff = User { id: "s", username: "s", first_name: "", last_name: "", is_staff: true };
    assert_eq!(ways.handshake("/ws/dashboard/", Some(&staff.token())).await.expect("no panic"), 403);
    let none = format!("{NOTIFICATIONS}?ticket=ct_{}", "x".repeat(43));
    assert_eq!(ways.handshake(&none, None).await.expect("no panic"), 403, "there never was one");

    ways.hold();
    let ticket = leader.post("/tickets", &json!({"user_id": 1})).await.ok()["ticket"].clone();
    let fresh = format!("{NOTIFICATIONS}?ticket={}", ticket.as_str().expect("a ticket"));
    leader.put("/users/s", &profile(true, true)).await.ok();
    let fresh = ways.handshake(&fresh, None);
    let back = ways.handshake("/ws/dashboard/", Some(&staff.token()));
    let staff_again = ways.handshake("/ws/dashboard/admin/", Some(&staff.token()));
    ways.at_follower().get("/stats").await.ok();
    ways.let_go();
    assert_eq!(fresh.await.expect("no panic"), 101, "a ticket that was issued at the leader");
    assert_eq!(back.await.expect("no panic"), 101, "a user who was reactivated at the leader");
    assert_eq!(staff_again.await.expect("no panic"), 101, "a user who was made staff at the leader");

    // Who can't be looked up is neither let in nor told a lie.
    ways.cut_off();
    assert_eq!(ways.handshake(&none, None).await.expect("no panic"), 503, "it cannot know");
}
