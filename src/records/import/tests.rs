//! Imports between other commands: ids are never given twice, counts stay right, a repeat changes nothing.

use super::*;
use crate::{
    protocol::{Tenant, Timestamp, UserId},
    records::{Batch, Command, EffectKind, Op, Rejection, apply_batch, directory, inbox, presence},
};
use carillon_storage::tables::MemoryTables;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Machine {
    tables: MemoryTables,
    index: u64,
}

impl Machine {
    fn run(&mut self, op: Op) -> Reply {
        self.index += 1;
        let at = Timestamp::from_seconds(1_000_000 + self.index as i64);
        let command = Command { tenant: Tenant::default(), at, idempotency: None, op };
        let batch = Batch { node: 1, epoch: 1, sequence: self.index, commands: vec![command] };
        let mut applied = apply_batch(&self.tables, self.index, &batch).expect("applied");
        let is_import = matches!(batch.commands[0].op, Op::Import { .. });
        let told = applied.effects.iter().any(|effect| matches!(effect.kind, EffectKind::Publish { .. }));
        assert!(!(is_import && told), "somebody was told");
        self.tables.commit(&applied.writes, &self.index.to_be_bytes()).expect("memory");
        applied.replies.remove(0)
    }

    fn import(&mut self, reserve: u64, records: Vec<ImportRecord>) -> (Vec<ImportOutcome>, u64) {
        match self.run(Op::Import { reserve, records }) {
            Reply::Imported { outcomes, shift } => (outcomes, shift),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, user: &str) -> u64 {
        let op = Op::SendNotification {
            users: vec![id(user)],
            title: "own".into(),
            message: String::new(),
            level: "info".into(),
            data: "{}".into(),
        };
        match self.run(op) {
            Reply::Created { notifications, .. } => notifications[0].1,
            other => panic!("{other:?}"),
        }
    }

    /// Title and read state by id; the unread count is a recount.
    fn inbox(&self, user: &str) -> BTreeMap<u64, (String, bool)> {
        let page = inbox::everything(&self.tables, &Tenant::default(), &id(user)).expect("memory");
        assert_eq!(page.unread, page.items.iter().filter(|(_, _, read)| !read).count() as u64);
        page.items.into_iter().map(|(id, row, read)| (id, (row.title, read))).collect()
    }
}

fn id(user: &str) -> UserId {
    UserId::new(user).expect("an id")
}

fn old(key: u64, user: &str, is_read: bool) -> ImportRecord {
    ImportRecord::Notification(ImportNotification {
        key,
        user: id(user),
        title: format!("old {key}"),
        message: String::new(),
        level: "info".into(),
        data: "{}".into(),
        is_read,
        created_at: Timestamp::from_seconds(key as i64),
    })
}

use ImportOutcome::{Differs, Gone, Made, Same};

#[test]
fn keys_are_kept_as_ids_where_the_tenant_has_none_and_moved_up_where_it_has() {
    let mut empty = Machine::default();
    assert_eq!(empty.import(9, vec![old(3, "1", true), old(7, "1", false)]), (vec![Made, Made], 0));
    assert_eq!(empty.send("1"), 10, "behind what was reserved");
    assert_eq!(empty.import(0, vec![old(5, "2", false)]), (vec![Made], 0));
    assert_eq!(empty.inbox("2").keys().copied().collect::<Vec<_>>(), [5], "within what was reserved");
    // More keys than were planned, while others send.
    assert_eq!(empty.import(0, vec![old(10, "2", false)]), (vec![Made], 1));
    assert_eq!(empty.inbox("2").keys().copied().collect::<Vec<_>>(), [5, 11]);

    let mut used = Machine::default();
    used.send("1");
    used.send("1");
    assert_eq!(used.import(2, vec![old(1, "1", false), old(2, "1", true)]), (vec![Made, Made], 2));
    assert_eq!(used.inbox("1").keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(used.send("1"), 5);
}

#[test]
fn a_repeat_changes_nothing_and_brings_nothing_back() {
    let mut machine = Machine::default();
    let records = || vec![old(1, "1", false), old(2, "1", false), old(3, "1", false)];
    machine.import(3, records());
    machine.run(Op::SetRead { user: id("1"), id: 1, read: true, actor: None });
    machine.run(Op::DeleteNotification { user: id("1"), id: 2 });
    machine.send("1");
    let before = machine.inbox("1");
    assert_eq!(machine.import(3, records()).0, [Same, Gone, Same]);
    let ImportRecord::Notification(mut changed) = old(3, "1", false) else { panic!() };
    changed.message = "other".into();
    assert_eq!(machine.import(3, vec![ImportRecord::Notification(changed)]).0, [Differs]);
    assert_eq!(machine.inbox("1"), before);
}

#[test]
fn what_is_known_here_of_users_outweighs_the_file() {
    let mut machine = Machine::default();
    let eve = |name: &str, is_active| {
        let user = ImportUser {
            user: id("3"),
            username: name.into(),
            first_name: String::new(),
            last_name: String::new(),
            is_active,
            is_staff: false,
        };
        vec![ImportRecord::User(user)]
    };
    let seen = |name: &str, issued_at| Op::SeeUser {
        user: id("3"),
        username: name.into(),
        first_name: String::new(),
        last_name: String::new(),
        is_staff: false,
        issued_at: Some(Timestamp::from_seconds(issued_at)),
    };
    machine.run(seen("early", 5));
    assert_eq!(machine.import(0, eve("eve", false)).0, [Made], "a token has said something, the backend nothing");
    assert_eq!(machine.import(0, eve("eve", false)).0, [Same]);
    assert_eq!(machine.import(0, eve("eva", true)).0, [Differs]);
    let row = directory::of(&machine.tables, &Tenant::default(), &id("3")).expect("memory").expect("there");
    assert_eq!((&*row.username, row.is_active), ("eve", false));
}

#[test]
fn presence_never_goes_back_in_time_and_nobody_comes_online() {
    let mut machine = Machine::default();
    let at = |seconds| {
        let time = Some(Timestamp::from_seconds(seconds));
        vec![ImportRecord::Presence(ImportPresence { user: id("1"), last_seen: time, last_activity: time })]
    };
    assert_eq!(machine.import(0, at(100)).0, [Made]);
    assert_eq!(machine.import(0, at(100)).0, [Same]);
    assert_eq!(machine.import(0, at(50)).0, [Same]);
    assert_eq!(machine.import(0, at(200)).0, [Made]);
    let row = presence::of(&machine.tables, &Tenant::default(), &id("1")).expect("memory").expect("there");
    assert_eq!((row.last_seen, row.online_since), (Some(Timestamp::from_seconds(200)), None));
}

#[test]
fn a_plan_without_end_is_refused_and_nothing_of_the_call_happens() {
    let mut machine = Machine::default();
    let runs = crate::config::limits::IMPORT_RUNS_MAX as u64;
    for key in 1..=runs {
        machine.import(0, vec![old(key, "1", false)]);
        machine.send("2");
    }
    let refused = machine.run(Op::Import { reserve: 0, records: vec![old(runs + 1, "1", false)] });
    assert!(matches!(refused, Reply::Rejected(Rejection::TooMany { .. })), "{refused:?}");
    assert!(!machine.inbox("1").values().any(|(title, _)| *title == format!("old {}", runs + 1)));
}

#[derive(Clone, Debug)]
enum Step {
    Import(u64, BTreeSet<u64>),
    Send,
    Delete(usize),
    ReadAll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..40u64, proptest::collection::btree_set(1..40u64, 0..6)).prop_map(|(reserve, keys)| Step::Import(reserve, keys)),
        2 => Just(Step::Send),
        1 => any::<usize>().prop_map(Step::Delete),
        1 => Just(Step::ReadAll),
    ]
}

proptest! {
    /// However imports, sends and deletions meet: each is there once under an id of its own, and the last import
    /// repeated is no news.
    #[test]
    fn ids_are_given_once(steps in proptest::collection::vec(step(), 0..40)) {
        let mut machine = Machine::default();
        let mut expected: BTreeMap<u64, String> = BTreeMap::new();
        let mut imported = BTreeSet::new();
        for step in steps {
            match step {
                Step::Import(reserve, keys) => {
                    let records: Vec<_> = keys.iter().map(|key| old(*key, "1", key % 2 == 0)).collect();
                    let before = machine.inbox("1");
                    let (outcomes, _) = machine.import(reserve, records);
                    let after = machine.inbox("1");
                    let mut made = after.iter().filter(|(id, _)| !before.contains_key(id));
                    for (key, outcome) in keys.iter().zip(outcomes) {
                        prop_assert_eq!(outcome == Made, imported.insert(*key), "key {}", key);
                        if outcome == Made {
                            let (id, (title, read)) = made.next().expect("made");
                            prop_assert_eq!((title, *read), (&format!("old {key}"), key % 2 == 0));
                            prop_assert!(expected.insert(*id, title.clone()).is_none());
                        }
                    }
                    prop_assert!(made.next().is_none());
                }
                Step::Send => {
                    let id = machine.send("1");
                    prop_assert!(expected.insert(id, "own".into()).is_none(), "{} was given before", id);
                }
                Step::Delete(nth) => {
                    let Some(id) = expected.keys().nth(nth % expected.len().max(1)).copied() else { continue };
                    machine.run(Op::DeleteNotification { user: id_of_one(), id });
                    expected.remove(&id);
                }
                Step::ReadAll => {
                    machine.run(Op::ReadAll { user: id_of_one(), actor: None });
                }
            }
            let there: BTreeMap<_, _> = machine.inbox("1").into_iter().map(|(id, (title, _))| (id, title)).collect();
            prop_assert_eq!(&there, &expected);
        }
    }
}

fn id_of_one() -> UserId {
    id("1")
}
