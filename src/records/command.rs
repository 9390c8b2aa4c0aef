//! What the log carries: commands in batches.
//!
//! These types are stored in the log and replicated: variants and fields are only ever appended.

use super::import::ImportRecord;
use crate::protocol::{Group, GroupName, NodeId, SessionId, Tenant, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// Who proposes what is the cluster's own: no node has this number. Its boots are the leaders' terms.
pub const CLUSTER: NodeId = 0;

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
    /// When it was proposed, by the clock of the node that was asked, until the leader stamps it ([`Batch::stamp`]);
    /// becomes `created_at` and the like.
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
    /// Forget a user's notifications by level, a bounded part at a time; repeat until there is no more.
    ExpireLevels {
        /// Whose.
        user: UserId,
        /// One for each level that has any.
        bounds: Vec<LevelBound>,
    },
    /// A ticket that lets somebody in once.
    IssueTicket {
        /// SHA-256 of the ticket; the ticket itself is in no log.
        hash: [u8; 32],
        /// Whom it lets in, and where.
        grant: Box<TicketGrant>,
        /// From when it is no good.
        expires_at: Timestamp,
    },
    /// Somebody comes in with a ticket: whoever is first in the log.
    SpendTicket {
        /// Its hash.
        hash: [u8; 32],
    },
    /// Forget a bounded part of the tenant's expired tickets; repeat until nothing is left.
    SweepTickets,
    /// Take over what another system has; nobody is told.
    Import {
        /// Keep ids for notifications with keys up to this one.
        reserve: u64,
        /// Checked.
        records: Vec<ImportRecord>,
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
    /// A boot of a node has its first member of some of the tenant's groups here, and its last no more.
    EditGroups {
        /// Which node.
        node: NodeId,
        /// Which boot.
        epoch: u64,
        /// Groups that have members there now.
        joined: Vec<GroupName>,
        /// Groups that have none any more.
        left: Vec<GroupName>,
    },
    /// Forget edges of boots that are over, in these groups.
    PruneGroups {
        /// Which.
        groups: Vec<Group>,
    },
    /// Every member that this boot of the node has is in the table of groups from here on.
    ShowGroups {
        /// Which node.
        node: NodeId,
        /// Which boot.
        epoch: u64,
    },
    /// A boot of a node is over, as its leader saw: nobody has heard from it for longer than it may be unheard.
    MarkDown {
        /// Which node.
        node: NodeId,
        /// Which boot.
        epoch: u64,
    },
    /// Every member understands this much.
    RaiseFeatures {
        /// See [`super::features`].
        level: u32,
    },
    /// Users of the tenant are no longer where these boots had them, and go offline if they are nowhere else. From feature
    /// level 2 on; before, each goes by an [`Op::GoOffline`].
    EndStays {
        /// User, node, boot.
        stays: Vec<(UserId, NodeId, u64)>,
    },
}

/// What stays of a user's notifications of one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelBound {
    /// One of [`crate::protocol::event::LEVELS`].
    pub level: String,
    /// Newest that stay; 0: all.
    pub keep: u64,
    /// Older ones go.
    pub before: Option<Timestamp>,
}

/// What a ticket stands for. `None` of a claim: as the directory has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketGrant {
    /// Who comes in.
    pub user: UserId,
    /// Login name.
    pub username: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Whether staff endpoints may be opened; `None`: they may not, and what the directory says stays.
    pub is_staff: Option<bool>,
    /// The only path it opens, if it is bound to one.
    pub endpoint: Option<String>,
    /// The only `Origin` it may come from, if it is bound to one.
    pub origin: Option<String>,
    /// How long the session may last.
    pub session_seconds: u32,
}

impl Op {
    /// Whether whoever asks is told how many sockets it reached, on all nodes.
    pub fn is_counted(&self) -> bool {
        matches!(
            self,
            Self::UpdateDashboard { .. }
                | Self::UpdateSubscription { .. }
                | Self::RecordPayment { .. }
                | Self::WarnOfExpiry { .. }
                | Self::UpdateAdminDashboard { .. }
                | Self::RaiseAlert { .. }
                | Self::RevokeTokens { .. }
        )
    }

    /// Whether a node says it of itself, for the others.
    pub fn is_of_node(&self) -> bool {
        matches!(
            self,
            Self::NodeStarted
                | Self::EnterNode { .. }
                | Self::EditGroups { .. }
                | Self::ShowGroups { .. }
                | Self::MarkDown { .. }
        )
    }

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
            Self::EditGroups { joined, left, .. } => (1 + joined.len() + left.len()) * ROW,
            Self::EndStays { stays } => (1 + stays.len()) * 2 * ROW,
            Self::PruneGroups { groups } => (1 + groups.len()) * ROW,
            Self::Import { records, .. } => records.iter().map(|record| ROW + record.len()).sum(),
            _ => ROW,
        }
    }
}
