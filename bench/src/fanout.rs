//! One group, many subscribers, frames of about 200 bytes: how many deliveries a second of the server's CPU makes,
//! and how late they are.

use crate::{
    Result,
    child::Server,
    http::Caller,
    receiver::{SENT_AT, Tallies, open, receive},
    report::{Report, percentile},
};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Callers that publish at once when as much as possible is published.
const PUBLISHERS: usize = 32;
/// Publishes per second of the modest load.
const MODEST_RATE: u32 = 50;
const SEND: &str = "/api/v1/groups/admin_dashboard/send";

pub(crate) async fn run(binary: &Path, subscribers: usize, seconds: u64) -> Result<Report> {
    let data = tempfile::tempdir()?;
    let server = Server::start(binary, data.path()).await?;
    let tallies = Tallies::new();
    let before = server.cpu()?;
    // A few users, so that they spread over the server's shards.
    let mut tokens = Vec::new();
    for user in 100..116 {
        tokens.push(server.token(user).await?);
    }
    for nth in 0..subscribers {
        let stream = open(server.at, "/ws/dashboard/admin/", &tokens[nth % tokens.len()]).await?;
        tokio::spawn(receive(stream, tallies.clone()));
    }
    tallies.settle().await;
    let mut report = Report::default();
    #[allow(clippy::cast_precision_loss)]
    report.add("connect: server CPU per connection", (server.cpu()? - before) * 1e6 / subscribers as f64, "µs");

    let measured = measure(&server, &tallies, saturate(&server, &tallies, seconds)).await?;
    report.add("saturated: deliveries per server CPU second", measured.per_cpu_second / 1e3, "k");
    report.add("saturated: deliveries per second", measured.per_second / 1e3, "k");
    tallies.settle().await;

    tallies.timing.store(true, Relaxed);
    let measured = measure(&server, &tallies, modest(&server, &tallies, seconds)).await?;
    let mut ages = tallies.take_ages();
    report.add(format!("{MODEST_RATE}/s: deliveries per server CPU second"), measured.per_cpu_second / 1e3, "k");
    report.add(format!("{MODEST_RATE}/s: p50"), percentile(&mut ages, 50.0), "ms");
    report.add(format!("{MODEST_RATE}/s: p99"), percentile(&mut ages, 99.0), "ms");
    report.add(format!("{MODEST_RATE}/s: deliveries per second"), measured.per_second / 1e3, "k");
    #[allow(clippy::cast_precision_loss)]
    report.add("connections lost", tallies.ended.load(Relaxed) as f64, "");
    Ok(report)
}

struct Measured {
    per_cpu_second: f64,
    per_second: f64,
}

async fn measure(server: &Server, tallies: &Tallies, load: impl Future<Output = Result<()>>) -> Result<Measured> {
    let (cpu, frames, begun) = (server.cpu()?, tallies.frames.load(Relaxed), Instant::now());
    load.await?;
    #[allow(clippy::cast_precision_loss)]
    let frames = (tallies.frames.load(Relaxed) - frames) as f64;
    Ok(Measured { per_cpu_second: frames / (server.cpu()? - cpu), per_second: frames / begun.elapsed().as_secs_f64() })
}

fn event(tallies: &Tallies) -> String {
    let sent_at = tallies.now();
    format!(r#"{{"type":"system_update","data":{{{SENT_AT}{sent_at},"filler":"{:x<120}"}}}}"#, "")
}

async fn saturate(server: &Server, tallies: &Arc<Tallies>, seconds: u64) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut publishers = tokio::task::JoinSet::new();
    for _ in 0..PUBLISHERS {
        let (mut caller, tallies) = (Caller::connect(server.at).await?, tallies.clone());
        publishers.spawn(async move {
            while Instant::now() < until {
                match caller.post(SEND, &event(&tallies)).await? {
                    (200..300 | 429 | 503, _) => {}
                    (status, answer) => return Err(format!("POST {SEND}: {status} {answer}").into()),
                }
            }
            Result::Ok(())
        });
    }
    while let Some(publisher) = publishers.join_next().await {
        publisher??;
    }
    Ok(())
}

async fn modest(server: &Server, tallies: &Tallies, seconds: u64) -> Result<()> {
    let mut caller = Caller::connect(server.at).await?;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / MODEST_RATE);
    for _ in 0..seconds * u64::from(MODEST_RATE) {
        tick.tick().await;
        caller.post_ok(SEND, &event(tallies)).await?;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    Ok(())
}
