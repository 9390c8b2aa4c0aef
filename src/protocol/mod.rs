//! The wire protocol as pure values: ids, groups, frames in, frames out, close codes.
//!
//! No I/O, no clock, no async: everything here is a function over values.

mod close;
pub mod edition;
mod endpoint;
pub mod event;
pub mod frames;
mod group;
pub mod handshake;
mod ids;
mod incoming;
mod time;
pub mod websocket;

pub use close::{Close, OtherServer};
pub use edition::{Cursor, Edition, InV1};
pub use endpoint::Endpoint;
pub use group::{Group, GroupName, UnknownGroup};
pub use ids::{IdError, JSON_INTEGER_MAX, NodeId, Pos, SessionId, Tenant, USER_ID_BYTES_MAX, UserId};
pub use incoming::{BadFrame, Message, NotificationRef, Request, Token, decode};
pub use time::Timestamp;
