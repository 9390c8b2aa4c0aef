//! The wire protocol as pure values: ids, groups, frames in, frames out, close codes.
//!
//! No I/O, no clock, no async: everything here is a function over values.

mod close;
mod endpoint;
pub mod event;
pub mod frames;
mod group;
mod ids;
mod incoming;
mod time;
pub mod websocket;

pub use close::Close;
pub use endpoint::Endpoint;
pub use group::{Group, GroupName, UnknownGroup};
pub use ids::{IdError, JSON_INTEGER_MAX, NodeId, Pos, SessionId, Tenant, USER_ID_BYTES_MAX, UserId};
pub use incoming::{BadFrame, NotificationRef, Request, decode};
pub use time::Timestamp;
