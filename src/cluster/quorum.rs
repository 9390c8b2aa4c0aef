//! Majorities: of the voters that count, and of those that would count after a change. Values in, values out.
//!
//! While a change of the membership is under way two sets of voters count, and what is decided needs a majority of each.

use crate::protocol::NodeId;
use std::collections::BTreeSet;

/// A set of voters.
pub(super) type Voters = BTreeSet<NodeId>;

/// Whether those who agree are a majority of each set.
pub(super) fn in_each(sets: &[Voters], agrees: impl Fn(&NodeId) -> bool) -> bool {
    sets.iter().all(|set| set.iter().filter(|id| agrees(id)).count() > set.len() / 2)
}

/// The value that a majority of each set has at least: the smallest of the sets' medians.
pub(super) fn reached_in_each<T: Ord>(sets: &[Voters], value: impl Fn(&NodeId) -> T) -> Option<T> {
    let of_set = |set: &Voters| {
        let mut values: Vec<T> = set.iter().map(&value).collect();
        values.sort_unstable_by(|a, b| b.cmp(a));
        values.into_iter().nth(set.len() / 2)
    };
    // A set without anybody decides nothing.
    sets.iter().map(of_set).collect::<Option<Vec<T>>>()?.into_iter().min()
}

/// Why a change must not be made: who of the voters it would leave was not heard from, so that the others are no majority.
/// `None` if they are.
pub(super) fn would_be_lost(next: &Voters, heard: &Voters) -> Option<Voters> {
    let is_kept = in_each(std::slice::from_ref(next), |id| heard.contains(id));
    (!is_kept).then(|| next.difference(heard).copied().collect())
}

/// Nodes for people: `1, 3`.
pub(super) fn listed(nodes: &Voters) -> String {
    nodes.iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[NodeId]) -> Voters {
        ids.iter().copied().collect()
    }

    #[test]
    fn a_majority_is_one_of_each_set_that_counts() {
        for (sets, agreed, is_majority) in [
            (&[&[1, 2, 3][..]][..], &[1, 2][..], true),
            (&[&[1, 2, 3]], &[1], false),
            (&[&[1, 2]], &[1], false),
            // Three of the four that count in all, and only one of the newer set: no leader may come of that.
            (&[&[1, 2, 3], &[3, 4]], &[1, 2, 3], false),
            (&[&[1, 2, 3], &[3, 4]], &[2, 3, 4], true),
            // Node 2 goes while node 3 is down.
            (&[&[1, 2, 3], &[1, 3]], &[1, 2], false),
            (&[&[1, 2, 3], &[1, 3]], &[1, 3], true),
        ] {
            let sets: Vec<Voters> = sets.iter().map(|ids| set(ids)).collect();
            assert_eq!(in_each(&sets, |id| agreed.contains(id)), is_majority, "{agreed:?} of {sets:?}");
        }
    }

    #[test]
    fn what_a_majority_has_reached_is_the_least_of_all_sets() {
        let at = |id: &NodeId| [0, 50, 40, 30, 10][usize::try_from(*id).expect("small")];
        for (sets, reached) in [
            (&[&[1, 2, 3][..]][..], Some(40)),
            (&[&[1, 2]], Some(40)),
            (&[&[1, 2, 3], &[3, 4]], Some(10)),
            (&[&[]], None),
            (&[], None),
        ] {
            let sets: Vec<Voters> = sets.iter().map(|ids| set(ids)).collect();
            assert_eq!(reached_in_each(&sets, at), reached, "{sets:?}");
        }
    }

    #[test]
    fn a_change_keeps_a_majority_of_those_who_were_heard_from() {
        for (next, heard, lost) in [
            (&[1, 3][..], &[1, 2][..], Some(&[3][..])),
            (&[1, 2], &[1, 2], None),
            (&[1, 2, 3, 4], &[1, 2, 4], None),
            (&[1, 2, 3, 4], &[1, 2], Some(&[3, 4])),
            (&[1], &[1, 2, 3], None),
            (&[2, 3], &[1], Some(&[2, 3])),
        ] {
            assert_eq!(would_be_lost(&set(next), &set(heard)), lost.map(set), "{next:?} of {heard:?}");
        }
    }
}
