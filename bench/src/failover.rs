//! What callers at the other nodes notice of a leader that is killed, or stopped as a service manager would: the longest
//! time in which none of them got an answer.

use crate::{
    Result,
    cluster::Cluster,
    report::{Report, percentile},
    writing::{Writing, milliseconds},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Writers run for so long before the leader goes, and after another one answers.
const AROUND: Duration = Duration::from_secs(1);
/// Longer than anything here takes: the new leader has been found by then.
const AFTER: Duration = Duration::from_secs(4);

/// How a leader goes.
#[derive(Clone, Copy)]
enum Going {
    Killed,
    Stopped,
}

pub(crate) async fn run(binary: &Path, rounds: usize, writers: usize) -> Result<Report> {
    let mut cluster = Cluster::start(binary).await?;
    let mut report = Report::default();
    for (going, name) in [(Going::Killed, "killed"), (Going::Stopped, "stopped")] {
        let (mut gaps, mut refused, mut back) = (Vec::new(), 0, Vec::new());
        for _ in 0..rounds {
            let leader = cluster.leader().await?;
            let server = cluster.take(leader)?;
            let writing = Writing::start(&cluster.places(), writers).await?;
            tokio::time::sleep(AROUND).await;
            let begun = Instant::now();
            match going {
                Going::Killed => server.kill().await?,
                Going::Stopped => server.stop().await?,
            }
            tokio::time::sleep_until((begun + AFTER).into()).await;
            let answers = writing.stop((begun, Instant::now())).await?;
            gaps.push(milliseconds(answers.longest_gap));
            refused += answers.refused;
            back.push(milliseconds(cluster.bring_back(leader).await?));
        }
        let name = |what: &str| format!("a leader is {name}: {what}");
        report.add(name("longest gap, p50"), percentile(&mut gaps, 50.0), "ms");
        report.add(name("longest gap, the longest"), percentile(&mut gaps, 100.0), "ms");
        #[allow(clippy::cast_precision_loss)]
        report.add(name("calls refused for the moment"), refused as f64, "");
        report.add(name("ready again, p50"), percentile(&mut back, 50.0), "ms");
    }
    Ok(report)
}
