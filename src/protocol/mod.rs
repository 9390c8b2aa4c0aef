//! The wire protocol as pure values: ids, groups, frames in, frames out, close codes.
//!
//! No I/O, no clock, no async: everything here is a function over values.

mod close;
mod endpoint;
mod group;
mod ids;
mod time;
pub mod websocket;

pub use close::Close;
pub use endpoint::Endpoint;
pub use group::{Group, GroupName, UnknownGroup};
pub use ids::{IdError, NodeId, Pos, SessionId, Tenant, UserId};
pub use time::Timestamp;
