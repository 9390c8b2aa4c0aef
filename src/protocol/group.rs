//! Groups: who hears an event. A typed pair of tenant and name, never a concatenated string.

use super::{Tenant, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The groups that the protocol knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GroupName {
    /// `dashboard_user_{id}`
    DashboardUser(UserId),
    /// `admin_dashboard`
    AdminDashboard,
    /// `subscriptions_user_{id}`
    SubscriptionsUser(UserId),
    /// `subscription_admin`
    SubscriptionAdmin,
    /// `notifications_user_{id}`
    NotificationsUser(UserId),
    /// `presence`
    Presence,
}

/// A group of one tenant: the address of every publish.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Group {
    /// Whose group it is.
    pub tenant: Tenant,
    /// Which of the tenant's groups.
    pub name: GroupName,
}

/// A group name that the protocol does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such group: use dashboard_user_<id>, admin_dashboard, subscriptions_user_<id>, subscription_admin, \
     notifications_user_<id> or presence"
)]
pub struct UnknownGroup;

impl GroupName {
    /// The groups that are a user's own.
    pub fn of_user(user: &UserId) -> [Self; 3] {
        [
            Self::DashboardUser(user.clone()),
            Self::SubscriptionsUser(user.clone()),
            Self::NotificationsUser(user.clone()),
        ]
    }

    /// Reads a name as backends write it.
    ///
    /// # Errors
    /// When no endpoint ever joins a group of that name.
    pub fn parse(s: &str) -> Result<Self, UnknownGroup> {
        let user = |prefix: &str| s.strip_prefix(prefix).and_then(|id| UserId::new(id).ok());
        match s {
            "admin_dashboard" => Ok(Self::AdminDashboard),
            "subscription_admin" => Ok(Self::SubscriptionAdmin),
            "presence" => Ok(Self::Presence),
            _ => user("dashboard_user_")
                .map(Self::DashboardUser)
                .or_else(|| user("subscriptions_user_").map(Self::SubscriptionsUser))
                .or_else(|| user("notifications_user_").map(Self::NotificationsUser))
                .ok_or(UnknownGroup),
        }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DashboardUser(u) => write!(f, "dashboard_user_{u}"),
            Self::AdminDashboard => f.write_str("admin_dashboard"),
            Self::SubscriptionsUser(u) => write!(f, "subscriptions_user_{u}"),
            Self::SubscriptionAdmin => f.write_str("subscription_admin"),
            Self::NotificationsUser(u) => write!(f, "notifications_user_{u}"),
            Self::Presence => f.write_str("presence"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_name_reads_back_as_it_was_written() {
        for s in [
            "dashboard_user_1",
            "admin_dashboard",
            "subscriptions_user_a.b",
            "subscription_admin",
            "notifications_user_7",
            "presence",
        ] {
            assert_eq!(GroupName::parse(s).expect(s).to_string(), s);
        }
        for s in ["", "dashboard_user_", "dashboard_user_a b", "Presence", "chat_1"] {
            assert_eq!(GroupName::parse(s), Err(UnknownGroup), "{s:?}");
        }
    }
}
