//! Which nodes have members of a group: where an ephemeral event has to go.
//!
//! An edge counts while the boot that drew it lasts: a node that starts again, or is marked down, loses all its edges
//! at once and without a write for each. What is left of them is pruned later, a bounded part at a time.

use super::{
    EffectKind, RecordsError, Reply,
    apply::Step,
    keys::{Key, Table, group_of},
    rows::Node,
    txn::{self, Row, get, rows_after},
};
use crate::{
    planted::{self, Bug},
    protocol::{Group, GroupName, NodeId},
};
use carillon_storage::tables::Read;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The nodes with members of a group, each with the boot that said so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupNodes {
    /// Node and boot.
    pub nodes: Vec<(NodeId, u64)>,
}
impl Row for GroupNodes {
    const NAME: &'static str = "group";
}

/// A node was marked down: its boots up to this one are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// The boot.
    pub epoch: u64,
}
impl Row for Absence {
    const NAME: &'static str = "absence";
}

/// From when on a boot of a node has all its members in the table of groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The boot.
    pub epoch: u64,
}
impl Row for Shown {
    const NAME: &'static str = "shown node";
}

/// A node has its first member of some groups, and has lost the last one of others.
pub(crate) fn edit<S: Read>(
    step: &mut Step<'_, '_, S>,
    (node, epoch): (NodeId, u64),
    (joined, left): (&[GroupName], &[GroupName]),
) -> Result<Reply, RecordsError> {
    if standing(step.txn, node)? != Some(epoch) {
        return Ok(Reply::Done); // A boot that is over.
    }
    for (names, has_members) in [(joined, true), (left, false)] {
        for name in names {
            let group = Group { tenant: step.tenant.clone(), name: name.clone() };
            change(step, &group, |nodes| {
                if planted::has(Bug::StaleEdge) && nodes.iter().any(|(of, _)| *of == node) {
                    return;
                }
                nodes.retain(|(of, _)| *of != node);
                if has_members {
                    nodes.push((node, epoch));
                }
            })?;
        }
    }
    Ok(Reply::Done)
}

/// Drops edges of boots that are over.
pub(crate) fn prune<S: Read>(step: &mut Step<'_, '_, S>, groups: &[Group]) -> Result<Reply, RecordsError> {
    for group in groups {
        change(step, group, |_| {})?;
    }
    Ok(Reply::Done)
}

fn change<S: Read>(
    step: &mut Step<'_, '_, S>,
    group: &Group,
    edit: impl FnOnce(&mut Vec<(NodeId, u64)>),
) -> Result<(), RecordsError> {
    let key = Key::group(group);
    let before: GroupNodes = step.txn.get_or_default(&key)?;
    let mut nodes = before.nodes.clone();
    edit(&mut nodes);
    let mut after = GroupNodes::default();
    for (node, epoch) in nodes {
        if standing(step.txn, node)? == Some(epoch) || planted::has(Bug::StaleEdge) {
            after.nodes.push((node, epoch));
        }
    }
    if after.nodes.is_empty() {
        step.txn.remove(key);
    } else if after != before {
        step.txn.put(key, &after)?;
    }
    Ok(())
}

/// A boot of a node is over though the node has not said so: its edges are void, its users go in time.
pub(crate) fn mark_down<S: Read>(
    step: &mut Step<'_, '_, S>,
    (node, epoch): (NodeId, u64),
) -> Result<Reply, RecordsError> {
    if standing(step.txn, node)? != Some(epoch) {
        return Ok(Reply::Done);
    }
    step.txn.put(Key::absence(node), &Absence { epoch })?;
    step.effect(EffectKind::BootEnded { node, epoch });
    Ok(Reply::Done)
}

/// From here on, every member that this boot of the node has is in the table before it is greeted.
pub(crate) fn show<S: Read>(step: &mut Step<'_, '_, S>, (node, epoch): (NodeId, u64)) -> Result<Reply, RecordsError> {
    if standing(step.txn, node)? == Some(epoch) {
        step.txn.put(Key::shown(node), &Shown { epoch })?;
    }
    Ok(Reply::Done)
}

/// The boot of a node that counts now; `None` before its first one, and while it is marked down.
///
/// # Errors
/// When rows can't be read.
pub fn standing(read: &impl Read, node: NodeId) -> Result<Option<u64>, RecordsError> {
    let Some(Node { epoch, .. }) = get(read, &Key::node(node))? else { return Ok(None) };
    let is_down = get::<Absence>(read, &Key::absence(node))?.is_some_and(|absence| absence.epoch >= epoch);
    Ok((!is_down).then_some(epoch))
}

/// The last boot of a node that is over.
///
/// # Errors
/// When rows can't be read.
pub fn last_ended(read: &impl Read, node: NodeId) -> Result<Option<u64>, RecordsError> {
    let Some(Node { epoch, .. }) = get(read, &Key::node(node))? else { return Ok(None) };
    Ok(if standing(read, node)?.is_some() { epoch.checked_sub(1) } else { Some(epoch) })
}

/// Whether a node that stands has all its members in the table.
///
/// # Errors
/// When rows can't be read.
pub fn is_shown(read: &impl Read, node: NodeId) -> Result<bool, RecordsError> {
    let shown = get::<Shown>(read, &Key::shown(node))?.map(|shown| shown.epoch);
    Ok(standing(read, node)?.is_none_or(|epoch| shown == Some(epoch)))
}

/// The nodes that have members of a group, and stand.
///
/// # Errors
/// When rows can't be read.
pub fn nodes_of(read: &impl Read, group: &Group) -> Result<Vec<NodeId>, RecordsError> {
    let Some(GroupNodes { nodes }) = get(read, &Key::group(group))? else { return Ok(Vec::new()) };
    let mut standing_ones = Vec::with_capacity(nodes.len());
    for (node, epoch) in nodes {
        if standing(read, node)? == Some(epoch) {
            standing_ones.push(node);
        }
    }
    Ok(standing_ones)
}

/// Up to which boot each node's are over.
///
/// # Errors
/// When rows can't be read.
pub fn ended_boots(read: &impl Read) -> Result<BTreeMap<NodeId, u64>, RecordsError> {
    let mut ended = BTreeMap::new();
    for (key, _) in rows_after(read, (&Key::table(Table::Nodes), None), usize::MAX)? {
        let node = Key::last_number(key.as_bytes());
        ended.extend(last_ended(read, node)?.map(|last| (node, last)));
    }
    Ok(ended)
}

/// Groups with an edge of a boot that is over, out of so many rows; and the last of these, if there are more.
pub(crate) fn to_prune(
    read: &impl Read,
    (after, limit): (Option<&Key>, usize),
) -> Result<(Vec<Group>, Option<Key>), RecordsError> {
    let rows = rows_after(read, (&Key::table(Table::Groups), after), limit)?;
    let (mut standing_of, mut stale) = (BTreeMap::new(), Vec::new());
    for (key, value) in &rows {
        for (node, epoch) in txn::decode::<GroupNodes>(value)?.nodes {
            let now = match standing_of.get(&node) {
                Some(now) => *now,
                None => *standing_of.entry(node).or_insert(standing(read, node)?),
            };
            if now != Some(epoch) {
                stale.extend(group_of(key.as_bytes()));
                break;
            }
        }
    }
    let last = rows.last().map(|(key, _)| key.clone()).filter(|_| rows.len() == limit);
    Ok((stale, last))
}

#[cfg(test)]
#[path = "groups_tests.rs"]
mod tests;
