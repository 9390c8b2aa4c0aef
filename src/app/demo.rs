//! The users of development mode: 1 alice, 2 bob, 3 root (staff).

use crate::{
    http::DEMO_USERS,
    protocol::{Tenant, UserId},
    records::{Op, Records},
};

/// Enters the demo users into the directory, as a token of each would. Known ones stay as they are.
pub(super) async fn enter_users(records: &Records) {
    for (id, username, first_name, last_name, is_staff) in DEMO_USERS {
        let Ok(user) = UserId::new(id) else { continue };
        let op = Op::SeeUser {
            user,
            username: username.into(),
            first_name: first_name.into(),
            last_name: last_name.into(),
            is_staff,
            issued_at: None,
        };
        if let Err(error) = records.propose(&Tenant::default(), op).await {
            tracing::warn!(%error, username, "a demo user is missing");
        }
    }
}
