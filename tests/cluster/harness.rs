//! Nodes of one cluster as processes on this machine.

pub use crate::support::ports::free_addresses;

use crate::support::{Answer, Api, Options, Server, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What all nodes know.
pub const SECRET: &str = "a secret for tests, of 32 bytes or more";

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Some nodes; `nodes[0]` is node 1.
pub struct Cluster {
    pub nodes: Vec<Server>,
    /// Of the peers' listeners.
    pub addresses: Vec<String>,
    _turn: MutexGuard<'static, ()>,
}

/// The list of peers as a setting.
pub fn peers(addresses: &[String]) -> String {
    let one = |(n, address): (usize, &String)| format!("{}={address}", n + 1);
    addresses.iter().enumerate().map(one).collect::<Vec<_>>().join(",")
}

/// A node's settings without its peers.
pub fn options(id: usize, address: &str) -> Options {
    Options::default()
        .set("SERVER__NODE_ID", id)
        .set("CLUSTER__LISTEN", address)
        .set("CLUSTER__SECRET", SECRET)
        .set("DRAIN__SECONDS", 0)
}

impl Cluster {
    /// Three nodes that have formed a cluster.
    pub fn start() -> Self {
        Self::start_with(|options| options)
    }

    /// The same with more settings.
    pub fn start_with(more: impl Fn(Options) -> Options) -> Self {
        let mut cluster = Self::prepare(3, more);
        cluster.start_all();
        cluster
    }

    /// The same, and where each node serves, after each start: for clients that keep their addresses.
    pub fn start_at_addresses(more: impl Fn(Options) -> Options) -> (Self, Vec<String>) {
        let mut cluster = Self::prepare(3, more);
        let addresses = free_addresses(3);
        for (node, address) in cluster.nodes.iter_mut().zip(&addresses) {
            node.set("SERVER__LISTEN", address);
        }
        cluster.start_all();
        (cluster, addresses)
    }

    /// Nodes that don't run yet.
    pub fn prepare(count: usize, more: impl Fn(Options) -> Options) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = free_addresses(count);
        let node = |n: usize| {
            let options = options(n + 1, &addresses[n]).set("CLUSTER__PEERS", peers(&addresses));
            more(options).prepare()
        };
        let nodes = (0..count).map(node).collect();
        Self { nodes, addresses, _turn: turn }
    }

    /// Starts those that don't run, at once: the first start waits for all of them.
    pub fn start_all(&mut self) {
        std::thread::scope(|scope| {
            for node in self.nodes.iter_mut().filter(|node| !node.is_running()) {
                scope.spawn(|| node.start());
            }
        });
    }

    /// The API of a node.
    pub fn api(&self, n: usize) -> Api {
        self.nodes[n].api()
    }

    /// Which of the running nodes leads.
    pub async fn leader(&self) -> usize {
        until("a leader", || async {
            for (n, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
                if node.api().get("/stats").await.body["node"]["is_leader"] == true {
                    return Some(n);
                }
            }
            None
        })
        .await
    }

    /// Nodes that run and are not `n`.
    pub fn others(&self, n: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| *other != n && self.nodes[*other].is_running()).collect()
    }

    /// Waits until a node is ready.
    pub async fn ready(&self, n: usize) {
        let api = self.api(n);
        until("ready", || async { (api.get_root("/readyz").await.status == 200).then_some(()) }).await;
    }

    /// Waits until a node has everything that the leader has applied by now.
    pub async fn caught_up(&self, n: usize) {
        let leader = self.leader().await;
        let index = applied(&self.api(leader).get("/stats").await.ok());
        let api = self.api(n);
        until("caught up", || async { (applied(&api.get("/stats").await.body) >= index).then_some(()) }).await;
    }
}

/// Waits until a node has everything that another has applied by now.
pub async fn caught_up_with(node: &Api, other: &Api) {
    let index = applied(&other.get("/stats").await.ok());
    until("caught up", || async { (applied(&node.get("/stats").await.body) >= index).then_some(()) }).await;
}

fn applied(stats: &Value) -> u64 {
    stats["log"]["applied_index"].as_u64().unwrap_or(0)
}

/// So many sockets were reached, on all nodes. On a busy machine not every node may have counted in time.
#[track_caller]
pub fn assert_reached(told: &Answer, sockets: u64) {
    let count = told.body["recipients"].as_u64();
    let is_right = if told.body["partial"] == true { count <= Some(sockets) } else { count == Some(sockets) };
    assert!(told.status == 202 && is_right, "{sockets} were to be reached: {told:?}");
}

/// Titles of what a user has, in ascending order of ids.
pub async fn titles(api: &Api, user: &str) -> Vec<String> {
    let all = crate::support::inbox::of(api, user).await;
    all.values().map(|item| item["title"].as_str().expect("a title").to_owned()).collect()
}

/// Stores a notification, asking again with its key while nobody can: an election may be under way.
pub async fn stored(api: &Api, user: &str, title: &str) {
    let (body, key) = (notification(user, title, 10), format!("{user}-{}", title.replace(' ', "-")));
    until(title, || async {
        let answer = api.call(Method::POST, "/api/v1/notifications", Some(&body), Some(&key)).await.expect("answered");
        assert!([201, 502, 503, 504].contains(&answer.status), "{answer:?}");
        (answer.status == 201).then_some(())
    })
    .await;
}

/// A notification's body.
pub fn notification(user: &str, title: &str, bytes: usize) -> Value {
    json!({"user_id": user, "title": title, "message": "x".repeat(bytes)})
}
