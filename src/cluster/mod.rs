//! The log and its replication: the only place that names openraft.
//!
//! [`node`](self) starts and stops it · `proposer` packs commands into entries · `log_store` and `state_machine` are
//! openraft's two storages · `node` starts, keeps house and stops · `recover` decides what a directory is worth · `snapshot` cuts the log.

mod codec;
mod log_store;
mod lone;
mod metrics;
mod node;
mod proposer;
mod recover;
mod snapshot;
mod state_machine;
#[cfg(test)]
mod suite;
mod types;

pub use node::{Figures, Node, StartError, Surroundings};
pub use recover::RecoverError;
