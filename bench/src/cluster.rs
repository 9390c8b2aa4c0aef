//! Three servers that are one cluster.

use crate::{Result, child::Server, http::Caller};
use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const NODES: usize = 3;
/// How long anything here may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The nodes that run, and where each keeps its data.
pub(crate) struct Cluster {
    binary: PathBuf,
    peers: Vec<SocketAddr>,
    data: Vec<TempDir>,
    /// By the node's number, less one; `None` while it is down.
    nodes: Vec<Option<Server>>,
}

impl Cluster {
    /// Started, formed and ready.
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        // All are held until each has its own.
        let held = (0..NODES).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
        let peers = held.iter().map(TcpListener::local_addr).collect::<std::io::Result<_>>()?;
        drop(held);
        let data = (0..NODES).map(|_| tempfile::tempdir()).collect::<std::io::Result<_>>()?;
        let mut cluster = Self { binary: binary.to_owned(), peers, data, nodes: Vec::new() };
        let (one, two, three) = tokio::try_join!(cluster.launch(0), cluster.launch(1), cluster.launch(2))?;
        cluster.nodes = vec![Some(one), Some(two), Some(three)];
        Ok(cluster)
    }

    async fn launch(&self, node: usize) -> Result<Server> {
        let peers: Vec<String> = self.peers.iter().enumerate().map(|(n, at)| format!("{}={at}", n + 1)).collect();
        let settings = [
            ("CARILLON_SERVER__NODE_ID", (node + 1).to_string()),
            ("CARILLON_CLUSTER__LISTEN", self.peers[node].to_string()),
            ("CARILLON_CLUSTER__SECRET", "the secret of the bench's nodes, 32 bytes".to_owned()),
            ("CARILLON_CLUSTER__PEERS", peers.join(",")),
            ("CARILLON_DRAIN__SECONDS", "0".to_owned()),
            // So that the log is cut before the machine's disk is full.
            ("CARILLON_STORAGE__SNAPSHOT_LOG_BYTES", (16_u64 << 20).to_string()),
            ("CARILLON_LOG__LEVEL", "error".to_owned()),
        ];
        Server::start_with(&self.binary, self.data[node].path(), &settings).await
    }

    /// Starts one that is down: how long it took until it was ready.
    pub(crate) async fn bring_back(&mut self, node: usize) -> Result<Duration> {
        let server = self.launch(node).await?;
        let took = server.ready_after;
        self.nodes[node] = Some(server);
        Ok(took)
    }

    /// Takes one out, to be killed or stopped.
    pub(crate) fn take(&mut self, node: usize) -> Result<Server> {
        self.nodes[node].take().ok_or_else(|| format!("node {} does not run", node + 1).into())
    }

    /// Where those are reached that run.
    pub(crate) fn places(&self) -> Vec<SocketAddr> {
        self.nodes.iter().flatten().map(|server| server.at).collect()
    }

    pub(crate) fn server(&self, node: usize) -> Result<&Server> {
        self.nodes[node].as_ref().ok_or_else(|| format!("node {} does not run", node + 1).into())
    }

    pub(crate) fn data_dir(&self, node: usize) -> &Path {
        self.data[node].path()
    }

    /// Who leads, once all that run agree and the leader has applied all that it has.
    pub(crate) async fn leader(&self) -> Result<usize> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let mut said = Vec::new();
            for at in self.places() {
                let (_, answer) = Caller::connect(at).await?.get_with_key("/api/v1/cluster").await?;
                said.push(serde_json::from_str::<serde_json::Value>(&answer)?["leader"].as_u64());
            }
            if let Some(Some(leader)) = said.first()
                && said.iter().all(|one| one == &said[0])
                && let Ok(node) = usize::try_from(leader - 1)
                && self.nodes[node].is_some()
            {
                return Ok(node);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err("the nodes do not agree who leads".into())
    }
}
