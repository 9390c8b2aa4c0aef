//! SIGHUP while the server runs: the settings are read again from file and environment, and count, or none of them does.

use super::{Failure, serve::Arguments};
use crate::{
    app::Reloader,
    config::{Config, KeySource},
    telemetry::names::RELOADS,
};
use std::io::IsTerminal;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hangups, as they come.
pub(super) struct Hangups {
    signal: Signal,
    /// Started from a terminal: its end is a hangup, too.
    had_terminal: bool,
}

impl Hangups {
    /// Heard from now on.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { signal: signal(SignalKind::hangup())?, had_terminal: std::io::stdin().is_terminal() })
    }

    /// Reloads at every SIGHUP. Completes when the terminal that the server was started from is gone: then a hangup
    /// means what it always meant.
    pub(super) async fn reload(mut self, arguments: &Arguments, reloader: Reloader) {
        while self.signal.recv().await.is_some() {
            if self.had_terminal && !std::io::stdin().is_terminal() {
                tracing::info!("the terminal is gone");
                return;
            }
            reload_once(arguments, &reloader).await;
        }
    }
}

async fn reload_once(arguments: &Arguments, reloader: &Reloader) {
    tracing::info!("SIGHUP: reading the settings again");
    let arguments = arguments.clone();
    // Files may lie on a slow disk.
    let loaded = tokio::task::spawn_blocking(move || arguments.load()).await;
    let result = match loaded {
        Ok(Ok(config)) => {
            warn_of_skipped_keys(&config);
            match reloader.reload(config).await {
                Ok(changes) => Ok(changes),
                Err(error) => Err(error.to_string()),
            }
        }
        Ok(Err(Failure { message, .. })) => Err(message),
        Err(error) => Err(format!("the settings could not be read: {error}")),
    };
    match result {
        Ok(changes) => {
            if !changes.waiting.is_empty() {
                tracing::warn!(settings = changes.waiting.join(", "), "these settings wait for a restart");
            }
            tracing::info!(changed = changes.applied.join(", "), "settings reloaded");
            metrics::counter!(RELOADS, "result" => "ok").increment(1);
        }
        Err(message) => {
            for line in message.lines() {
                tracing::error!("{}", line.trim());
            }
            tracing::error!("the settings were not reloaded; the server goes on with those it has");
            metrics::counter!(RELOADS, "result" => "refused").increment(1);
        }
    }
}

/// Keys of a file that are not used, and why; those of an address are said when it has answered.
pub(super) fn warn_of_skipped_keys(config: &Config) {
    for entry in &config.auth.jwt {
        if let KeySource::File(set) = &entry.source {
            for why in &set.skipped {
                tracing::warn!(entry = entry.id, "a key of jwks_file is not used: {why}");
            }
        }
    }
}
