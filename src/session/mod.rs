//! One connection: what it may do ([`state`]), what waits for it ([`outbox`]), the task that reads it (`task`).
//!
//! The broker holds [`Session`] handles and writes through them; a session's own task reads, and writes only what
//! the socket would not take at once.

mod boundary;
mod chunk;
mod clock;
mod handle;
pub mod metrics;
pub mod outbox;
pub(crate) mod rate;
mod reader;
mod resume;
pub mod state;
mod task;
mod v1;

pub use crate::broker::Interest;
pub use clock::Clock;
pub(crate) use handle::Flushed;
pub use handle::{Common, Session, Wire};
pub(crate) use reader::end_of;
pub use task::{Guest, House, Stream, begin};
