//! Which members each group has: joining and leaving cost the same in a group of ten and of ten thousand.
//!
//! A pure table over any kind of member. Order within a group means nothing.

use crate::protocol::{Group, SessionId};
use std::collections::{HashMap, hash_map::Entry};

/// See the module.
#[derive(Debug)]
pub(super) struct Roster<M> {
    groups: HashMap<Group, Vec<Member<M>>>,
    /// Where each session sits: so that leaving needs no search through a big group.
    seats: HashMap<SessionId, Vec<Seat>>,
}

/// One member of one group.
#[derive(Debug)]
pub(super) struct Member<M> {
    pub(super) id: SessionId,
    pub(super) member: M,
}

#[derive(Debug)]
struct Seat {
    group: Group,
    slot: usize,
}

impl<M> Default for Roster<M> {
    fn default() -> Self {
        Self { groups: HashMap::new(), seats: HashMap::new() }
    }
}

impl<M> Roster<M> {
    /// The members of a group, in no order.
    pub(super) fn members(&self, group: &Group) -> &[Member<M>] {
        self.groups.get(group).map_or(&[], Vec::as_slice)
    }

    /// Joining twice is joining once.
    pub(super) fn join(&mut self, group: Group, id: SessionId, member: M) {
        // One group per session is the rule, so room for one.
        let seats = self.seats.entry(id).or_insert_with(|| Vec::with_capacity(1));
        if seats.iter().any(|seat| seat.group == group) {
            return;
        }
        let members = self.groups.entry(group.clone()).or_insert_with(|| Vec::with_capacity(1));
        seats.push(Seat { group, slot: members.len() });
        members.push(Member { id, member });
    }

    /// Leaves every group.
    pub(super) fn leave(&mut self, id: SessionId) {
        for seat in self.seats.remove(&id).unwrap_or_default() {
            let Entry::Occupied(mut group) = self.groups.entry(seat.group) else { continue };
            let members = group.get_mut();
            members.swap_remove(seat.slot);
            // The last member took the free place: its seat says so now.
            if let Some(moved) = members.get(seat.slot)
                && let Some(moved_seat) =
                    self.seats.get_mut(&moved.id).and_then(|seats| seats.iter_mut().find(|s| s.group == *group.key()))
            {
                moved_seat.slot = seat.slot;
            }
            if group.get().is_empty() {
                group.remove();
            } else if group.get().len() * 4 < group.get().capacity() {
                group.get_mut().shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{GroupName, Tenant, UserId};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn group(n: u64) -> Group {
        let name = match n {
            0 => GroupName::Presence,
            n => GroupName::DashboardUser(UserId::new(&n.to_string()).expect("an id")),
        };
        Group { tenant: Tenant::default(), name }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_pairs(steps in proptest::collection::vec((0_u64..20, 0_u64..4, any::<bool>()), 0..300)) {
            let (mut roster, mut model) = (Roster::default(), BTreeMap::<u64, BTreeSet<u64>>::new());
            for (id, to, joins) in steps {
                if joins {
                    roster.join(group(to), SessionId(id), ());
                    model.entry(to).or_default().insert(id);
                } else {
                    roster.leave(SessionId(id));
                    for members in model.values_mut() { members.remove(&id); }
                }
                for n in 0..4 {
                    let mut real: Vec<u64> = roster.members(&group(n)).iter().map(|m| m.id.0).collect();
                    real.sort_unstable();
                    let want: Vec<u64> = model.get(&n).into_iter().flatten().copied().collect();
                    prop_assert_eq!(real, want);
                }
                prop_assert_eq!(roster.groups.len(), model.values().filter(|m| !m.is_empty()).count());
            }
        }
    }
}
