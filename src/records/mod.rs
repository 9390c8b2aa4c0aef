//! The replicated state machine: commands in log order → rows, answers, effects.
//!
//! Pure over a storage trait ([`carillon_storage::tables::Read`]): no I/O of its own, no clock, no openraft, and but
//! for the way in (`handle`, `proposer`, `barrier`) and `retention`, no tokio. Two nodes that apply the same log hold the same rows. Queries read the same rows.

pub mod alerts;
pub mod apply;
mod barrier;
mod clock;
pub mod command;
pub mod dashboard;
pub mod directory;
pub mod effect;
pub mod ended;
pub mod erase;
pub mod features;
pub mod groups;
mod handle;
mod idempotency;
pub mod import;
pub mod inbox;
pub mod journal;
mod json;
mod keys;
pub mod levels;
pub mod members;
pub mod presence;
mod progress;
mod proposer;
mod reply;
mod restored;
pub mod retention;
pub mod roster;
pub mod rows;
mod stamp;
pub mod subscriptions;
pub mod tickets;
mod txn;

#[cfg(test)]
mod apply_tests;
#[cfg(test)]
mod levels_tests;

pub use apply::apply_batch;
pub use barrier::{Asked, Barrier};
pub use command::{Batch, CLUSTER, Command, Idempotency, LevelBound, Op, TicketGrant};
pub use effect::{Effect, EffectKind};
pub use handle::Records;
pub use progress::Progress;
pub use proposer::{Committed, Pending, Proposal, ProposeError, Proposer};
pub use reply::{Rejection, Reply};
pub use restored::{restored, table_name};
pub use roster::Roster;

/// Why rows could not be read or written: the node cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The tables failed.
    #[error(transparent)]
    Tables(#[from] carillon_storage::tables::TableError),
    /// A command would write a row that no table takes. The command is refused; nobody sees this.
    #[error("a {row} row would have {bytes} bytes")]
    TooLarge {
        /// Which kind of row.
        row: &'static str,
        /// How large it would be.
        bytes: usize,
    },
    /// A row does not decode: damage, or a row written by a newer version.
    #[error("a stored {row} row cannot be read: {source}")]
    Row {
        /// Which kind of row.
        row: &'static str,
        /// What the codec says.
        source: carillon_storage::codec::CodecError,
    },
}
