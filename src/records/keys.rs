//! Where each row lives: one ordered key space, the first byte says which table.
//!
//! Ids hold no NUL byte, so NUL ends them and no key of one tenant or user is a prefix of another's.
//! Numbers are big-endian, so that rows of a user sort by number. Table numbers are never used again for another table.

use crate::protocol::{Group, GroupName, NodeId, Pos, Tenant, UserId};

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    Notifications = 1,
    Inboxes = 2,
    Tenants = 3,
    Users = 4,
    Dashboards = 5,
    Subscriptions = 6,
    SubscriptionHistory = 7,
    Payments = 8,
    ExpiryWarnings = 9,
    Alerts = 10,
    AdminDashboards = 11,
    Presence = 12,
    IdempotencyKeys = 13,
    IdempotencyOrder = 14,
    Nodes = 15,
    Erasures = 16,
    LockedOut = 17,
    LevelCounts = 18,
    Demoted = 19,
    History = 20,
    Journal = 21,
    JournalBuckets = 22,
    JournalEvents = 23,
    Tickets = 30,
    TicketOrder = 31,
    TicketCounts = 32,
    ImportPlans = 40,
    ImportedKeys = 41,
    Members = 50,
    Groups = 60,
    Absences = 61,
    Shown = 62,
    Features = 63,
    Clock = 64,
}

impl Table {
    /// Every table.
    pub(crate) const ALL: &[Self] = &[
        Self::Notifications,
        Self::Inboxes,
        Self::Tenants,
        Self::Users,
        Self::Dashboards,
        Self::Subscriptions,
        Self::SubscriptionHistory,
        Self::Payments,
        Self::ExpiryWarnings,
        Self::Alerts,
        Self::AdminDashboards,
        Self::Presence,
        Self::IdempotencyKeys,
        Self::IdempotencyOrder,
        Self::Nodes,
        Self::Erasures,
        Self::LockedOut,
        Self::LevelCounts,
        Self::Demoted,
        Self::History,
        Self::Journal,
        Self::JournalBuckets,
        Self::JournalEvents,
        Self::Tickets,
        Self::TicketOrder,
        Self::TicketCounts,
        Self::ImportPlans,
        Self::ImportedKeys,
        Self::Members,
        Self::Groups,
        Self::Absences,
        Self::Shown,
        Self::Features,
        Self::Clock,
    ];
}

/// A row's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    fn new(table: Table) -> Self {
        Self(vec![table as u8])
    }

    fn id(mut self, id: &str) -> Self {
        self.0.extend_from_slice(id.as_bytes());
        self.0.push(0);
        self
    }

    fn number(mut self, n: u64) -> Self {
        self.0.extend_from_slice(&n.to_be_bytes());
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A key that a scan gave back.
    pub(crate) fn stored(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The number at the end of a key.
    pub(crate) fn last_number(bytes: &[u8]) -> u64 {
        bytes.last_chunk().map_or(0, |last| u64::from_be_bytes(*last))
    }

    /// All of a table.
    pub(crate) fn table(table: Table) -> Self {
        Self::new(table)
    }

    /// All rows of one tenant in a table, and the key of a row that a tenant has once.
    pub(crate) fn tenant(table: Table, tenant: &Tenant) -> Self {
        Self::new(table).id(tenant.as_str())
    }

    /// All rows of one user in a table, and the key of a row that a user has once.
    pub(crate) fn user(table: Table, tenant: &Tenant, user: &UserId) -> Self {
        Self::tenant(table, tenant).id(user.as_str())
    }

    /// A numbered row of a user.
    pub(crate) fn user_row(table: Table, (tenant, user): (&Tenant, &UserId), n: u64) -> Self {
        Self::user(table, tenant, user).number(n)
    }

    /// A numbered row of a tenant.
    pub(crate) fn tenant_row(table: Table, tenant: &Tenant, n: u64) -> Self {
        Self::tenant(table, tenant).number(n)
    }

    /// An idempotency key.
    pub(crate) fn idempotency(tenant: &Tenant, key: &[u8; 32]) -> Self {
        let mut at = Self::tenant(Table::IdempotencyKeys, tenant);
        at.0.extend_from_slice(key);
        at
    }

    /// A ticket, whosever it is: whoever shows it does not say of which tenant.
    pub(crate) fn ticket(hash: &[u8; 32]) -> Self {
        let mut at = Self::new(Table::Tickets);
        at.0.extend_from_slice(hash);
        at
    }

    /// A node.
    pub(crate) fn node(node: NodeId) -> Self {
        Self::new(Table::Nodes).number(node)
    }

    /// A node as a member of the cluster.
    pub(crate) fn member(node: NodeId) -> Self {
        Self::new(Table::Members).number(node)
    }

    /// A group and the nodes that have members of it.
    pub(crate) fn group(group: &Group) -> Self {
        Self::tenant(Table::Groups, &group.tenant).id(&group.name.to_string())
    }

    /// A node that is marked down.
    pub(crate) fn absence(node: NodeId) -> Self {
        Self::new(Table::Absences).number(node)
    }

    /// A node that has all its members in the table of groups.
    pub(crate) fn shown(node: NodeId) -> Self {
        Self::new(Table::Shown).number(node)
    }

    /// A full bucket of the journal.
    pub(crate) fn bucket(number: u64) -> Self {
        Self::new(Table::JournalBuckets).number(number)
    }

    /// All events of a bucket.
    pub(crate) fn events(bucket: u64) -> Self {
        Self::new(Table::JournalEvents).number(bucket)
    }

    /// All events of a group in a bucket.
    pub(crate) fn group_events(bucket: u64, group: &Group) -> Self {
        Self::events(bucket).id(group.tenant.as_str()).id(&group.name.to_string())
    }

    /// The `nth` event of the command at `pos`.
    pub(crate) fn event((bucket, group): (u64, &Group), (pos, nth): (Pos, usize)) -> Self {
        Self::group_events(bucket, group).number(pos.0).number(nth as u64)
    }

    /// Where the event with a key of [`Self::event`] happened.
    pub(crate) fn event_pos(key: &[u8]) -> Pos {
        let (before_nth, _) = key.split_at(key.len().saturating_sub(size_of::<u64>()));
        Pos(Self::last_number(before_nth))
    }

    /// The first key after every key that starts with this one.
    pub(crate) fn end(&self) -> Self {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                break;
            }
        }
        Self(end)
    }
}

/// The tenant that a key of [`Key::tenant`] names.
pub(crate) fn tenant_of(key: &[u8]) -> Option<Tenant> {
    let name = key.get(1..)?.split(|b| *b == 0).next()?;
    Tenant::new(std::str::from_utf8(name).ok()?).ok()
}

/// The tenant and the user that a key of [`Key::user`] or [`Key::user_row`] names.
pub(crate) fn tenant_and_user(key: &[u8]) -> Option<(Tenant, UserId)> {
    let mut parts = key.get(1..)?.splitn(3, |b| *b == 0);
    let mut text = || parts.next().and_then(|p| std::str::from_utf8(p).ok());
    Some((Tenant::new(text()?).ok()?, UserId::new(text()?).ok()?))
}

/// The group that a key of [`Key::group`] names.
pub(crate) fn group_of(key: &[u8]) -> Option<Group> {
    let mut parts = key.get(1..)?.split(|b| *b == 0);
    let mut text = || parts.next().and_then(|p| std::str::from_utf8(p).ok());
    Some(Group { tenant: Tenant::new(text()?).ok()?, name: GroupName::parse(text()?).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_user_never_reach_into_anothers() {
        let tenant = Tenant::default();
        let (a, ab) = (UserId::new("a").expect("id"), UserId::new("ab").expect("id"));
        let of_a = Key::user(Table::Notifications, &tenant, &a);
        let row = Key::user_row(Table::Notifications, (&tenant, &ab), u64::MAX);
        assert!(!(of_a.as_bytes()..of_a.end().as_bytes()).contains(&row.as_bytes()));
        let own = Key::user_row(Table::Notifications, (&tenant, &a), u64::MAX);
        assert!((of_a.as_bytes()..of_a.end().as_bytes()).contains(&own.as_bytes()));
        assert_eq!(tenant_and_user(own.as_bytes()), Some((tenant, a)));
        assert_eq!(Key::last_number(own.as_bytes()), u64::MAX);
    }
}
