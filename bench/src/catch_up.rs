//! A node that was away for many notifications comes back by a snapshot, while writers go on at another: how long it
//! takes, and the longest time in which no writer got an answer meanwhile.

use crate::{
    Result,
    cluster::Cluster,
    http::Caller,
    report::Report,
    writing::{Writing, milliseconds},
};
use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

/// Notifications in one request, each a command of its own.
const TOGETHER: usize = 500;
const CALLERS: usize = 4;
const USERS: usize = 10_000;
/// As long as nothing is measured, and as long as the comparison takes.
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(10);

pub(crate) async fn run(binary: &Path, notifications: usize, writers: usize) -> Result<Report> {
    let mut cluster = Cluster::start(binary).await?;
    let leader = cluster.leader().await?;
    let away = (leader + 1) % 3;
    cluster.take(away)?.kill().await?;
    let at = cluster.server(leader)?.at;
    let begun = Instant::now();
    fill(at, notifications).await?;
    let mut report = Report::default();
    report.add("stored meanwhile", milliseconds(begun.elapsed()), "ms");

    let writing = Writing::start(&[at], writers).await?;
    tokio::time::sleep(WARM_UP).await;
    let from = Instant::now();
    tokio::time::sleep(WINDOW).await;
    let without = writing.stop((from, Instant::now())).await?;

    let writing = Writing::start(&[at], writers).await?;
    tokio::time::sleep(WARM_UP).await;
    let from = Instant::now();
    let took = cluster.bring_back(away).await?;
    let during = writing.stop((from, Instant::now())).await?;
    // It has one only if one was sent: it is too young to have written its own.
    let snapshots = fs::read_dir(cluster.data_dir(away).join("snapshots"))?.flatten();
    let bytes: u64 = snapshots.filter_map(|file| Some(file.metadata().ok()?.len())).max().unwrap_or(0);
    if bytes == 0 {
        return Err("it caught up by the log: more notifications are needed before the log is cut".into());
    }
    #[allow(clippy::cast_precision_loss)]
    report.add("snapshot: size", bytes as f64 / f64::from(1 << 20), "MiB");
    report.add("ready again", milliseconds(took), "ms");
    during.report("while it catches up", &mut report);
    without.report("while it is away", &mut report);
    Ok(report)
}

/// Stores so many notifications.
async fn fill(at: SocketAddr, notifications: usize) -> Result<()> {
    let mut callers = tokio::task::JoinSet::new();
    let requests = notifications.div_ceil(TOGETHER);
    for nth in 0..CALLERS {
        let mut caller = Caller::connect(at).await?;
        callers.spawn(async move {
            for request in (nth..requests).step_by(CALLERS) {
                let mut body = r#"{"calls":["#.to_owned();
                for n in 0..TOGETHER {
                    let (comma, user) = (if n == 0 { "" } else { "," }, (request * TOGETHER + n) % USERS);
                    write!(
                        body,
                        r#"{comma}{{"call":"send_notification","args":{{"user_id":{user},"title":"Backup finished","message":"All volumes were saved, and nothing was left out.","level":"success"}}}}"#
                    )?;
                }
                body += "]}";
                let answer = caller.post_ok("/api/v1/batch", &body).await?;
                let stored = answer.matches(r#""status":201"#).count();
                if stored != TOGETHER {
                    return Err(format!("{stored} of {TOGETHER} were stored: {}", answer.chars().take(300).collect::<String>()).into());
                }
            }
            Result::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}
