//! How long a killed server takes to come back with many notifications on its disk, and that it has them.

use crate::{
    Result,
    child::Server,
    http::Caller,
    notify::{Until, create},
    report::Report,
};
use std::path::Path;

const CALLERS: usize = 256;

pub(crate) async fn run(binary: &Path, notifications: usize) -> Result<Report> {
    let data = tempfile::tempdir()?;
    let server = Server::start(binary, data.path()).await?;
    let mut report = Report::default();
    report.add("ready, empty", server.ready_after.as_secs_f64() * 1_000.0, "ms");
    let made = create(server.at, CALLERS, Until::Each(notifications.div_ceil(CALLERS))).await?;
    server.kill().await?;

    let server = Server::start(binary, data.path()).await?;
    #[allow(clippy::cast_precision_loss)]
    report.add("notifications", made.len() as f64, "");
    report.add("ready after kill -9", server.ready_after.as_secs_f64() * 1_000.0, "ms");
    report.add("memory", server.memory()? / f64::from(1 << 20), "MiB");

    // Ids count up from 1, so the next one tells how many there were.
    let answer = Caller::connect(server.at)
        .await?
        .post_ok("/api/v1/notifications", r#"{"user_id":1,"title":"after","message":"the restart"}"#)
        .await?;
    let next = serde_json::from_str::<serde_json::Value>(&answer)?["id"].as_u64().ok_or("no id")?;
    if next != made.len() as u64 + 1 {
        return Err(format!("{} notifications were answered, but the next id is {next}", made.len()).into());
    }
    Ok(report)
}
