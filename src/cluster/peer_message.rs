//! What nodes tell each other beside the log: ephemeral events, sockets to close, whom that reached. Each at most once
//! and in order. Sent between releases: variants are only ever appended, and their fields never change (`wire_tests`).

use crate::protocol::{Group, Pos, SessionId, Tenant, UserId};
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PeerMessage {
    /// For the members that the receiver has.
    Publish {
        group: Group,
        /// JSON texts.
        frames: Vec<String>,
        except: Option<SessionId>,
        /// For the count.
        number: u64,
    },
    /// Close the user's sockets that the receiver has.
    Disconnect { tenant: Tenant, user: UserId, staff_only: bool, number: u64 },
    /// So many of the sender's sockets were reached.
    Counted(Vec<(CountOf, u64)>),
    /// Another message, to be shown after everything up to this entry. From [`crate::records::features::PEER_ORDER`] on.
    After { index: u64, message: Box<PeerMessage> },
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum CountOf {
    /// The receiver's own event of this number.
    Event(u64),
    /// The receiver's command at this place in the log.
    Command(Pos),
}
