//! The balancers of `examples/cluster`, with nginx and HAProxy themselves before three nodes. Run by `make test-balancers`,
//! since not every machine has them.

use crate::{
    harness::{Cluster, free_addresses, stored},
    support::{Api, Options, Socket, User, socket::request, until},
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::{AtomicU8, Ordering},
    time::Instant,
};
use tempfile::TempDir;

const PATH: &str = "/ws/notifications/";
/// Of one address at one node. Nodes see a client's own address only if they believe what the balancer says.
const PER_ADDRESS: usize = 4;

/// A balancer's process, with the example's file before other addresses.
struct Balancer {
    child: Child,
    address: SocketAddr,
    _home: TempDir,
}

impl Balancer {
    fn start(file: &str, nodes: &[String], command: impl Fn(&Path, PathBuf) -> Command) -> Self {
        let example = format!("{}/examples/cluster/{file}", env!("CARGO_MANIFEST_DIR"));
        let mut settings = std::fs::read_to_string(example).expect("the example");
        let address = free_addresses(1).remove(0);
        let written = (1..=nodes.len()).map(|n| format!("127.0.0.1:800{n}")).chain(["127.0.0.1:8080".to_owned()]);
        for (written, real) in written.zip(nodes.iter().chain([&address])) {
            assert_eq!(settings.matches(&written).count(), 1, "{file} names {written} once");
            settings = settings.replace(&written, real);
        }
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join(file);
        std::fs::write(&path, settings).expect("written");
        let child = command(home.path(), path).spawn().expect("the balancer starts: see make test-balancers");
        Self { child, address: address.parse().expect("an address"), _home: home }
    }

    async fn socket(&self, source: Ipv4Addr) -> Result<Socket, String> {
        let user = User::named("1");
        let request = request(self.address, PATH, Some(&user.token()));
        let opened = Socket::open_from(IpAddr::V4(source), request, PATH, user).await;
        let mut socket = opened.map_err(|error| error.to_string())?;
        socket.skip_greeting().await;
        Ok(socket)
    }

    /// So many sockets, each from an address of its own; all must be let in.
    async fn sockets(&self, count: usize) -> Vec<Socket> {
        static SOURCES: AtomicU8 = AtomicU8::new(1);
        let mut sockets = Vec::new();
        for _ in 0..count {
            let source = Ipv4Addr::new(127, 0, 1, SOURCES.fetch_add(1, Ordering::Relaxed).max(1));
            sockets.push(self.socket(source).await.expect("let in"));
        }
        sockets
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs nginx: make test-balancers"]
async fn nginx_passes_over_a_node_that_is_gone_or_leaves() {
    passes_over("nginx.conf", |home, file| {
        let mut command = Command::new("nginx");
        // Without a master process: it is killed, and would leave its workers behind.
        command.arg("-p").arg(home).args(["-e", "stderr", "-g", "daemon off; master_process off;", "-c"]).arg(file);
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs haproxy: make test-balancers"]
async fn haproxy_passes_over_a_node_that_is_gone_or_leaves() {
    passes_over("haproxy.cfg", |_, file| {
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(file);
        command
    })
    .await;
}

async fn passes_over(file: &str, command: impl Fn(&Path, PathBuf) -> Command) {
    let settings = |options: Options| {
        let options = options.set("SERVER__TRUSTED_PROXIES", r#"["127.0.0.1"]"#).set("DRAIN__SECONDS", 2);
        options.set("LIMITS__CONNECTIONS_PER_ADDRESS", PER_ADDRESS)
    };
    let (mut cluster, addresses) = tokio::task::block_in_place(|| Cluster::start_at_addresses(settings));
    let balancer = Balancer::start(file, &addresses, command);
    until("the balancer", || async { balancer.socket(Ipv4Addr::LOCALHOST).await.ok() }).await;

    // They go where there are fewest, and each node counts them as the client's.
    let one = Ipv4Addr::new(127, 0, 0, 5);
    let mut sockets = Vec::new();
    for nth in 0..3 * PER_ADDRESS {
        sockets.push(balancer.socket(one).await.unwrap_or_else(|error| panic!("socket {nth}: {error}")));
    }
    let refused = balancer.socket(one).await.err().expect("one too many");
    assert!(refused.contains("429"), "{refused}");
    sockets.extend(balancer.sockets(3).await);

    let leader = cluster.leader().await;
    let (first, last) = (cluster.others(leader)[0], cluster.others(leader)[1]);
    for gone in [first, leader] {
        cluster.nodes[gone].kill();
        sockets.extend(balancer.sockets(6).await);
        stored(&Api::new(balancer.address), "1", &format!("{gone} is gone")).await;
        tokio::task::block_in_place(|| cluster.nodes[gone].start());
        let (api, back) = (cluster.api(gone), Instant::now());
        until("sockets at a node that is back", || async { sockets_at(&api, balancer.sockets(1).await).await }).await;
        println!("{file}: the first socket {:?} after node {} was ready", back.elapsed(), gone + 1);
    }
    // One that leaves has fewer and fewer, and answers handshakes with 503: it must not be where new ones end up.
    cluster.nodes[last].terminate();
    let api = cluster.api(last);
    until("leaving", || async { (api.get_root("/readyz").await.status == 503).then_some(()) }).await;
    sockets.extend(balancer.sockets(20).await);
    assert_eq!(tokio::task::block_in_place(|| cluster.nodes[last].ended()).code, Some(0));
    sockets.extend(balancer.sockets(6).await);
    stored(&Api::new(balancer.address), "1", "one has left").await;
}

/// Something, if a node has sockets while this one is open.
async fn sockets_at(api: &Api, open: Vec<Socket>) -> Option<()> {
    let sessions = api.get("/stats").await.ok()["sessions"].as_u64();
    drop(open);
    (sessions > Some(0)).then_some(())
}
