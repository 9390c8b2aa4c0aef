//! `carillon config`: what can be configured, and whether a file is right.

use super::{Failure, environment, print};
use crate::config::{default_toml, environment_help, load};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Report every mistake in a file (and in the environment), each with its place and what would be right.
    Check {
        /// A TOML file.
        file: PathBuf,
    },
    /// Print a file with every setting, its meaning and its default.
    Default,
    /// List the environment variables that override the file.
    Env,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Check { file } => {
            load(Some(file), environment(), &[])?;
            print(&format!("{}: no mistakes", file.display()));
        }
        Command::Default => print(&default_toml()),
        Command::Env => print(&environment_help()),
    }
    Ok(())
}
