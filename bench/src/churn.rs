//! Whether memory stays level while nothing lasts: sockets are opened and closed on all six endpoints of three nodes.
//!
//! The first connections fill what is bounded (caches of the tables and the log, the journal); after that the resident
//! memory must not grow. It is printed at each tenth of the run, and reported at the first tenth and at the end.

use crate::{
    Result,
    cluster::Cluster,
    receiver::{ENDPOINTS, open},
    report::Report,
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// Sockets that are open at the same time.
const AT_ONCE: usize = 64;
/// Users that connect, each on every endpoint.
const USERS: usize = 1_000;
/// Looks at the memory during a run.
const LOOKS: usize = 10;
/// How long the nodes may rest before each look, so that what is under way is over.
const REST: Duration = Duration::from_secs(2);

pub(crate) async fn run(binary: &Path, connections: usize) -> Result<Report> {
    let cluster = Cluster::start(binary).await?;
    let leader = cluster.leader().await?;
    let mut tokens = Vec::new();
    for user in 0..USERS {
        tokens.push(cluster.server(0)?.token(1_000 + user).await?);
    }
    let tokens: Arc<[String]> = tokens.into();
    let places: Arc<[_]> = cluster.places().into();
    let mut report = Report::default();
    let mut looks = Vec::new();
    for look in 1..=LOOKS {
        let next = Arc::new(AtomicUsize::new(connections * (look - 1) / LOOKS));
        let end = connections * look / LOOKS;
        let openers = (0..AT_ONCE).map(|_| {
            let (next, tokens, places) = (next.clone(), tokens.clone(), places.clone());
            tokio::spawn(async move {
                loop {
                    let nth = next.fetch_add(1, Relaxed);
                    if nth >= end {
                        return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(());
                    }
                    let path = ENDPOINTS[nth % ENDPOINTS.len()];
                    drop(open(places[nth % places.len()], path, &tokens[nth / ENDPOINTS.len() % USERS]).await?);
                }
            })
        });
        for opener in openers.collect::<Vec<_>>() {
            opener.await??;
        }
        tokio::time::sleep(REST).await;
        let memory = (0..places.len()).map(|node| cluster.server(node)?.memory()).collect::<Result<Vec<_>>>()?;
        let shown: Vec<String> = memory.iter().map(|bytes| format!("{:.1}", bytes / f64::from(1 << 20))).collect();
        eprintln!("{end} connections: {} MiB", shown.join(", "));
        looks.push(memory);
    }
    for (what, look) in [("the first tenth", looks.first()), ("all", looks.last())] {
        for (node, bytes) in look.into_iter().flatten().enumerate() {
            let role = if node == leader { "leader" } else { "follower" };
            report.add(format!("memory after {what}, node {}, {role}", node + 1), bytes / f64::from(1 << 20), "MiB");
        }
    }
    Ok(report)
}
