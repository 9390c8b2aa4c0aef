//! Who is online: a user is while any boot of any node holds a presence socket of theirs.
//!
//! Nodes propose only the first socket and, after the grace time, the end of the last. Each transition of a user is
//! announced exactly once, by the command that causes it.

use super::{
    EffectKind, RecordsError, Reply,
    apply::Step,
    directory, groups,
    keys::{Key, Table, tenant_and_user},
    rows::{Node, Presence, User},
    txn::{self, get},
};
use crate::protocol::{
    GroupName, InV1, NodeId, Tenant, Timestamp, UserId,
    frames::{self, Person},
};
use carillon_storage::tables::{Direction, Read};
use std::ops::ControlFlow;

/// A node's boot.
pub(crate) type Boot = (NodeId, u64);

pub(crate) fn come_online<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    (node, epoch): Boot,
) -> Result<Reply, RecordsError> {
    if groups::last_ended(step.txn, node)? >= Some(epoch) {
        return Ok(Reply::Done); // A boot that is over.
    }
    let key = step.user_key(Table::Presence, user);
    let mut row: Presence = step.txn.get_or_default(&key)?;
    // The node's earlier boots are over: this one stands in for them.
    row.boots.retain(|(n, _)| *n != node);
    row.boots.push((node, epoch));
    row.last_seen = Some(step.at);
    if row.online_since.is_none() {
        row.online_since = Some(step.pos);
        let profile = directory::of(step.txn, step.tenant, user)?.unwrap_or_default();
        let person = person(user, &profile);
        let frame = frames::with_raw_data("user_online", &person);
        announce(step, (user, &person), (frame, true, Some(step.at)));
        step.effect(EffectKind::Online { user: user.clone(), person, seen: step.at });
    }
    step.txn.put(key, &row)?;
    Ok(Reply::Done)
}

pub(crate) fn go_offline<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    boot: Boot,
    (seen, activity): (Option<Timestamp>, Option<Timestamp>),
) -> Result<Reply, RecordsError> {
    let key = step.user_key(Table::Presence, user);
    let Some(mut row) = get::<Presence>(step.txn, &key)? else {
        return Ok(Reply::Done);
    };
    if !row.boots.contains(&boot) {
        return Ok(Reply::Done);
    }
    row.boots.retain(|b| *b != boot);
    row.last_activity = row.last_activity.max(activity);
    if row.boots.is_empty() {
        // After a crash nobody saw the user go: the last sign of life counts, not the time of the restart.
        row.last_seen = seen.or(row.last_seen.max(row.last_activity));
        announce_offline(step, user, &mut row)?;
    }
    step.txn.put(key, &row)?;
    Ok(Reply::Done)
}

pub(crate) fn end_stays<S: Read>(
    step: &mut Step<'_, '_, S>,
    stays: &[(UserId, NodeId, u64)],
) -> Result<Reply, RecordsError> {
    for (user, node, epoch) in stays {
        go_offline(step, user, (*node, *epoch), (None, None))?;
    }
    Ok(Reply::Done)
}

/// Tells everybody that a user has gone, if they were told that the user had come.
pub(crate) fn announce_offline<S: Read>(
    step: &mut Step<'_, '_, S>,
    user: &UserId,
    row: &mut Presence,
) -> Result<(), RecordsError> {
    if row.online_since.take().is_some() {
        let profile = directory::of(step.txn, step.tenant, user)?.unwrap_or_default();
        let frame = frames::user_offline(user, &profile.username);
        announce(step, (user, &person(user, &profile)), (frame, false, row.last_seen));
        step.effect(EffectKind::Offline { user: user.clone() });
    }
    Ok(())
}

/// Shows a transition: its own frame in v0, an entry among others in v1.
fn announce<S: Read>(
    step: &mut Step<'_, '_, S>,
    (user, person): (&UserId, &str),
    (frame, online, seen): (String, bool, Option<Timestamp>),
) {
    let entry = frames::presence_change(&frames::person_seen(person, seen), online);
    let change = InV1::Change { user: user.clone(), online, seen, entry };
    step.publish_as(GroupName::Presence, (vec![frame], change), None);
}

pub(crate) fn note_activity<S: Read>(
    step: &mut Step<'_, '_, S>,
    users: &[(UserId, Timestamp)],
) -> Result<Reply, RecordsError> {
    for (user, at) in users {
        // Whoever was erased meanwhile stays erased.
        if directory::of(step.txn, step.tenant, user)?.is_none() {
            continue;
        }
        let key = step.user_key(Table::Presence, user);
        let mut row: Presence = step.txn.get_or_default(&key)?;
        row.last_activity = row.last_activity.max(Some(*at));
        step.txn.put(key, &row)?;
    }
    Ok(Reply::Done)
}

/// A user's names have changed: the list of who is online reads differently.
pub(crate) fn renamed<S: Read>(step: &mut Step<'_, '_, S>, user: &UserId, profile: &User) -> Result<(), RecordsError> {
    let row: Option<Presence> = get(step.txn, &step.user_key(Table::Presence, user))?;
    if row.is_some_and(|row| row.online_since.is_some()) {
        step.effect(EffectKind::Renamed { user: user.clone(), person: person(user, profile) });
    }
    Ok(())
}

/// A user as an entry of `online_users`.
pub fn person(user: &UserId, profile: &User) -> String {
    frames::person(&Person {
        user_id: user.wire(),
        username: &profile.username,
        first_name: &profile.first_name,
        last_name: &profile.last_name,
    })
}

/// A user's presence, if there ever was any.
///
/// # Errors
/// When rows can't be read.
pub fn of(read: &impl Read, tenant: &Tenant, user: &UserId) -> Result<Option<Presence>, RecordsError> {
    get(read, &Key::user(Table::Presence, tenant, user))
}

/// A node's present boot number; 0 if it never started.
///
/// # Errors
/// When rows can't be read.
pub fn epoch_of(read: &impl Read, node: NodeId) -> Result<u64, RecordsError> {
    Ok(get::<Node>(read, &Key::node(node))?.map_or(0, |row| row.epoch))
}

/// Everybody's presence rows, all tenants.
///
/// # Errors
/// When rows can't be read.
pub fn all(read: &impl Read) -> Result<Vec<(Tenant, UserId, Presence)>, RecordsError> {
    let table = Key::table(Table::Presence);
    let mut rows = Vec::new();
    let mut failed = None;
    read.scan(table.as_bytes(), table.end().as_bytes(), Direction::Forward, &mut |key, value| {
        match (tenant_and_user(key), txn::decode::<Presence>(value)) {
            (Some((tenant, user)), Ok(row)) => rows.push((tenant, user, row)),
            (_, Err(error)) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            (None, _) => {}
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(rows), Err)
}
