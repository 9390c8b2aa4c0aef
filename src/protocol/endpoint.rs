//! The six `/ws/` endpoints: their paths, who may open them, which group each joins.

use super::{Group, GroupName, Tenant, UserId};

/// What a socket was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/ws/dashboard/`
    Dashboard,
    /// `/ws/dashboard/admin/`
    AdminDashboard,
    /// `/ws/subscriptions/`
    Subscriptions,
    /// `/ws/subscriptions/admin/`
    SubscriptionAdmin,
    /// `/ws/notifications/`
    Notifications,
    /// `/ws/presence/`
    Presence,
}

impl Endpoint {
    /// All of them, for counters and tables.
    pub const ALL: [Self; 6] = [
        Self::Dashboard,
        Self::AdminDashboard,
        Self::Subscriptions,
        Self::SubscriptionAdmin,
        Self::Notifications,
        Self::Presence,
    ];

    /// The endpoint at a path, with or without its trailing slash.
    pub fn at(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        Self::ALL.into_iter().find(|e| e.path().trim_end_matches('/') == path)
    }

    /// Its path, with the trailing slash.
    pub fn path(self) -> &'static str {
        match self {
            Self::Dashboard => "/ws/dashboard/",
            Self::AdminDashboard => "/ws/dashboard/admin/",
            Self::Subscriptions => "/ws/subscriptions/",
            Self::SubscriptionAdmin => "/ws/subscriptions/admin/",
            Self::Notifications => "/ws/notifications/",
            Self::Presence => "/ws/presence/",
        }
    }

    /// A short name for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dashboard => "dashboard",
            Self::AdminDashboard => "dashboard_admin",
            Self::Subscriptions => "subscriptions",
            Self::SubscriptionAdmin => "subscriptions_admin",
            Self::Notifications => "notifications",
            Self::Presence => "presence",
        }
    }

    /// Whether only staff may open it.
    pub fn staff_only(self) -> bool {
        matches!(self, Self::AdminDashboard | Self::SubscriptionAdmin)
    }

    /// The group that a socket of `user` joins here.
    pub fn group(self, tenant: &Tenant, user: &UserId) -> Group {
        let name = match self {
            Self::Dashboard => GroupName::DashboardUser(user.clone()),
            Self::AdminDashboard => GroupName::AdminDashboard,
            Self::Subscriptions => GroupName::SubscriptionsUser(user.clone()),
            Self::SubscriptionAdmin => GroupName::SubscriptionAdmin,
            Self::Notifications => GroupName::NotificationsUser(user.clone()),
            Self::Presence => GroupName::Presence,
        };
        Group { tenant: tenant.clone(), name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_is_found_with_and_without_its_slash_and_no_other_is() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::at(endpoint.path()), Some(endpoint));
            assert_eq!(Endpoint::at(endpoint.path().trim_end_matches('/')), Some(endpoint));
        }
        for path in ["/ws/", "/ws", "/ws/dashboard//", "/ws/chat/", "/", ""] {
            assert_eq!(Endpoint::at(path), None, "{path:?}");
        }
    }
}
