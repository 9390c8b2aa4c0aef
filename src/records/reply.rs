//! What commands are answered. Kept with idempotency keys and replicated: variants and fields are only ever appended.

use super::{command::Op, import::ImportOutcome};
use crate::protocol::{NodeId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// What a command is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done; nothing to tell.
    Done,
    /// The notifications that were made, in the order asked, all at the same time.
    Created {
        /// Receiver and id.
        notifications: Vec<(UserId, u64)>,
        /// Their `created_at`.
        created_at: Timestamp,
    },
    /// A read state or a deletion.
    Inbox {
        /// Whether the notification exists (true where none was named).
        found: bool,
        /// Whether anything changed.
        changed: bool,
        /// The count afterwards.
        unread: u64,
    },
    /// A subscription row's id, as JSON text.
    Subscription {
        /// Given by the backend, or made here.
        id: String,
    },
    /// An alert's id.
    Alert {
        /// Ascends per tenant, from 1.
        id: u64,
    },
    /// Erasing or expiring did a bounded part.
    Progress {
        /// How many rows went.
        removed: u64,
        /// Whether to ask again.
        more: bool,
    },
    /// The answer to the first call with this idempotency key.
    Replayed(Box<Reply>),
    /// Refused by the state machine; nothing changed.
    Rejected(Rejection),
    /// The batch was applied before.
    Repeated,
    /// [`Reply::Created`] as it is kept for retries: the users stand in the retried command, ids follow each other.
    CreatedFrom {
        /// The id of the first.
        first: u64,
        /// Their `created_at`.
        created_at: Timestamp,
    },
    /// A user's row as it was written.
    User {
        /// Login name.
        username: String,
        /// First name.
        first_name: String,
        /// Last name.
        last_name: String,
        /// May sign in.
        is_active: bool,
        /// May open admin endpoints.
        is_staff: bool,
    },
    /// What came of an import.
    Imported {
        /// Of each record, in order.
        outcomes: Vec<ImportOutcome>,
        /// How far ids are above the other system's keys.
        shift: u64,
    },
}

impl Reply {
    /// As it is kept for retries: small, however many users the command had.
    pub(crate) fn packed(&self) -> Self {
        match self {
            Self::Created { notifications, created_at } => {
                let first = notifications.first().map_or(0, |(_, id)| *id);
                Self::CreatedFrom { first, created_at: *created_at }
            }
            other => other.clone(),
        }
    }

    /// The first answer again, for a retry of the command that it answered.
    pub(crate) fn unpacked(self, op: &Op) -> Self {
        match (self, op) {
            (Self::CreatedFrom { first, created_at }, Op::SendNotification { users, .. }) => {
                Self::Created { notifications: users.iter().cloned().zip(first..).collect(), created_at }
            }
            (other, _) => other,
        }
    }
}

/// Why the state machine refused a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The idempotency key came with another body before.
    #[error("this Idempotency-Key was used before with another body: send the same body, or a new key")]
    KeyReused,
    /// What would be stored is larger than a row may be.
    #[error("the stored {what} would have {bytes} bytes; at most {max} are kept")]
    TooLarge {
        /// What.
        what: String,
        /// How large it would be.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// A subscription update names no row and no plan.
    #[error("data needs a \"plan_name\" (or the \"id\" of a subscription that exists)")]
    NoPlan,
    /// A bound on rows.
    #[error("a user has at most {max} {what}")]
    TooMany {
        /// Of what.
        what: String,
        /// The bound.
        max: u64,
    },
    /// A bound on tickets.
    #[error("{max} tickets of this tenant are waiting to be used; they expire within seconds: try again then")]
    TooManyTickets {
        /// The bound.
        max: u64,
    },
    /// Never issued, used before, or expired: nobody learns which.
    #[error("this ticket is not valid: it was used, it has expired, or there never was one")]
    TicketGone,
    /// The node was wiped: its id belongs to a data directory that is gone.
    #[error(
        "node {node} has lost the data directory that it joined the cluster with, and with it what it had promised: \
         take it out (`carillon cluster remove {node}`), give the machine a new server.node_id and an empty data \
         directory, and add it again"
    )]
    Wiped {
        /// Which.
        node: NodeId,
    },
    /// The node was taken out.
    #[error(
        "node {node} was removed from this cluster, and its id is never used again: give the machine a new \
         server.node_id and an empty data directory, and add it again"
    )]
    Removed {
        /// Which.
        node: NodeId,
    },
}
