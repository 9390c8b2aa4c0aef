//! The log and its replication: the only place that names openraft.
//!
//! [`node`](self) starts and stops it · `proposer` packs commands into entries · `log_store` and `state_machine` are
//! openraft's two storages · `backup` and `restore` make a copy and a directory of it · `node` starts, keeps house and stops · `recover` decides what a directory is worth · `snapshot` cuts the log.

mod backup;
mod codec;
mod log_store;
mod lone;
mod metrics;
mod node;
mod proposer;
mod recover;
mod restore;
mod snapshot;
mod state_machine;
#[cfg(test)]
mod suite;
mod types;

pub use backup::{Header, HeaderError, OfflineError, back_up_directory};
pub use node::{Backup, BackupError, Figures, Node, StartError, Surroundings};
pub use recover::RecoverError;
pub use restore::{RestoreError, restore};
pub use snapshot::BuildError;
