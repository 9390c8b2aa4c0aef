//! `carillon serve`: arguments become settings; `crate::app` does the rest.

use super::{Exit, Failure, environment};
use crate::config::{Config, Flag, load};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

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
/// NOT CONNECTED YET: loads and checks the settings, and returns them; `crate::app::serve(config)` goes here.
///
/// # Errors
/// When the settings have mistakes.
pub fn run(arguments: &Arguments) -> Result<Config, Failure> {
    let config = arguments.load()?;
    crate::telemetry::logs::init(&config.log);
    Ok(config)
}
