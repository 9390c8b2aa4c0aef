//! Logs: for people on a terminal, or one JSON object per line. On standard error, so that what a command prints
//! stays apart from what it says.

use crate::config;
use std::{io::IsTerminal, sync::OnceLock};
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// Libraries that talk of every step; what the setting says of them comes later and wins. openraft complains ten times a
/// second of a peer that is away; the links say so once, and what stops a node the node says itself.
const QUIET: &str =
    "openraft=warn,openraft::replication=off,openraft::engine=off,openraft::core=off,openraft::raft=off,sled=warn";

/// Replaces the filter, once [`init`] has been the one.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging as configured. The first call counts: a program that embeds the server and logs already
/// keeps its own way, and so the answer is only whether this call was the one.
pub fn init(log: &config::Log) -> bool {
    let (filter, handle) = reload::Layer::new(filter(log));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr);
    let is_first = if log.json {
        registry.with(layer.json().flatten_event(true)).try_init().is_ok()
    } else {
        registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init().is_ok()
    };
    is_first && LEVEL.set(handle).is_ok()
}

/// Logs as much as `log.level` says from now on; not where a program that embeds the server logs its own way.
pub fn set_level(log: &config::Log) {
    if let Some(level) = LEVEL.get()
        && let Err(error) = level.reload(filter(log))
    {
        tracing::warn!(%error, "the level of logs stays as it was");
    }
}

/// The loader has checked it; a program that embeds the server may not have.
fn filter(log: &config::Log) -> EnvFilter {
    EnvFilter::try_new(format!("{QUIET},{}", log.level)).unwrap_or_else(|_| EnvFilter::new("info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starting_twice_is_harmless() {
        let log = config::Log { level: "not a [filter".into(), json: true };
        init(&log);
        assert!(!init(&log));
    }
}
