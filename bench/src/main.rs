//! Load generator: starts the real server as a child, drives one scenario, prints medians of several runs.
//!
//! ```text
//! cargo build --release && cargo run --release -p carillon-bench -- fanout
//! ```

mod catch_up;
mod child;
mod churn;
mod cluster;
mod failover;
mod fanout;
mod http;
mod idle;
mod ingest;
mod notify;
mod receiver;
mod report;
mod restart;
mod snapshot;
mod writing;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Anything that goes wrong ends the run with its message.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// The server to measure.
    #[arg(long, global = true, default_value = "target/release/carillon")]
    server: PathBuf,
    /// Runs of which the medians are printed.
    #[arg(long, global = true, default_value_t = 3)]
    runs: usize,
    /// Prints JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Memory of idle connections: each has sent and received 32 KiB, then nothing for a while.
    Idle {
        /// Connections, spread over the six endpoints.
        #[arg(long, default_value_t = 5_000)]
        connections: usize,
        /// Seconds of silence before the measurement.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// One publisher's events to many subscribers of one group.
    Fanout {
        /// Subscribers.
        #[arg(long, default_value_t = 1_000)]
        subscribers: usize,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 8)]
        seconds: u64,
    },
    /// Durable notifications: each answered once it is committed.
    Notify {
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// The longest pause between two answers to writers while a snapshot is written, and without one.
    Snapshot {
        /// Notifications on the disk when it begins.
        #[arg(long, default_value_t = 100_000)]
        notifications: usize,
        /// Writers, each with one call under way.
        #[arg(long, default_value_t = 16)]
        writers: usize,
    },
    /// A node of three is away for many notifications and comes back by a snapshot: how long, and what writers notice.
    CatchUp {
        /// Notifications that it misses.
        #[arg(long, default_value_t = 1_000_000)]
        notifications: usize,
        /// Writers, each with one call under way.
        #[arg(long, default_value_t = 4)]
        writers: usize,
    },
    /// The leader of three is killed, and stopped: how long nobody is answered at the others.
    Failover {
        /// How often each.
        #[arg(long, default_value_t = 20)]
        rounds: usize,
        /// Writers, each with one call under way.
        #[arg(long, default_value_t = 4)]
        writers: usize,
    },
    /// Memory of three nodes while sockets are opened and closed, and nothing lasts.
    Churn {
        /// Connections, spread over the nodes and the six endpoints.
        #[arg(long, default_value_t = 500_000)]
        connections: usize,
    },
    /// Calls through streams, against single requests.
    Ingest {
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// From start to ready with many notifications on the disk.
    Restart {
        /// Notifications.
        #[arg(long, default_value_t = 100_000)]
        notifications: usize,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut runs = Vec::new();
    for run in 1..=arguments.runs.max(1) {
        eprintln!("run {run} of {}", arguments.runs.max(1));
        runs.push(match arguments.scenario {
            Scenario::Idle { connections, seconds } => idle::run(&arguments.server, connections, seconds).await?,
            Scenario::Fanout { subscribers, seconds } => fanout::run(&arguments.server, subscribers, seconds).await?,
            Scenario::Notify { seconds } => notify::run(&arguments.server, seconds).await?,
            Scenario::Snapshot { notifications, writers } => {
                snapshot::run(&arguments.server, notifications, writers).await?
            }
            Scenario::CatchUp { notifications, writers } => {
                catch_up::run(&arguments.server, notifications, writers).await?
            }
            Scenario::Failover { rounds, writers } => failover::run(&arguments.server, rounds, writers).await?,
            Scenario::Churn { connections } => churn::run(&arguments.server, connections).await?,
            Scenario::Ingest { seconds } => ingest::run(&arguments.server, seconds).await?,
            Scenario::Restart { notifications } => restart::run(&arguments.server, notifications).await?,
        });
    }
    report::print(&runs, arguments.json);
    Ok(())
}
