//! What an applied command means for the sockets of this node.

use crate::protocol::{GroupName, InV1, NodeId, Pos, SessionId, Tenant, Timestamp, UserId};

/// One effect, in log order. Lost on a crash, and nothing depends on it: the rows say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Where in the log it happened.
    pub pos: Pos,
    /// Whose sockets.
    pub tenant: Tenant,
    /// What happens.
    pub kind: EffectKind,
}

/// The kinds of effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectKind {
    /// Members of a group get these frames.
    Publish {
        /// Which group.
        group: GroupName,
        /// JSON texts, in order; may be empty.
        frames: Vec<String>,
        /// What `carillon.v1` gets.
        v1: InV1,
        /// The socket that caused it.
        except: Option<SessionId>,
    },
    /// A user is online now: `person` as an entry of `online_users`.
    Online {
        /// Who.
        user: UserId,
        /// JSON text.
        person: String,
        /// When the user came.
        seen: Timestamp,
    },
    /// A user's presence entry reads differently now.
    Renamed {
        /// Who.
        user: UserId,
        /// JSON text.
        person: String,
    },
    /// A user is offline now.
    Offline {
        /// Who.
        user: UserId,
    },
    /// A boot of a node is over: by its next one, or because it was marked down.
    BootEnded {
        /// Which node.
        node: NodeId,
        /// Which boot.
        epoch: u64,
    },
    /// Close sockets of a user.
    Close {
        /// Who.
        user: UserId,
        /// Only those on staff endpoints.
        staff_only: bool,
    },
}
