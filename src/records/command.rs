//! What the log carries: commands in batches, and what each is answered.
//!
//! These types are stored in the log and replicated: variants and fields are only ever appended.

use crate::protocol::{NodeId, SessionId, Tenant, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// One log entry: commands that were proposed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The node that proposed it.
    pub node: NodeId,
    /// That node's boot.
    pub epoch: u64,
    /// Ascends within the boot; a repeat is dropped.
    pub sequence: u64,
    /// At most [`crate::protocol::Pos::COMMANDS_PER_ENTRY_MAX`].
    pub commands: Vec<Command>,
}

/// One change, with everything that its effect depends on: applying it reads no clock and no setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Whose data.
    pub tenant: Tenant,
    /// When it was proposed; becomes `created_at` and the like.
    pub at: Timestamp,
    /// Makes a retry harmless.
    pub idempotency: Option<Idempotency>,
    /// The change.
    pub op: Op,
}

/// A retry's identity: the caller's key within its route, and what was asked with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// SHA-256 of route and key.
    pub key: [u8; 32],
    /// SHA-256 of the body.
    pub body: [u8; 32],
}

/// The changes. JSON payloads are validated text, kept as they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// One notification to each of these users, all or nothing.
    SendNotification {
        /// Receivers.
        users: Vec<UserId>,
        /// At most 200 characters.
        title: String,
        /// Free text.
        message: String,
        /// One of [`crate::protocol::event::LEVELS`].
        level: String,
        /// A JSON value.
        data: String,
    },
    /// Set the read state of one notification.
    SetRead {
        /// Whose.
        user: UserId,
        /// Which.
        id: u64,
        /// Read, or unread again.
        read: bool,
        /// The socket that asked; it hears nothing of it.
        actor: Option<SessionId>,
    },
    /// Mark everything of a user as read.
    ReadAll {
        /// Whose.
        user: UserId,
        /// The socket that asked; it hears nothing of it.
        actor: Option<SessionId>,
    },
    /// Delete one notification.
    DeleteNotification {
        /// Whose.
        user: UserId,
        /// Which.
        id: u64,
    },
    /// Forget a user's notifications beyond the newest `keep` (0: no bound) and those before `before`.
    Expire {
        /// Whose.
        user: UserId,
        /// Newest that stay; 0: all.
        keep: u64,
        /// Older ones go.
        before: Option<Timestamp>,
    },
    /// Merge into a user's dashboard and show it.
    UpdateDashboard {
        /// Whose.
        user: UserId,
        /// A JSON object.
        data: String,
    },
    /// Update or make a subscription row, add to its history and show it.
    UpdateSubscription {
        /// Whose.
        user: UserId,
        /// A JSON object.
        data: String,
    },
    /// Keep a payment and show it.
    RecordPayment {
        /// Whose.
        user: UserId,
        /// A JSON object.
        data: String,
    },
    /// Keep an expiry warning and show it.
    WarnOfExpiry {
        /// Whose.
        user: UserId,
        /// A JSON object.
        data: String,
    },
    /// Keep the admin dashboard's latest data and show it.
    UpdateAdminDashboard {
        /// A JSON value.
        data: String,
    },
    /// Keep an alert for admins and show it.
    RaiseAlert {
        /// One of [`crate::protocol::event::ALERT_TYPES`].
        alert_type: String,
        /// A JSON value.
        data: String,
    },
    /// The backend states what a user is; `None` leaves a field as it is.
    PutUser {
        /// Who.
        user: UserId,
        /// Login name.
        username: Option<String>,
        /// First name.
        first_name: Option<String>,
        /// Last name.
        last_name: Option<String>,
        /// May sign in.
        is_active: Option<bool>,
        /// May open admin endpoints.
        is_staff: Option<bool>,
    },
    /// A verified token says what a user is.
    SeeUser {
        /// Who.
        user: UserId,
        /// Login name.
        username: String,
        /// First name.
        first_name: String,
        /// Last name.
        last_name: String,
        /// May open admin endpoints.
        is_staff: bool,
        /// When the token was issued: an older one does not undo what the backend stated since.
        issued_at: Option<Timestamp>,
    },
    /// Refuse tokens of this user that were issued before now.
    RevokeTokens {
        /// Whose.
        user: UserId,
    },
    /// Erase what is kept about a user, a bounded part at a time; repeat until nothing is left.
    EraseUser {
        /// Whom.
        user: UserId,
    },
    /// A node has started: the batch that carries this begins its new boot, and ends the earlier ones.
    NodeStarted,
    /// A user's first presence socket on a node.
    ComeOnline {
        /// Who.
        user: UserId,
        /// On which node.
        node: NodeId,
        /// In which of its boots.
        epoch: u64,
    },
    /// A user's last presence socket on a node has been gone for the grace time.
    GoOffline {
        /// Who.
        user: UserId,
        /// On which node.
        node: NodeId,
        /// In which of its boots.
        epoch: u64,
        /// When the socket went; `None` after a crash: then the last known activity counts.
        seen: Option<Timestamp>,
        /// Last inbound frame, if known better than what is stored.
        activity: Option<Timestamp>,
    },
    /// Last inbound frames of some users.
    NoteActivity {
        /// Who and when.
        users: Vec<(UserId, Timestamp)>,
    },
    /// Name this store's history, unless it has a name: what resumes hold their positions against.
    BeginHistory {
        /// Drawn at random.
        id: u64,
    },
    /// Forget the oldest events of the journal, a bounded part at a time.
    TrimJournal {
        /// The last bucket that goes.
        through: u64,
    },
    /// A node with this data directory is one of the cluster; refused if its id has ever been another's.
    EnterNode {
        /// Which.
        node: NodeId,
        /// Of its data directory.
        incarnation: [u8; 16],
    },
    /// A node was taken out of the cluster, for ever.
    RemoveNode {
        /// Which.
        node: NodeId,
    },
}

impl Op {
    /// About how many bytes of rows and frames applying it makes; what is packed together is bounded by it.
    pub fn weight(&self) -> usize {
        /// Keys, fields of fixed size, bookkeeping.
        const ROW: usize = 512;
        match self {
            Self::SendNotification { users, title, message, level: _, data } => {
                // The notification, and its event in the journal.
                users.len() * 2 * (ROW + title.len() + message.len() + data.len())
            }
            Self::UpdateDashboard { data, .. }
            | Self::UpdateSubscription { data, .. }
            | Self::RecordPayment { data, .. }
            | Self::WarnOfExpiry { data, .. }
            | Self::UpdateAdminDashboard { data }
            | Self::RaiseAlert { data, .. } => 2 * (ROW + data.len()),
            Self::NoteActivity { users } => users.len() * ROW,
            _ => ROW,
        }
    }
}

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
