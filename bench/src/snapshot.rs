//! What a snapshot does to writers: the longest time in which none of them got an answer while one was written, and in
//! as long a time without one, on the same data.

use crate::{
    Result,
    child::Server,
    http::Caller,
    notify::{Until, create},
    report::{Report, percentile},
};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const CALLERS: usize = 256;
const BOUND: &str = "CARILLON_STORAGE__SNAPSHOT_LOG_BYTES";
/// More than the log ever has: no snapshot.
const NEVER: (&str, &str) = (BOUND, "1099511627776");
/// Less than the log has: a snapshot right after the start.
const AT_ONCE: (&str, &str) = (BOUND, "16777216");
/// Writers run for so long before anything is measured.
const WARM_UP: Duration = Duration::from_millis(500);
/// The file is there, but not all that follows from it has happened: taking notice of it, checking it.
const AFTERMATH: Duration = Duration::from_millis(500);
/// How long a snapshot may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(binary: &Path, notifications: usize, writers: usize) -> Result<Report> {
    let data = tempfile::tempdir()?;
    let server = Server::start_with(binary, data.path(), &[NEVER]).await?;
    create(server.at, CALLERS, Until::Each(notifications.div_ceil(CALLERS))).await?;
    server.kill().await?;

    let server = Server::start_with(binary, data.path(), &[AT_ONCE]).await?;
    let writing = Writing::start(server.at, writers).await?;
    let snapshots = data.path().join("snapshots");
    let begun = seen(&snapshots, "tmp").await?;
    let written = seen(&snapshots, "snap").await?;
    tokio::time::sleep(AFTERMATH).await;
    let during = writing.stop((begun, written + AFTERMATH)).await?;
    let bytes = fs::read_dir(&snapshots)?.flatten().filter_map(|file| Some(file.metadata().ok()?.len())).sum::<u64>();
    server.kill().await?;

    let server = Server::start_with(binary, data.path(), &[NEVER]).await?;
    let writing = Writing::start(server.at, writers).await?;
    tokio::time::sleep(WARM_UP).await;
    let (from, window) = (Instant::now(), written + AFTERMATH - begun);
    tokio::time::sleep(window).await;
    let without = writing.stop((from, from + window)).await?;
    server.kill().await?;

    let mut report = Report::default();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    #[allow(clippy::cast_precision_loss)]
    report.add("snapshot: size", bytes as f64 / f64::from(1 << 20), "MiB");
    report.add("snapshot: time", milliseconds(written - begun), "ms");
    for (when, mut answers) in [("while it is written", during), ("without one", without)] {
        report.add(format!("{when}: longest gap between answers"), milliseconds(answers.longest_gap), "ms");
        report.add(format!("{when}: p50"), percentile(&mut answers.latencies, 50.0), "ms");
        report.add(format!("{when}: p99.9"), percentile(&mut answers.latencies, 99.9), "ms");
        #[allow(clippy::cast_precision_loss)]
        let per_second = answers.latencies.len() as f64 / window.as_secs_f64();
        report.add(format!("{when}: notifications per second"), per_second, "");
    }
    Ok(report)
}

/// When a file with this extension was first there.
async fn seen(dir: &Path, extension: &str) -> Result<Instant> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if fs::read_dir(dir)?.flatten().any(|file| file.path().extension().is_some_and(|it| it == extension)) {
            return Ok(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err(format!("no .{extension} in {} after {PATIENCE:?}", dir.display()).into())
}

/// What writers were answered in a window.
struct Answers {
    longest_gap: Duration,
    /// Milliseconds of each call.
    latencies: Vec<f64>,
}

/// Writers at work.
struct Writing {
    stop: Arc<AtomicBool>,
    /// When each call was answered, and after how long.
    writers: JoinSet<Result<Vec<(Instant, Duration)>>>,
}

impl Writing {
    async fn start(at: SocketAddr, writers: usize) -> Result<Self> {
        let mut writing = Self { stop: Arc::default(), writers: JoinSet::new() };
        for user in 0..writers {
            let (mut caller, stop) = (Caller::connect(at).await?, writing.stop.clone());
            let body = format!(r#"{{"user_id":{user},"title":"Backup finished","message":"All volumes were saved."}}"#);
            writing.writers.spawn(async move {
                let mut answered = Vec::new();
                while !stop.load(Relaxed) {
                    let called = Instant::now();
                    caller.post_ok("/api/v1/notifications", &body).await?;
                    answered.push((Instant::now(), called.elapsed()));
                }
                Result::Ok(answered)
            });
        }
        Ok(writing)
    }

    async fn stop(mut self, (from, to): (Instant, Instant)) -> Result<Answers> {
        self.stop.store(true, Relaxed);
        let mut answered = Vec::new();
        while let Some(writer) = self.writers.join_next().await {
            answered.extend(writer??);
        }
        answered.retain(|(at, _)| (from..=to).contains(at));
        answered.sort_unstable();
        let times = std::iter::once(from).chain(answered.iter().map(|(at, _)| *at)).chain([to]);
        let gaps = times.clone().zip(times.skip(1)).map(|(one, next)| next - one);
        let longest_gap = gaps.max().unwrap_or_default();
        Ok(Answers { longest_gap, latencies: answered.iter().map(|(_, took)| took.as_secs_f64() * 1_000.0).collect() })
    }
}
