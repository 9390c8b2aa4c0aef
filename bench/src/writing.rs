//! Writers that run while something else happens: the longest time in which none of them got an answer, and what each call took.

use crate::{
    Result,
    http::Caller,
    report::{Report, percentile},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Pause of a writer that was refused for the moment.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// What writers were answered in a window.
pub(crate) struct Answers {
    /// Between two good answers, whoever got them.
    pub(crate) longest_gap: Duration,
    /// Milliseconds of each call.
    latencies: Vec<f64>,
    window: Duration,
    /// Calls that were refused for the moment, from the beginning.
    pub(crate) refused: usize,
}

impl Answers {
    /// Adds what they say of the time in which something went on.
    pub(crate) fn report(mut self, when: &str, report: &mut Report) {
        report.add(format!("{when}: longest gap between answers"), milliseconds(self.longest_gap), "ms");
        report.add(format!("{when}: p50"), percentile(&mut self.latencies, 50.0), "ms");
        report.add(format!("{when}: p99.9"), percentile(&mut self.latencies, 99.9), "ms");
        #[allow(clippy::cast_precision_loss)]
        let per_second = self.latencies.len() as f64 / self.window.as_secs_f64();
        report.add(format!("{when}: notifications per second"), per_second, "");
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Writers at work.
pub(crate) struct Writing {
    stop: Arc<AtomicBool>,
    writers: JoinSet<Result<Written>>,
}

/// What one writer was answered.
#[derive(Default)]
struct Written {
    /// When each call was answered, and after how long.
    answered: Vec<(Instant, Duration)>,
    refused: usize,
}

impl Writing {
    /// So many writers, each with one call under way, to these addresses in turn. A call that is refused for the moment
    /// (503) is made again; any other refusal ends the run.
    pub(crate) async fn start(places: &[SocketAddr], writers: usize) -> Result<Self> {
        let mut writing = Self { stop: Arc::default(), writers: JoinSet::new() };
        for (user, at) in (0..writers).zip(places.iter().cycle()) {
            let (mut caller, stop) = (Caller::connect(*at).await?, writing.stop.clone());
            let body = format!(r#"{{"user_id":{user},"title":"Backup finished","message":"All volumes were saved."}}"#);
            writing.writers.spawn(async move {
                let mut written = Written::default();
                while !stop.load(Relaxed) {
                    let called = Instant::now();
                    match caller.post("/api/v1/notifications", &body).await? {
                        (200..300, _) => written.answered.push((Instant::now(), called.elapsed())),
                        (503, _) => {
                            written.refused += 1;
                            tokio::time::sleep(RETRY_PAUSE).await;
                        }
                        (status, answer) => return Err(format!("a writer was refused: {status} {answer}").into()),
                    }
                }
                Result::Ok(written)
            });
        }
        Ok(writing)
    }

    /// Ends them: what they were answered between the two.
    pub(crate) async fn stop(mut self, (from, to): (Instant, Instant)) -> Result<Answers> {
        self.stop.store(true, Relaxed);
        let (mut answered, mut refused) = (Vec::new(), 0);
        while let Some(writer) = self.writers.join_next().await {
            let written = writer??;
            answered.extend(written.answered);
            refused += written.refused;
        }
        answered.retain(|(at, _)| (from..=to).contains(at));
        answered.sort_unstable();
        let times = std::iter::once(from).chain(answered.iter().map(|(at, _)| *at)).chain([to]);
        let gaps = times.clone().zip(times.skip(1)).map(|(one, next)| next - one);
        let longest_gap = gaps.max().unwrap_or_default();
        let latencies = answered.iter().map(|(_, took)| milliseconds(*took)).collect();
        Ok(Answers { longest_gap, latencies, window: to - from, refused })
    }
}
