//! `carillon serve`: arguments become settings; `crate::app` does the rest.

use super::{
    Exit, Failure, environment,
    reload::{Hangups, warn_of_skipped_keys},
};
use crate::{
    app::{Server, ServerError},
    cluster::{IdentityError, RecoverError, StartError},
    config::{Config, Flag, load},
};
use carillon_storage::NoteError;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Flags of `serve`. They override the environment, which overrides the file.
#[derive(Args, Clone, Debug, Default)]
pub struct Arguments {
    /// Settings, a TOML file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of WebSocket and HTTP [default: 127.0.0.1:8000].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Where everything that must survive is kept [default: ./carillon-data].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A node of the cluster that this one is to join; it says by itself when it has.
    #[arg(long, value_name = "HOST:PORT")]
    pub join: Option<String>,
    /// Development: this machine only, a secret and a key that everybody knows, demo users and pages.
    #[arg(long)]
    pub dev: bool,
    /// For people, or one JSON object per line [default: human].
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// error, warn, info, debug, trace, or a filter by module [default: info].
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line per event, coloured on a terminal.
    Human,
    /// One JSON object per event.
    Json,
}

impl Arguments {
    /// The settings of file, environment and these flags.
    ///
    /// # Errors
    /// Every mistake, with its place and what would be right; exit code 78.
    pub fn load(&self) -> Result<Config, Failure> {
        Ok(load(self.config.as_deref(), environment(), &self.flags()?)?)
    }

    fn flags(&self) -> Result<Vec<Flag>, Failure> {
        let data_dir = self.data_dir.as_ref().map(|dir| {
            dir.to_str().map(str::to_owned).ok_or_else(|| {
                Failure::new(Exit::Usage, format!("--data-dir {} is no UTF-8: choose another name", dir.display()))
            })
        });
        let format = self.log_format.map(|format| match format {
            LogFormat::Human => "human".to_owned(),
            LogFormat::Json => "json".to_owned(),
        });
        let given = [
            ("--listen", "server.listen", self.listen.clone()),
            ("--data-dir", "server.data_dir", data_dir.transpose()?),
            ("--join", "cluster.join", self.join.clone()),
            ("--dev", "server.dev", self.dev.then(|| "true".to_owned())),
            ("--log-format", "log.format", format),
            ("--log-level", "log.level", self.log_level.clone()),
        ];
        let flag = |(name, path, value): (_, _, Option<_>)| value.map(|value| Flag { name, path, value });
        Ok(given.into_iter().filter_map(flag).collect())
    }
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// Mistakes in the settings, an address that is taken, damaged data, a failure on the way; each with its exit code.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.load()?;
    crate::telemetry::logs::init(&config.log);
    warn_of_skipped_keys(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(Exit::Internal, format!("threads cannot be started: {e}")))?;
    runtime.block_on(async {
        let stop = stop_signal().map_err(|e| Failure::new(Exit::Internal, format!("signals cannot be heard: {e}")))?;
        let hangups =
            Hangups::listen().map_err(|e| Failure::new(Exit::Internal, format!("signals cannot be heard: {e}")))?;
        let banner = Banner::of(&config);
        tokio::pin!(stop);
        // A node may wait long for the others; what it has on disk is whole at any time.
        let server = tokio::select! {
            started = Server::start(config, axum::Router::new()) => started.map_err(|error| failure(&error))?,
            () = &mut stop => return Ok(()),
        };
        banner.print(server.address());
        let reloader = server.reloader();
        let stop = async {
            tokio::select! {
                () = stop => {}
                () = hangups.reload(arguments, reloader) => {}
            }
        };
        server.run_until(stop).await.map_err(|error| failure(&error))
    })
}

/// Completes at the first SIGTERM or SIGINT; the second one ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        one_of(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            one_of(&mut terminate, &mut interrupt).await;
            super::complain(
                "stopped at once, as a second signal asked: sockets were cut, nothing that was stored is lost",
            );
            std::process::exit(i32::from(Exit::Done.code()));
        });
    })
}

async fn one_of(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn failure(error: &ServerError) -> Failure {
    let exit = match error {
        ServerError::Listen { .. }
        | ServerError::Start(
            StartError::Listen { .. } | StartError::Directory { .. } | StartError::Recover(RecoverError::InUse { .. }),
        ) => Exit::Unavailable,
        ServerError::Tls(_)
        | ServerError::Trust(_)
        | ServerError::Jwks(_)
        | ServerError::Start(StartError::LinkTls(_)) => Exit::Config,
        // A restart changes nothing: somebody must decide.
        ServerError::Refused(_)
        | ServerError::Start(
            StartError::Refused(_)
            | StartError::NeedsCluster { .. }
            | StartError::TooOld { .. }
            | StartError::Identity(IdentityError::OtherNode { .. }),
        ) => Exit::Config,
        ServerError::Start(StartError::Recover(recover)) if recover.is_damage() => Exit::Data,
        ServerError::Start(StartError::Identity(IdentityError::Note(NoteError::Damaged { .. }))) => Exit::Data,
        ServerError::Start(StartError::Stopped) => Exit::Done,
        ServerError::Start(_) | ServerError::Failed => Exit::Internal,
    };
    Failure::new(exit, error.to_string())
}

/// The first lines on the terminal: where to look and what to try.
struct Banner {
    is_dev: bool,
    scheme: &'static str,
}

impl Banner {
    fn of(config: &Config) -> Self {
        let scheme = if config.server.tls.is_some() { "https" } else { "http" };
        Self { is_dev: config.server.dev, scheme }
    }

    fn print(&self, address: std::net::SocketAddr) {
        let at = format!("{}://{address}", self.scheme);
        if !self.is_dev {
            return super::print(&format!("Carillon is ready on {at}"));
        }
        super::print(&format!(
            "Carillon is ready, in development mode (this machine only; secret and key are public).\n\n  \
             Open   {at}/  in two windows: one as alice, one as bob.\n  \
             Try    curl -H 'Authorization: Bearer dev' {at}/api/v1/notifications \\\n              \
             -H 'Content-Type: application/json' \\\n              \
             -d '{{\"user_id\": 1, \"title\": \"Hello\", \"message\": \"It works\"}}'\n\n\
             Stop with Ctrl-C."
        ));
    }
}
