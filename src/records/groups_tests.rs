//! Edges through the log: which count, which are void, which are pruned.

use super::*;
use crate::{
    protocol::{Tenant, Timestamp, UserId},
    records::{Batch, CLUSTER, Command, EffectKind, Op, apply_batch},
};
use carillon_storage::tables::{self, Tables};

struct World {
    tables: Tables,
    index: u64,
    ended: Vec<(NodeId, u64)>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let tables = Tables::open(dir.path(), &tables::Options::default()).expect("tables");
        Self { tables, index: 0, ended: Vec::new(), _dir: dir }
    }

    fn apply(&mut self, (node, epoch): (NodeId, u64), op: Op) {
        self.index += 1;
        let command = Command { tenant: Tenant::default(), at: Timestamp(1), idempotency: None, op };
        let batch = Batch { node, epoch, sequence: self.index, commands: vec![command] };
        let applied = apply_batch(&self.tables.reader(), self.index, &batch).expect("applied");
        self.tables.commit(&applied.writes, &self.index.to_be_bytes()).expect("committed");
        self.ended.extend(applied.effects.iter().filter_map(|effect| match effect.kind {
            EffectKind::BootEnded { node, epoch } => Some((node, epoch)),
            _ => None,
        }));
    }

    fn edit(&mut self, (node, epoch): (NodeId, u64), joined: &[GroupName], left: &[GroupName]) {
        self.apply((node, epoch), Op::EditGroups { node, epoch, joined: joined.to_vec(), left: left.to_vec() });
    }

    fn nodes(&self, name: &GroupName) -> Vec<NodeId> {
        let group = Group { tenant: Tenant::default(), name: name.clone() };
        nodes_of(&self.tables.reader(), &group).expect("read")
    }
}

fn of(user: &str) -> GroupName {
    GroupName::NotificationsUser(UserId::new(user).expect("an id"))
}

#[test]
fn edges_count_while_the_boot_that_drew_them_lasts() {
    let mut world = World::new();
    world.edit((1, 1), &[of("a"), of("b")], &[]);
    world.edit((2, 1), &[of("a")], &[]);
    assert_eq!((world.nodes(&of("a")), world.nodes(&of("b"))), (vec![1, 2], vec![1]));
    world.edit((1, 1), &[], &[of("a")]);
    assert_eq!(world.nodes(&of("a")), [2]);
    // Another boot of the node: nothing of the earlier one counts, nor can it say anything more.
    world.apply((1, 2), Op::NodeStarted);
    assert!(world.nodes(&of("b")).is_empty());
    world.apply((2, 1), Op::EditGroups { node: 1, epoch: 1, joined: vec![of("b")], left: vec![] });
    assert!(world.nodes(&of("b")).is_empty());
    world.edit((1, 2), &[of("b")], &[]);
    assert_eq!((world.nodes(&of("b")), world.ended), (vec![1], vec![(1, 1)]));
}

#[test]
fn a_node_that_is_marked_down_has_no_edges_until_its_next_boot() {
    let mut world = World::new();
    world.edit((2, 3), &[of("a")], &[]);
    world.apply((2, 3), Op::ShowGroups { node: 2, epoch: 3 });
    let shown = |world: &World| is_shown(&world.tables.reader(), 2).expect("read");
    assert!(shown(&world));
    // A stale mark is none.
    world.apply((CLUSTER, 1), Op::MarkDown { node: 2, epoch: 2 });
    assert_eq!((world.nodes(&of("a")), world.ended.len()), (vec![2], 0));
    world.apply((CLUSTER, 1), Op::MarkDown { node: 2, epoch: 3 });
    world.apply((CLUSTER, 1), Op::MarkDown { node: 2, epoch: 3 });
    assert_eq!((world.nodes(&of("a")), world.ended.clone()), (vec![], vec![(2, 3)]));
    let standing_at = |world: &World| standing(&world.tables.reader(), 2).expect("read");
    assert_eq!((standing_at(&world), shown(&world)), (None, true), "nobody waits for who is down");
    world.edit((2, 3), &[of("b")], &[]);
    assert!(world.nodes(&of("b")).is_empty(), "what was still on its way is void");
    world.apply((2, 4), Op::NodeStarted);
    assert_eq!((standing_at(&world), shown(&world)), (Some(4), false));
    assert_eq!(ended_boots(&world.tables.reader()).expect("read").get(&2), Some(&3));
}

#[test]
fn what_ended_boots_left_is_found_a_part_at_a_time_and_pruned() {
    let mut world = World::new();
    let groups: Vec<GroupName> = (0..5).map(|n| of(&n.to_string())).collect();
    world.edit((1, 1), &groups, &[]);
    world.edit((2, 1), &groups[..2], &[]);
    world.apply((1, 2), Op::NodeStarted);
    let (mut stale, mut after) = (Vec::new(), None);
    loop {
        let (found, last) = to_prune(&world.tables.reader(), (after.as_ref(), 2)).expect("read");
        stale.extend(found);
        match last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    assert_eq!(stale.len(), 5);
    world.apply((1, 2), Op::PruneGroups { groups: stale });
    assert_eq!(to_prune(&world.tables.reader(), (None, 9)).expect("read"), (vec![], None));
    assert_eq!((world.nodes(&groups[0]), world.nodes(&groups[4])), (vec![2], vec![]));
}
