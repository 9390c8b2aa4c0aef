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
const PUBLISHERS: u32 = 32;
/// Events per second of the steady loads.
const RATES: [u32; 2] = [50, 300];
/// One of so many subscribers notes how old its frames are.
const TIMED_ONE_IN: usize = 20;
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
        tokio::spawn(receive(stream, tallies.clone(), nth % TIMED_ONE_IN == 0));
    }
    tallies.settle().await;
    let mut report = Report::default();
    #[allow(clippy::cast_precision_loss)]
    report.add("connect: server CPU per connection", (server.cpu()? - before) * 1e6 / subscribers as f64, "µs");
    let load = Load { server: &server, tallies: &tallies, subscribers, seconds };
    load.measure("saturated", load.saturate(), &mut report).await?;
    for rate in RATES {
        load.measure(&format!("{rate}/s"), load.steady(rate), &mut report).await?;
    }
    #[allow(clippy::cast_precision_loss)]
    report.add("connections lost", tallies.ended.load(Relaxed) as f64, "");
    Ok(report)
}

struct Load<'a> {
    server: &'a Server,
    tallies: &'a Arc<Tallies>,
    subscribers: usize,
    seconds: u64,
}

impl Load<'_> {
    /// `load` says how many events were accepted.
    async fn measure(&self, name: &str, load: impl Future<Output = Result<u64>>, report: &mut Report) -> Result<()> {
        self.tallies.settle().await;
        self.tallies.take_ages();
        let (cpu, frames, begun) = (self.server.cpu()?, self.tallies.frames.load(Relaxed), Instant::now());
        let accepted = load.await?;
        let elapsed = begun.elapsed().as_secs_f64();
        // What was accepted and has not arrived yet belongs to it, as does the CPU for it.
        self.tallies.settle().await;
        let cpu = self.server.cpu()? - cpu;
        #[allow(clippy::cast_precision_loss)]
        let (delivered, due) =
            ((self.tallies.frames.load(Relaxed) - frames) as f64, accepted as f64 * self.subscribers as f64);
        let mut ages = self.tallies.take_ages();
        report.add(format!("{name}: deliveries per server CPU second"), delivered / cpu / 1e3, "k");
        report.add(format!("{name}: deliveries per second"), delivered / elapsed / 1e3, "k");
        report.add(format!("{name}: p50"), percentile(&mut ages, 50.0), "ms");
        report.add(format!("{name}: p99"), percentile(&mut ages, 99.0), "ms");
        report.add(format!("{name}: dropped of what was accepted"), (due - delivered) * 100.0 / due, "%");
        Ok(())
    }

    /// As much as the server accepts.
    async fn saturate(&self) -> Result<u64> {
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let mut publishers = tokio::task::JoinSet::new();
        for _ in 0..PUBLISHERS {
            let (mut caller, tallies) = (Caller::connect(self.server.at).await?, self.tallies.clone());
            publishers.spawn(async move {
                let mut accepted = 0;
                while Instant::now() < until {
                    match caller.post(SEND, &event(&tallies)).await? {
                        (200..300, _) => accepted += 1,
                        (429 | 503, _) => {}
                        (status, answer) => return Err(format!("POST {SEND}: {status} {answer}").into()),
                    }
                }
                Result::Ok(accepted)
            });
        }
        let mut accepted = 0;
        while let Some(publisher) = publishers.join_next().await {
            accepted += publisher??;
        }
        Ok(accepted)
    }

    /// So many events per second, evenly, however long an answer takes.
    async fn steady(&self, rate: u32) -> Result<u64> {
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let between = Duration::from_secs(1) / rate;
        let mut publishers = tokio::task::JoinSet::new();
        for nth in 0..PUBLISHERS {
            let (mut caller, tallies) = (Caller::connect(self.server.at).await?, self.tallies.clone());
            let (every, offset) = (between * PUBLISHERS, between * nth);
            publishers.spawn(async move {
                let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + offset, every);
                let mut accepted = 0;
                while Instant::now() < until {
                    tick.tick().await;
                    caller.post_ok(SEND, &event(&tallies)).await?;
                    accepted += 1;
                }
                Result::Ok(accepted)
            });
        }
        let mut accepted = 0;
        while let Some(publisher) = publishers.join_next().await {
            accepted += publisher??;
        }
        Ok(accepted)
    }
}

fn event(tallies: &Tallies) -> String {
    let sent_at = tallies.now();
    format!(r#"{{"type":"system_update","data":{{{SENT_AT}{sent_at},"filler":"{:x<120}"}}}}"#, "")
}
