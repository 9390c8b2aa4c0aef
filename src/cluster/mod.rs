//! The log and its replication: the only place that names openraft.
//!
//! [`node`](self) starts and stops it · `proposer` packs commands into entries, `leader` takes them · `log_store` and
//! `state_machine` are openraft's two storages · `recover` decides what a directory is worth · `snapshot` cuts the log ·
//! `backup` and `restore` make a copy and a directory of it.
//! With company: `identity` is who a node is, `links` connect nodes, `network` is openraft's use of them, `transfer` brings
//! snapshots over, `service` answers peers, `membership` says who belongs, `status` tells of them, `lease` who is still there, `elections` and `handover` who
//! leads next, `features` what all understand;
//! `edges` tells the others which groups have members here, `outward` and `inward` carry events (`held`: in their order), `counts` whom they reached; `wire` is what is said, `ask` asks,
//! `quorum` counts majorities, `reads` asks how far a node must be to know all that was answered. `lone` is none of that.

mod ask;
mod backup;
mod clocks;
mod codec;
mod counts;
mod edges;
mod elections;
mod features;
mod handover;
mod held;
mod identity;
mod inward;
mod leader;
mod lease;
mod links;
mod log_store;
mod lone;
mod membership;
mod metrics;
mod network;
mod node;
mod outward;
mod peer_message;
mod proposer;
mod quorum;
mod reads;
mod recover;
mod restore;
mod service;
mod snapshot;
mod state_machine;
mod status;
#[cfg(test)]
mod suite;
mod transfer;
mod types;
mod wire;
#[cfg(test)]
mod wire_tests;

pub use backup::{Header, HeaderError, OfflineError, Stopped, back_up_directory};
pub use identity::{ClusterId, IdentityError};
pub use links::LinkTlsError;
pub use node::{Backup, BackupError, ClusterStatus, Figures, Node, StartError, Surroundings};
pub use recover::RecoverError;
pub use restore::{RestoreError, restore};
pub use snapshot::BuildError;
pub use status::MemberStatus;
pub use wire::ChangeError;
