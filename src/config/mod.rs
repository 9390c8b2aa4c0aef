//! Settings: raw text → typed values, every mistake at once.
//!
//! A TOML file, then the environment, then flags; the later wins. One table (`schema.rs`) names every setting with
//! its meaning and its range, and drives reading, `config default`, `config env` and the "did you mean".
//! What comes out of [`load()`] is valid; an embedding program may also fill [`Config`] itself.

mod auth;
mod checks;
mod cluster;
#[cfg(test)]
mod cluster_tests;
mod describe;
mod keys;
pub mod limits;
mod load;
mod mistake;
mod origin;
mod raw;
mod read;
mod schema;
mod sections;
#[cfg(test)]
mod tests;

pub use auth::{ApiKey, Auth, JwtAlgorithm, JwtKey, Scope};
pub(crate) use cluster::peer_address;
pub use cluster::{Cluster, ClusterTls};
pub use describe::{default_toml, environment_help};
pub use limits::Limits;
pub use load::{Flag, load};
pub use mistake::{Mistake, Mistakes, Place};
pub use origin::OriginPattern;
pub(crate) use origin::split_host_port;
pub use sections::{Config, Drain, Log, Presence, Retention, Server, Storage, Tls};
