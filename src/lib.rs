//! Carillon: a realtime server in one binary.
//!
//! The map of the house, along the data path:
//!
//! ```text
//! socket → transport → protocol::decode → session → endpoints → broker / records
//!        → (cluster) → broker → outbox → socket
//! ```
//!
//! - [`protocol`]: pure values: ids, groups, frames in, frames out, close codes.
//! - [`auth`]: who is it (token, API key) and may it (origin, staff, tenant).
//! - [`transport`]: accept loop, TLS, HTTP upgrade; the only place that touches client sockets.
//! - [`session`]: one connection: pure state, the outbox, the task.
//! - [`endpoints`]: what each `/ws/` path does.
//! - [`broker`]: groups, their local members, fan-out.
//! - [`records`]: the replicated state machine, pure over a storage trait.
//! - [`cluster`]: the only place that names openraft.
//! - [`http`]: the server API, health, metrics, pages.
//! - [`config`], [`telemetry`], [`cli`]: settings, logs and counters, the command line.
//! - [`app`]: the only place where the parts are wired together.

pub mod app;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod endpoints;
pub mod http;
pub mod protocol;
pub mod records;
pub mod session;
pub mod telemetry;
pub mod transport;
