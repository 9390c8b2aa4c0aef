//! Nodes as processes, each with a network of its own to every other: its list of peers has the proxies on its side.

use crate::{
    board::Board,
    disk::Disk,
    net::{ANYBODY, Network, Node, Plug},
    support::{Api, Options, Random, Server, until},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
};

pub const KEY_ID: &str = "chaos";
pub const SECRET: &str = "a secret for tests, of 32 bytes or more";
/// Ports that no system gives to outgoing connections: a node that is down must find its own again.
const PORTS: std::ops::Range<u64> = 12_000..30_000;

/// One node, running or not.
pub struct Member {
    pub server: Server,
    /// Of its API.
    pub address: SocketAddr,
    /// Where it listens for peers.
    listen: SocketAddr,
    /// Its own network, where this process may make one.
    pub plug: Option<Plug>,
    /// Its own file system, where this process may mount one.
    pub disk: Option<Disk>,
    pub is_paused: bool,
}

pub struct Cluster {
    pub members: BTreeMap<Node, Member>,
    pub network: Network,
    board: Arc<Board>,
    random: Random,
    last: Node,
}

impl Cluster {
    /// So many nodes that have formed a cluster.
    pub async fn start(count: u64, (board, network): (Arc<Board>, Network), seed: u64) -> Self {
        let (members, random) = (BTreeMap::new(), Random::new(seed));
        let mut cluster = Self { members, network, board, random, last: 0 };
        for _ in 0..count {
            cluster.prepare();
        }
        for node in cluster.nodes() {
            cluster.list_peers(node).await;
        }
        cluster.start_all();
        cluster.tell();
        cluster
    }

    /// Another node, that does not run yet.
    fn prepare(&mut self) -> Node {
        self.last += 1;
        let plug = self.network.plug(self.last);
        let at = plug.as_ref().map_or(Ipv4Addr::LOCALHOST, |plug| plug.address);
        let (address, listen) = (self.free_address(at), self.free_address(at));
        let disk = Disk::new();
        let hash: String = carillon::auth::hash_api_key("dev").iter().map(|byte| format!("{byte:02x}")).collect();
        // Development mode keeps to the loopback interface.
        let options = Options::default()
            .production()
            .by_way_of(plug.as_ref().map(Plug::prefix).unwrap_or_default())
            .set(
                "AUTH__API_KEYS",
                format!(r#"[{{id = "dev", hash = "{hash}", scopes = ["publish", "read", "admin", "cluster"]}}]"#),
            )
            .set("AUTH__JWT", format!(r#"[{{id = "{KEY_ID}", secret = "{SECRET}"}}]"#))
            .set("CLUSTER__PLAINTEXT", true)
            .set("SERVER__NODE_ID", self.last)
            .set("SERVER__LISTEN", address)
            .set("CLUSTER__LISTEN", listen)
            .set("CLUSTER__SECRET", SECRET)
            .set("DRAIN__SECONDS", 0)
            .set("PRESENCE__GRACE_SECONDS", 1)
            // Small, so that logs are cut and snapshots are sent.
            .set("STORAGE__SEGMENT_BYTES", 256 << 10)
            .set("STORAGE__SNAPSHOT_LOG_BYTES", 1 << 20)
            .set("STORAGE__RESERVE_BYTES", 8 << 20);
        let options = match &disk {
            Some(disk) => options.data_dir(&disk.data_dir()),
            None => options,
        };
        let server = options.prepare();
        self.members.insert(self.last, Member { server, address, listen, plug, disk, is_paused: false });
        self.last
    }

    fn free_address(&mut self, at: Ipv4Addr) -> SocketAddr {
        loop {
            let port = PORTS.start + self.random.below(PORTS.end - PORTS.start);
            let address = SocketAddr::from((at, u16::try_from(port).expect("a port")));
            let is_ours = |member: &Member| member.address == address || member.listen == address;
            // A node with a network of its own has all ports to itself.
            let is_free = !at.is_loopback() || TcpListener::bind(address).is_ok();
            if !self.members.values().any(is_ours) && is_free {
                return address;
            }
        }
    }

    /// The list of peers as this node has it from its next start on: itself, and its ways to the others.
    async fn list_peers(&mut self, node: Node) {
        let mut peers = Vec::new();
        let others: Vec<(Node, SocketAddr)> = self.members.iter().map(|(id, other)| (*id, other.listen)).collect();
        for (other, listen) in others {
            let at = if other == node { listen } else { self.network.way((node, other), listen).await };
            peers.push(format!("{other}={at}"));
        }
        self.member(node).server.set("CLUSTER__PEERS", peers.join(","));
    }

    /// Starts those that don't run, at once.
    pub fn start_all(&mut self) {
        tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                for member in self.members.values_mut().filter(|member| !member.server.is_running()) {
                    scope.spawn(|| member.server.start());
                }
            });
        });
    }

    /// Another node joins by way of a running one, which may not be the leader.
    pub async fn join(&mut self) -> Node {
        let (via, at) = self.members.iter().map(|(id, member)| (*id, member.listen)).next().expect("some");
        let node = self.prepare();
        let listen = self.members[&node].listen;
        let join = self.network.way((node, via), at).await;
        let advertise = self.network.way((ANYBODY, node), listen).await;
        let member = self.member(node);
        member.server.set("CLUSTER__JOIN", join);
        member.server.set("CLUSTER__ADVERTISE", advertise);
        tokio::task::block_in_place(|| member.server.start());
        self.tell();
        node
    }

    /// Stops one node after the other and starts it again, with a list of peers that has every member.
    pub async fn roll(&mut self) {
        for node in self.nodes() {
            self.list_peers(node).await;
            let member = self.member(node);
            tokio::task::block_in_place(|| {
                member.server.stop();
                member.server.start();
            });
            self.whole().await;
        }
    }

    /// Takes a node out for ever; what is left of it is forgotten.
    pub async fn remove(&mut self, node: Node) -> Member {
        let member = self.members.remove(&node).expect("a member");
        self.tell();
        let path = format!("/api/v1/cluster/members/{node}");
        let apis: Vec<Api> = self.running().into_iter().map(|other| self.api(other)).collect();
        until("a member is removed", || async {
            for api in &apis {
                let answer = api.call(reqwest::Method::DELETE, &path, None, None).await.ok();
                if answer.is_some_and(|answer| answer.status == 200) {
                    return Some(());
                }
            }
            None
        })
        .await;
        member
    }

    /// Clients are told whom there is to ask.
    fn tell(&self) {
        self.board.set_nodes(self.members.iter().map(|(id, member)| (*id, member.address)).collect());
    }

    pub fn member(&mut self, node: Node) -> &mut Member {
        self.members.get_mut(&node).expect("a member")
    }

    pub fn nodes(&self) -> Vec<Node> {
        self.members.keys().copied().collect()
    }

    /// Those that can answer.
    pub fn running(&self) -> Vec<Node> {
        let runs = |member: &Member| member.server.is_running() && !member.is_paused;
        self.members.iter().filter(|(_, member)| runs(member)).map(|(id, _)| *id).collect()
    }

    /// Whether every node's plug can be pulled.
    pub fn has_plugs(&self) -> bool {
        self.members.values().all(|member| member.plug.is_some())
    }

    /// Whether every node's disk can be filled.
    pub fn has_disks(&self) -> bool {
        self.members.values().all(|member| member.disk.is_some())
    }

    pub fn api(&self, node: Node) -> Api {
        Api::new(self.members[&node].address)
    }

    /// `GET /cluster` at a node; `None` if it does not answer.
    pub async fn status(&self, node: Node) -> Option<Value> {
        let answer = self.api(node).call(reqwest::Method::GET, "/api/v1/cluster", None, None).await.ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    /// The node that leads and knows it, and its term.
    pub async fn leader(&self) -> (Node, u64) {
        until("a leader", || async {
            for node in self.running() {
                let Some(status) = self.status(node).await else { continue };
                let is_ready = self.api(node).call(reqwest::Method::GET, "/readyz", None, None).await;
                if status["leader"] == node && is_ready.is_ok_and(|answer| answer.status == 200) {
                    return Some((node, status["term"].as_u64()?));
                }
            }
            None
        })
        .await
    }

    /// Waits until every node is ready, and reaches every other, who all vote.
    pub async fn whole(&self) {
        until("a whole cluster", || async { self.is_whole().await.then_some(()) }).await;
    }

    pub async fn is_whole(&self) -> bool {
        for node in self.nodes() {
            let api = self.api(node);
            let get = |path: &'static str| api.call(reqwest::Method::GET, path, None, None);
            let (Ok(ready), Ok(status)) = (get("/readyz").await, get("/api/v1/cluster").await) else { return false };
            let members = status.body["members"].as_array().cloned().unwrap_or_default();
            let is_well = |member: &Value| member["is_reachable"] == true && member["role"] == "voter";
            if ready.status != 200 || members.len() != self.members.len() || !members.iter().all(is_well) {
                return false;
            }
        }
        true
    }

    /// Starts those again whose disk has ended them, as whoever watches over them would; it may take a while to end.
    pub fn restart_failed(&mut self) {
        for member in self.members.values_mut().filter(|member| member.disk.is_some()) {
            if member.server.has_ended() {
                let ended = tokio::task::block_in_place(|| member.server.ended());
                assert_eq!(ended.code, Some(70), "a full disk has ended a node otherwise: {ended:#?}");
            }
        }
        self.start_all();
    }

    /// Waits until all nodes have applied the same, and nothing more comes.
    pub async fn level(&self) {
        let apis: Vec<Api> = self.nodes().into_iter().map(|node| self.api(node)).collect();
        until("the same applied index everywhere", || async {
            let mut indexes = Vec::new();
            for api in &apis {
                indexes.push(api.get("/cluster").await.ok()["applied_index"].as_u64()?);
            }
            indexes.iter().all(|index| *index == indexes[0]).then_some(())
        })
        .await;
    }
}
