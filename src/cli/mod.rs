//! The command line: arguments in, one command run, an exit code out.
//!
//! What a command makes goes to standard output, what it has to say to standard error.

mod backup;
mod client;
mod cluster;
mod config;
mod duration;
mod exit;
mod import;
mod key;
mod ping;
mod progress;
mod reload;
pub mod serve;
mod token;

pub use exit::{Exit, Failure};

use clap::{Parser, Subcommand, error::ErrorKind};
use std::{io::Write, process::ExitCode};

/// A realtime server in one binary: WebSocket sessions, groups, notifications, presence.
#[derive(Debug, Parser)]
#[command(name = "carillon", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 64 usage, 65 bad data, 69 unavailable, 70 internal, 78 configuration.\n\
                          To try it out: carillon serve --dev";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Arguments),
    /// Print a signed token (JWT) for a user.
    Token(token::Arguments),
    /// Make keys for the server API.
    #[command(subcommand)]
    Key(key::Command),
    /// Check a configuration, or show what can be configured.
    #[command(subcommand)]
    Config(config::Command),
    /// Copy everything of a running server, or of a stopped one's directory, into one file.
    Backup(backup::Backup),
    /// Make a data directory from a backup.
    Restore(backup::Restore),
    /// Take over users, notifications and presence from a file of Django's dumpdata.
    Import(import::Arguments),
    /// Ask a server's /readyz whether it is ready for traffic.
    Ping(ping::Arguments),
    /// Look at a cluster, add a node to it, take one out.
    Cluster(cluster::Arguments),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error).into(),
    };
    let done = match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Key(command) => key::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Backup(arguments) => backup::back_up(&arguments),
        Command::Restore(arguments) => backup::restore(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Ping(arguments) => ping::run(&arguments),
        Command::Cluster(arguments) => cluster::run(&arguments),
    };
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            complain(&failure.message);
            failure.exit.into()
        }
    }
}

/// Help and version were asked for; everything else is a mistake on the command line.
fn usage(error: &clap::Error) -> Exit {
    // Nothing is left to tell if the terminal is gone.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    }
}

/// One thread is enough for a command that asks a server.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Internal, format!("no runtime: {error}")))
}

/// Prints a result. A reader that has gone (`| head`) is no error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "carillon: {}", text.trim_end());
}

/// The environment, without the names that are no text; the loader passes over all that are not its own.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
