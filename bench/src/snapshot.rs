//! What a snapshot does to writers: the longest time in which none of them got an answer while one was written, and in
//! as long a time without one, on the same data.

use crate::{
    Result,
    child::Server,
    notify::{Until, create},
    report::Report,
    writing::{Writing, milliseconds},
};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

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
    let writing = Writing::start(&[server.at], writers).await?;
    let snapshots = data.path().join("snapshots");
    let begun = seen(&snapshots, "tmp").await?;
    let written = seen(&snapshots, "snap").await?;
    tokio::time::sleep(AFTERMATH).await;
    let during = writing.stop((begun, written + AFTERMATH)).await?;
    let bytes = fs::read_dir(&snapshots)?.flatten().filter_map(|file| Some(file.metadata().ok()?.len())).sum::<u64>();
    server.kill().await?;

    let server = Server::start_with(binary, data.path(), &[NEVER]).await?;
    let writing = Writing::start(&[server.at], writers).await?;
    tokio::time::sleep(WARM_UP).await;
    let (from, window) = (Instant::now(), written + AFTERMATH - begun);
    tokio::time::sleep(window).await;
    let without = writing.stop((from, from + window)).await?;
    server.kill().await?;

    let mut report = Report::default();
    #[allow(clippy::cast_precision_loss)]
    report.add("snapshot: size", bytes as f64 / f64::from(1 << 20), "MiB");
    report.add("snapshot: time", milliseconds(written - begun), "ms");
    during.report("while it is written", &mut report);
    without.report("without one", &mut report);
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
