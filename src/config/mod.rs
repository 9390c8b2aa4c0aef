//! Settings: raw text → typed values, every mistake at once.
//!
//! A TOML file, then the environment, then flags; the later wins. One table (`schema.rs`) names every setting with
//! its meaning and its range, and drives reading, `config default`, `config env` and the "did you mean".
//! What comes out of [`load()`] is valid; an embedding program may also fill [`Config`] itself.

mod auth;
mod changes;
mod checks;
mod cluster;
#[cfg(test)]
mod cluster_tests;
mod describe;
mod jwks;
mod jwt_entry;
mod jwt_key;
#[cfg(test)]
mod jwt_tests;
mod keys;
pub mod limits;
mod live;
mod load;
mod log_filter;
mod mistake;
mod origin;
mod public_key;
mod raw;
mod read;
mod schema;
mod secret;
mod sections;
mod target;
#[cfg(test)]
mod tests;
mod webhook;

pub use auth::{ApiKey, Auth, Scope};
pub use changes::{Changes, changes};
pub(crate) use cluster::peer_address;
pub use cluster::{Cluster, ClusterTls};
pub use describe::{default_toml, environment_help};
pub use jwks::{Jwk, JwkSet, JwksOrigin};
pub use jwt_key::{JwksUrl, JwtAlgorithm, JwtKey, KeySource};
pub use limits::Limits;
pub use live::Live;
pub use load::{Flag, load};
pub use mistake::{Mistake, Mistakes, Place};
pub use origin::OriginPattern;
pub(crate) use origin::split_host_port;
pub(crate) use public_key::KeyMaterial;
pub use public_key::VerificationKey;
pub use sections::{Config, Drain, Kept, Log, Presence, Retention, Server, Storage, Tls};
pub use target::{Target, TargetError};
pub use webhook::Webhook;
