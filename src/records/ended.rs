//! What boots of nodes leave behind that are over: users who were there and have not come back, edges of groups.
//! Whoever leads takes that away, once the grace time is over.

use super::{
    Op, ProposeError, Records, RecordsError, features, groups,
    keys::{Key, Table, tenant_and_user},
    presence,
    rows::Presence,
    txn::{self, rows_after},
};
use crate::protocol::{NodeId, Tenant, UserId};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether this node has begun to lead.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rows that are read at once: commits wait meanwhile.
const ROWS_AT_ONCE: usize = 2_000;
/// Goings that are in line at once.
const GOINGS_AT_ONCE: usize = 256;

/// Up to which boot each node's are over.
type Ended = BTreeMap<NodeId, u64>;

/// Why a round was cut short; the next one goes on.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Runs until `shutdown`, and works while this node `leads`. A user of a boot that is over has `grace` to come back,
/// to whatever node.
pub async fn sweep(records: Records, grace: Duration, (leads, shutdown): (impl Fn() -> bool, CancellationToken)) {
    let mut news = records.progress().watch_ended();
    let mut due: VecDeque<(Instant, Ended)> = VecDeque::new();
    let mut led = false;
    loop {
        // A leader that lost its place has left its rounds behind: each new one begins with everything.
        let leads_now = leads();
        if news.has_changed().unwrap_or(false) || (leads_now && !led) {
            news.mark_unchanged();
            match records.read(|rows| groups::ended_boots(rows)) {
                Ok(ended) => due.push_back((Instant::now() + grace, ended)),
                Err(error) => tracing::error!(%error, "it cannot be read which boots are over"),
            }
        }
        led = leads_now;
        while due.front().is_some_and(|(at, _)| *at <= Instant::now())
            && let Some((_, ended)) = due.pop_front()
        {
            if leads_now && let Err(error) = round(&records, &ended).await {
                tracing::warn!(%error, "users of a node that is gone go offline later");
                due.push_front((Instant::now() + LOOK_EVERY, ended));
            }
        }
        let next = due.front().map_or(Instant::now() + LOOK_EVERY, |(at, _)| (*at).min(Instant::now() + LOOK_EVERY));
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = news.changed() => news.mark_changed(),
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

async fn round(records: &Records, ended: &Ended) -> Result<(), SweepError> {
    let table = Key::table(Table::Presence);
    let mut after = None;
    loop {
        let rows = records.read(|rows| rows_after(rows, (&table, after.as_ref()), ROWS_AT_ONCE))?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.clone());
        let mut goings = Vec::new();
        for (key, value) in &rows {
            let Some((tenant, user)) = tenant_and_user(key.as_bytes()) else { continue };
            let row: Presence = txn::decode(value)?;
            let over = row.boots.into_iter().filter(|(node, epoch)| ended.get(node).is_some_and(|last| epoch <= last));
            goings.extend(over.map(|boot| (tenant.clone(), user.clone(), boot)));
        }
        for chunk in goings.chunks(GOINGS_AT_ONCE) {
            end(records, chunk).await?;
        }
    }
    prune(records).await
}

async fn end(records: &Records, goings: &[(Tenant, UserId, presence::Boot)]) -> Result<(), SweepError> {
    let ops = if records.read(|rows| features::level(rows))? >= features::END_STAYS {
        together(goings)
    } else {
        one_by_one(goings)
    };
    let mut pending = Vec::with_capacity(ops.len());
    for (tenant, op) in ops {
        pending.push(records.start(&tenant, op, None)?);
    }
    for going in pending {
        going.outcome().await?;
    }
    Ok(())
}

fn together(goings: &[(Tenant, UserId, presence::Boot)]) -> Vec<(Tenant, Op)> {
    let mut stays: BTreeMap<Tenant, Vec<(UserId, NodeId, u64)>> = BTreeMap::new();
    for (tenant, user, (node, epoch)) in goings {
        stays.entry(tenant.clone()).or_default().push((user.clone(), *node, *epoch));
    }
    stays.into_iter().map(|(tenant, stays)| (tenant, Op::EndStays { stays })).collect()
}

/// As nodes understand it that don't know [`Op::EndStays`].
fn one_by_one(goings: &[(Tenant, UserId, presence::Boot)]) -> Vec<(Tenant, Op)> {
    let going = |(tenant, user, (node, epoch)): &(Tenant, UserId, presence::Boot)| {
        let op = Op::GoOffline { user: user.clone(), node: *node, epoch: *epoch, seen: None, activity: None };
        (tenant.clone(), op)
    };
    goings.iter().map(going).collect()
}

async fn prune(records: &Records) -> Result<(), SweepError> {
    let mut after = None;
    loop {
        let (stale, last) = records.read(|rows| groups::to_prune(rows, (after.as_ref(), ROWS_AT_ONCE)))?;
        for groups in stale.chunks(GOINGS_AT_ONCE) {
            records.propose(&Tenant::default(), Op::PruneGroups { groups: groups.to_vec() }).await?;
        }
        match last {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}
