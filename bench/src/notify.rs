//! Durable notifications: how many a second are answered, how long each takes, at three concurrencies.

use crate::{
    Result,
    child::Server,
    http::Caller,
    report::{Report, percentile},
};
use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

const CALLERS: [usize; 3] = [1, 64, 1_024];
const USERS: usize = 10_000;

pub(crate) async fn run(binary: &Path, seconds: u64) -> Result<Report> {
    let mut report = Report::default();
    for callers in CALLERS {
        let data = tempfile::tempdir()?;
        let server = Server::start(binary, data.path()).await?;
        let (cpu, begun) = (server.cpu()?, Instant::now());
        let mut latencies = create(server.at, callers, Until::Time(Duration::from_secs(seconds))).await?;
        let (elapsed, cpu) = (begun.elapsed().as_secs_f64(), server.cpu()? - cpu);
        #[allow(clippy::cast_precision_loss)]
        let count = latencies.len() as f64;
        let name = |what: &str| format!("{callers} callers: {what}");
        report.add(name("notifications per second"), count / elapsed, "");
        report.add(name("p50"), percentile(&mut latencies, 50.0), "ms");
        report.add(name("p99"), percentile(&mut latencies, 99.0), "ms");
        report.add(name("server CPU per notification"), cpu * 1e6 / count, "µs");
    }
    Ok(report)
}

/// When to stop creating.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Time(Duration),
    /// Each caller has made so many.
    Each(usize),
}

/// Creates notifications over `callers` connections; the time of each call in milliseconds.
pub(crate) async fn create(at: SocketAddr, callers: usize, until: Until) -> Result<Vec<f64>> {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..callers {
        let mut caller = Caller::connect(at).await?;
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            let more = |made: usize| match until {
                Until::Time(limit) => begun.elapsed() < limit,
                Until::Each(count) => made < count,
            };
            while more(latencies.len()) {
                let user = (nth * 7_919 + latencies.len()) % USERS;
                let body = format!(
                    r#"{{"user_id":{user},"title":"Backup finished","message":"All {nth} volumes were saved.","level":"success","data":{{"n":{nth}}}}}"#
                );
                let called = Instant::now();
                caller.post_ok("/api/v1/notifications", &body).await?;
                latencies.push(called.elapsed().as_secs_f64() * 1_000.0);
            }
            Result::Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}
