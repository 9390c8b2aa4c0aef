//! The journal against what was announced: from every position that counts as known, all of it is there, in order.

use crate::{
    commands::{tenants, users},
    machine::Machine,
};
use carillon::{
    protocol::{Cursor, Group, GroupName, InV1, Pos, Tenant, UserId},
    records::{
        EffectKind, Op,
        journal::{self, PageSize},
    },
};
use serde_json::Value;

/// So small that every walk takes many pages.
const SIZE: PageSize = PageSize { events: 2, bytes: 150 };

/// Holds the journal of every group against the effects.
pub fn check(machine: &Machine) {
    let rows = &machine.tables;
    let Some(history) = journal::history(rows).expect("read") else { return };
    let applied = Pos::new(machine.log.len() as u64, Pos::COMMANDS_PER_ENTRY_MAX - 1);
    let is_known = |pos: u64| journal::is_known(rows, Cursor { history, pos: Pos(pos) }, applied).expect("read");
    assert!(!is_known(u64::MAX), "the future is not known");
    for tenant in tenants() {
        let mut groups = vec![GroupName::AdminDashboard, GroupName::SubscriptionAdmin, GroupName::Presence];
        groups.extend(users().iter().flat_map(GroupName::of_user));
        for name in groups {
            let erased = erased_at(machine, &tenant, &name);
            let group = Group { tenant: tenant.clone(), name };
            let mut walked = walk(machine, &group).into_iter().peekable();
            for (pos, shown) in announced(machine, &group) {
                let kept = walked.next_if(|(at, _)| *at == pos);
                if let Some((_, kept)) = &kept {
                    assert_eq!(*kept, shown, "{group:?} at {pos:?}");
                }
                let must_be_kept = is_known(pos.0 - 1) && erased.is_none_or(|erased| erased < pos);
                assert!(kept.is_some() || !must_be_kept, "{group:?} has no event at {pos:?}");
            }
            assert_eq!(walked.next(), None, "{group:?} has what was never announced");
        }
    }
}

/// What v1 was shown, as far as it does not change with names.
fn announced(machine: &Machine, group: &Group) -> Vec<(Pos, Vec<Value>)> {
    let of_group = machine.effects.iter().filter(|effect| effect.tenant == group.tenant);
    let events = of_group.filter_map(|effect| match &effect.kind {
        EffectKind::Publish { group: name, frames, v1, .. } if *name == group.name => {
            let frames = match v1 {
                InV1::Same => frames.clone(),
                InV1::Instead(frames) => frames.clone(),
                InV1::Change { entry, .. } => vec![format!(r#"{{"data":[{entry}]}}"#)],
            };
            Some((effect.pos, frames.iter().map(|frame| nameless(frame)).collect()))
        }
        _ => None,
    });
    events.collect()
}

/// The first position from which everything is known.
fn floor(machine: &Machine) -> Pos {
    let history = journal::history(&machine.tables).expect("read").expect("begun");
    let is_known = |pos: &u64| {
        let cursor = Cursor { history, pos: Pos(*pos) };
        journal::is_known(&machine.tables, cursor, Pos(u64::MAX)).expect("read")
    };
    let (mut unknown, mut known) = (0, u64::MAX);
    while known - unknown > 1 {
        let middle = unknown + (known - unknown) / 2;
        if is_known(&middle) { known = middle } else { unknown = middle }
    }
    let floor = Pos(known);
    let before = journal::after(&machine.tables, &group_of_nobody(), (Pos(known - 1), SIZE)).expect("read");
    assert!(before.is_none(), "what is forgotten is not walked");
    floor
}

fn group_of_nobody() -> Group {
    Group { tenant: Tenant::default(), name: GroupName::Presence }
}

fn walk(machine: &Machine, group: &Group) -> Vec<(Pos, Vec<Value>)> {
    let (mut after, mut all) = (floor(machine), Vec::new());
    loop {
        let page = journal::after(&machine.tables, group, (after, SIZE)).expect("read").expect("known");
        after = page.events.last().map_or(after, |(pos, _)| *pos);
        let frames = |frames: Vec<String>| frames.iter().map(|frame| nameless(frame)).collect();
        all.extend(page.events.into_iter().map(|(pos, of)| (pos, frames(of))));
        if !page.more {
            return all;
        }
    }
}

/// Names in presence entries are those of the moment.
fn nameless(frame: &str) -> Value {
    let mut frame: Value = serde_json::from_str(frame).expect("JSON");
    if let Some([entry]) = frame["data"].as_array().map(Vec::as_slice) {
        let kept = ["online", "user_id", "last_seen"].map(|field| entry[field].clone());
        return Value::Array(kept.to_vec());
    }
    frame.take()
}

/// When the user whose group it is was last erased.
fn erased_at(machine: &Machine, tenant: &Tenant, name: &GroupName) -> Option<Pos> {
    let owner: UserId = match name {
        GroupName::DashboardUser(user) | GroupName::SubscriptionsUser(user) | GroupName::NotificationsUser(user) => {
            user.clone()
        }
        _ => return None,
    };
    let commands = machine.log.iter().flat_map(|(index, batch)| {
        batch.commands.iter().enumerate().map(|(nth, command)| (Pos::new(*index, nth), command))
    });
    let erased = commands.filter(|(_, command)| {
        command.tenant == *tenant && matches!(&command.op, Op::EraseUser { user } if *user == owner)
    });
    erased.map(|(pos, _)| pos).max()
}
