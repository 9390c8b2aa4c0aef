//! The rows. Stored behind a version byte; fields are only ever changed together with that byte.

use super::{command::TicketGrant, reply::Reply, txn::Row};
use crate::protocol::{NodeId, Pos, Tenant, Timestamp, UserId};
use serde::{Deserialize, Serialize};

macro_rules! row {
    ($name:ident, $text:literal) => {
        impl Row for $name {
            const NAME: &'static str = $text;
        }
    };
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// At most 200 characters.
    pub title: String,
    /// Free text.
    pub message: String,
    /// `info`, `success`, `warning` or `error`.
    pub level: String,
    /// JSON text.
    pub data: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its own read state, set at `read_state_at`; a later "read all" in the [`Inbox`] outweighs it.
    pub is_read: bool,
    /// When `is_read` was set.
    pub read_state_at: Pos,
}
row!(Notification, "notification");

/// What a user has once: counts, and when everything was last marked as read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    /// Notifications that are not read.
    pub unread: u64,
    /// Notifications.
    pub total: u64,
    /// Everything whose read state is older is read.
    pub read_all_at: Pos,
}
row!(Inbox, "inbox");

impl Inbox {
    /// Whether a notification of this inbox is read.
    pub fn has_read(&self, notification: &Notification) -> bool {
        notification.is_read || notification.read_state_at < self.read_all_at
    }
}

/// A user's notifications by level, as far as they have been counted: ids up to `counted_to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelCounts {
    /// The last id that is counted.
    pub counted_to: u64,
    /// What came before this time is counted.
    pub counted_at: Timestamp,
    /// Levels of which there are any.
    pub levels: Vec<LevelCount>,
}
row!(LevelCounts, "level counts");

/// One level in [`LevelCounts`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelCount {
    /// Its name.
    pub level: String,
    /// How many.
    pub count: u64,
    /// None of them has an id below.
    pub first: u64,
    /// When the one with the lowest id was made; the first time there is while that isn't known.
    pub oldest: Timestamp,
}

/// What a tenant has once: counters and figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantFigures {
    /// The last notification id given.
    pub last_notification: u64,
    /// The last subscription id given here, or the largest that a backend gave.
    pub last_subscription: u64,
    /// The last alert id given.
    pub last_alert: u64,
    /// Users in the directory.
    pub users: u64,
    /// … that may sign in.
    pub active_users: u64,
    /// … that are staff.
    pub staff_users: u64,
    /// Subscription rows.
    pub subscriptions: u64,
    /// … whose status is `active`.
    pub active_subscriptions: u64,
}
row!(TenantFigures, "tenant");

/// The latest time that was applied: the time of what is applied never goes back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock(pub Timestamp);
row!(Clock, "clock");

/// A user in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Login name.
    pub username: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// May sign in; only the backend changes it.
    pub is_active: bool,
    /// May open admin endpoints.
    pub is_staff: bool,
    /// When the backend last stated what the user is.
    pub stated_at: Option<Timestamp>,
    /// Tokens issued before are refused.
    pub revoked_before: Option<Timestamp>,
    /// The newest token seen: what older ones say is no news.
    pub token_issued_at: Option<Timestamp>,
}
row!(User, "user");

/// What is left of an erased user who was locked out: that tokens from before stay refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedOut {
    /// Tokens issued before are refused.
    pub revoked_before: Timestamp,
}
row!(LockedOut, "lock-out");

/// What is left of an erased user whom the backend had stated, and not as staff: that tokens from before make nobody
/// staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demoted {
    /// When the backend last stated what the user is.
    pub stated_at: Timestamp,
}
row!(Demoted, "demotion");

/// A user's dashboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dashboard {
    /// A JSON object: all updates, merged by top-level key.
    pub data: String,
    /// Commit time of the last update.
    pub updated_at: Timestamp,
}
row!(Dashboard, "dashboard");

/// A subscription, keyed by a number that ascends with its making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// JSON text of its id.
    pub id: String,
    /// What updates without an id find it by.
    pub plan_name: String,
    /// Active when it is `active`.
    pub status: String,
    /// A JSON object: all updates, merged by top-level key.
    pub data: String,
}
row!(Subscription, "subscription");

/// An event that is kept as it came: a step of a subscription's history, a payment, an expiry warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptEvent {
    /// A JSON object.
    pub data: String,
    /// When it was committed.
    pub created_at: Timestamp,
    /// Where in the log.
    pub pos: Pos,
}
row!(KeptEvent, "event");

/// An alert for admins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Without `_alert`.
    pub alert_type: String,
    /// JSON text.
    pub data: String,
    /// When it was committed.
    pub created_at: Timestamp,
}
row!(Alert, "alert");

/// The admin dashboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminDashboard {
    /// JSON text, as it was last sent.
    pub data: String,
    /// When it was committed.
    pub updated_at: Timestamp,
}
row!(AdminDashboard, "admin dashboard");

/// A user's presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The boots of nodes on which the user has sockets; online while there is one.
    pub boots: Vec<(NodeId, u64)>,
    /// Since when, in log order.
    pub online_since: Option<Pos>,
    /// When the user came online or, afterwards, was last seen.
    pub last_seen: Option<Timestamp>,
    /// The last inbound frame that was recorded.
    pub last_activity: Option<Timestamp>,
}
row!(Presence, "presence");

/// The first answer to an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// SHA-256 of the body.
    pub body: [u8; 32],
    /// What was answered.
    pub reply: Reply,
    /// Its place in the order of expiry.
    pub pos: Pos,
}
row!(Answered, "idempotency key");

/// An idempotency key in the order of expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredOrder {
    /// The key of its row.
    pub key: Vec<u8>,
    /// When it was answered.
    pub at: Timestamp,
}
row!(AnsweredOrder, "idempotency order");

/// The bookkeeping of idempotency keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredCount(pub u64);
row!(AnsweredCount, "idempotency count");

/// A node's present boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its number, from 1.
    pub epoch: u64,
    /// The last batch of this boot that was applied.
    pub last_sequence: u64,
}
row!(Node, "node");

/// Which data directory a node id belongs to, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Drawn when the node's data directory was made: a wiped node has another.
    pub incarnation: [u8; 16],
    /// Whether it was taken out of the cluster; it never comes back.
    pub is_removed: bool,
}
row!(Member, "member");

/// An erasure that is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// When it was asked for.
    pub asked_at: Timestamp,
}
row!(Erasure, "erasure");

/// Which history of the log this is; resumes of another one are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Drawn at random when the store was made or restored.
    pub id: u64,
}
row!(History, "history");

/// The journal of events: which buckets there are, and how full the last is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Events up to here may be forgotten.
    pub floor: Pos,
    /// The oldest bucket.
    pub first: u64,
    /// The bucket that is being filled.
    pub current: u64,
    /// About how many bytes are in it.
    pub bytes: u64,
    /// When it was begun.
    pub began: Timestamp,
    /// The last event in it.
    pub last: Pos,
}
row!(Journal, "journal");

/// A full bucket of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its last event.
    pub last: Pos,
    /// When the next one was begun.
    pub ended: Timestamp,
    /// About how many bytes are in it.
    pub bytes: u64,
}
row!(Bucket, "journal bucket");

/// An event that was shown to a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalEvent {
    /// Frames as `carillon.v1` has them, without their position.
    Frames(Vec<String>),
    /// Somebody came or went. Without names, so that erasing a user leaves none.
    Presence {
        /// Who.
        user: UserId,
        /// Came.
        online: bool,
        /// When the user came or was last seen.
        seen: Option<Timestamp>,
    },
}
row!(JournalEvent, "event");

impl JournalEvent {
    /// About how many bytes it takes.
    pub fn weight(&self) -> u64 {
        /// Keys and bookkeeping.
        const ROW: usize = 100;
        let frames = match self {
            Self::Frames(frames) => frames.iter().map(String::len).sum(),
            Self::Presence { user, .. } => user.as_str().len(),
        };
        (ROW + frames) as u64
    }
}

/// A ticket that is not spent. Its key is its hash; the ticket itself is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Whose user comes in with it.
    pub tenant: Tenant,
    /// Whom it lets in, and where.
    pub grant: TicketGrant,
    /// When it was issued: whoever was locked out since does not get in with it.
    pub issued_at: Timestamp,
    /// From when it is no good.
    pub expires_at: Timestamp,
    /// Its place in the order of expiry.
    pub pos: Pos,
}
row!(Ticket, "ticket");

/// A ticket in the order of expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketOrder {
    /// Its hash.
    pub hash: [u8; 32],
    /// From when it is no good.
    pub expires_at: Timestamp,
}
row!(TicketOrder, "ticket order");

/// Tickets of a tenant that are neither spent nor swept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketCount(pub u64);
row!(TicketCount, "ticket count");

/// Which ids the keys of an import have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportPlan {
    /// The largest key that has an id.
    pub covered: u64,
    /// In ascending order.
    pub runs: Vec<ImportRun>,
}
row!(ImportPlan, "import plan");

/// Keys in a row whose ids are as far from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportRun {
    /// The first of them; the next run's ends it.
    pub first: u64,
    /// The id is the key and this.
    pub shift: u64,
}

/// Which keys have been imported: a bit each, the lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedKeys {
    /// As long as the highest key needs it.
    pub bits: Vec<u8>,
}
row!(ImportedKeys, "imported keys");
