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
//! - [`jwks`]: key sets that others keep, fetched and refreshed.
//! - [`outbound`]: calls that the server makes to others.
//! - [`webhook`]: the app's word on who a handshake is from.
//! - [`config`], [`telemetry`], [`cli`]: settings, logs and counters, the command line.
//! - [`tally`], [`wall_clock`]: how many were reached, what time it is; known to all who need them.
//! - [`app`]: the only place where the parts are wired together.
//!
//! # Inside another program
//!
//! A program starts a [`app::Server`] with a [`config::Config`] and, if it likes, routes of its own, and sends through
//! [`http::Api`], whose methods are the calls of the server API without HTTP:
//!
//! ```no_run
//! use carillon::{
//!     app::Server,
//!     config::Config,
//!     http::calls::{Receivers, SendNotification},
//!     protocol::{Tenant, UserId},
//! };
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start(Config::default(), axum::Router::new()).await?;
//! let api = server.api().clone();
//! tokio::spawn(server.run_until(async { let _ = tokio::signal::ctrl_c().await; }));
//! let hello = SendNotification {
//!     to: Receivers::One(UserId::new("42")?),
//!     title: "Hello".into(),
//!     message: "It works".into(),
//!     level: "info".into(),
//!     data: serde_json::value::RawValue::from_string("{}".into())?,
//! };
//! let done = api.send_notification(&Tenant::default(), hello).await?;
//! println!("{} sockets have it", done.recipients.count);
//! # Ok(())
//! # }
//! ```

pub mod app;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod endpoints;
pub mod http;
pub mod jwks;
pub mod outbound;
mod planted;
pub mod protocol;
pub mod records;
pub mod session;
pub mod tally;
pub mod telemetry;
pub mod transport;
pub mod wall_clock;
pub mod webhook;
