//! Who stands at the other end of a socket, once a credential has been verified.

use crate::protocol::{Tenant, Timestamp, UserId};

/// A verified user. Made only by [`crate::auth`]; everything behind the door trusts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The tenant whose data and groups this user belongs to.
    pub tenant: Tenant,
    /// The `sub` of the token.
    pub user: UserId,
    /// Shown in presence; empty when the token has none.
    pub username: String,
    /// Shown in presence; may be empty.
    pub first_name: String,
    /// Shown in presence; may be empty.
    pub last_name: String,
    /// May open the admin endpoints.
    pub is_staff: bool,
    /// The earliest moment at which the credential may have been issued (`iat`, less the leeway); `None` if it does not say.
    pub issued_at: Option<Timestamp>,
    /// When the credential runs out: `exp`, and the leeway that is forgiven.
    pub expires_at: Timestamp,
}
