//! Which call waits for which, so that in each group effects have the order of the calls.
//!
//! What is stored takes its place in the log when it is started, and is shown when it is applied. What is only told is
//! shown at once: before an earlier call that still waits for the disk. So it waits for those that go to the same
//! people; for others it doesn't, since nobody could see the difference.

use crate::{
    protocol::{GroupName, UserId},
    records::Op,
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Notify;

/// Who may see an effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Audience {
    User(UserId),
    /// Admins, or watchers of presence.
    Others,
}

/// The stored calls of a stream that are not applied yet, by audience.
#[derive(Debug, Default)]
pub(super) struct Order {
    pending: Mutex<HashMap<Audience, usize>>,
    settled: Notify,
}

/// Held by a stored call until it is applied, or has failed.
#[derive(Debug)]
pub(super) struct Underway {
    order: Arc<Order>,
    audiences: Vec<Audience>,
}

impl Order {
    /// A stored call begins.
    pub(super) fn begin(self: &Arc<Self>, op: &Op) -> Underway {
        let audiences = audiences(op);
        let mut pending = self.pending.lock();
        for audience in &audiences {
            *pending.entry(audience.clone()).or_default() += 1;
        }
        drop(pending);
        Underway { order: self.clone(), audiences }
    }

    /// Waits until nothing that was stored earlier can still appear in these groups.
    pub(super) async fn clear_for(&self, groups: &[GroupName]) {
        while self.concerns(groups) {
            // Asked again after each that settles; one that settles in between has left its permit.
            self.settled.notified().await;
        }
    }

    fn concerns(&self, groups: &[GroupName]) -> bool {
        let pending = self.pending.lock();
        !pending.is_empty() && groups.iter().any(|group| pending.contains_key(&audience(group)))
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut pending = self.order.pending.lock();
        for audience in &self.audiences {
            if let Some(count) = pending.get_mut(audience) {
                *count -= 1;
                if *count == 0 {
                    pending.remove(audience);
                }
            }
        }
        drop(pending);
        self.order.settled.notify_one();
    }
}

fn audience(group: &GroupName) -> Audience {
    match group {
        GroupName::DashboardUser(user) | GroupName::SubscriptionsUser(user) | GroupName::NotificationsUser(user) => {
            Audience::User(user.clone())
        }
        GroupName::AdminDashboard | GroupName::SubscriptionAdmin | GroupName::Presence => Audience::Others,
    }
}

fn audiences(op: &Op) -> Vec<Audience> {
    match op {
        Op::SendNotification { users, .. } => users.iter().cloned().map(Audience::User).collect(),
        Op::UpdateDashboard { user, .. }
        | Op::UpdateSubscription { user, .. }
        | Op::RecordPayment { user, .. }
        | Op::WarnOfExpiry { user, .. } => vec![Audience::User(user.clone())],
        _ => vec![Audience::Others],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> UserId {
        UserId::new(id).expect("an id")
    }

    fn dashboard(id: &str) -> Op {
        Op::UpdateDashboard { user: user(id), data: "{}".into() }
    }

    #[tokio::test]
    async fn what_is_told_waits_for_what_the_same_people_are_still_to_see() {
        let order = Arc::new(Order::default());
        let (one, again) = (order.begin(&dashboard("1")), order.begin(&dashboard("1")));
        let of = |id: &str| [GroupName::NotificationsUser(user(id))];
        order.clear_for(&of("2")).await;
        order.clear_for(&[GroupName::AdminDashboard]).await;
        let (about_one, waiting) = (of("1"), order.clone());
        let waits = tokio::spawn(async move { waiting.clear_for(&about_one).await });
        drop(one);
        assert!(order.concerns(&of("1")), "another is under way");
        drop(again);
        waits.await.expect("it goes on");
        assert!(order.pending.lock().is_empty());
    }

    #[test]
    fn admins_see_what_is_for_admins() {
        let order = Arc::new(Order::default());
        let _underway = order.begin(&Op::UpdateAdminDashboard { data: "{}".into() });
        assert!(order.concerns(&[GroupName::SubscriptionAdmin]));
        assert!(!order.concerns(&[GroupName::DashboardUser(user("1"))]));
    }
}
