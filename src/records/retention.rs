//! Forgetting what is too much or too old, and finishing erasures: a task that proposes, in small parts.

use super::{Op, ProposeError, Records, RecordsError, Reply, erase, inbox, journal};
use crate::{
    config::Retention,
    protocol::{Tenant, Timestamp, UserId},
    wall_clock::now,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pause between two rounds through all inboxes.
const ROUND: Duration = Duration::from_secs(60);
/// Pause between two looks at the size of the journal, which costs a few rows.
const JOURNAL_ROUND: Duration = Duration::from_secs(2);
/// Inboxes looked at under one read lock.
const INBOXES_AT_ONCE: usize = 256;
const SECONDS_PER_DAY: i64 = 24 * 3_600;

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Runs until `shutdown`, a round a minute. Of several nodes only the one that `leads` does something: each proposal is
/// worth making once.
pub async fn keep(records: Records, settings: Retention, (leads, shutdown): (impl Fn() -> bool, CancellationToken)) {
    loop {
        if leads() {
            tokio::select! {
                () = shutdown.cancelled() => return,
                round = round(&records, &settings) => if let Err(error) = round {
                    tracing::warn!(%error, "retention goes on in a minute");
                },
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

/// Cuts the way back for resumes, by age and size; runs until `shutdown`, and works while this node `leads`.
pub async fn keep_journal(
    records: Records,
    settings: Retention,
    (leads, shutdown): (impl Fn() -> bool, CancellationToken),
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(JOURNAL_ROUND) => {}
        }
        if !leads() {
            continue;
        }
        if let Err(error) = trim_journal(&records, &settings).await {
            tracing::warn!(%error, "the journal of events is cut later");
        }
    }
}

async fn round(records: &Records, settings: &Retention) -> Result<(), KeepError> {
    for (tenant, user) in records.read(|rows| erase::unfinished(rows))? {
        erase_user(records, &tenant, &user).await?;
    }
    if settings.notifications_per_user == 0 && settings.notifications_days == 0 {
        return Ok(());
    }
    let days = i64::try_from(settings.notifications_days).unwrap_or(i64::MAX);
    let before = (days > 0).then(|| now().plus_seconds(-days.saturating_mul(SECONDS_PER_DAY)));
    let mut cursor: Option<Vec<u8>> = None;
    loop {
        let (inboxes, next) = records.read(|rows| inbox::inboxes(rows, cursor.as_deref(), INBOXES_AT_ONCE))?;
        for (tenant, user, inbox) in inboxes {
            let too_many = settings.notifications_per_user > 0 && inbox.total > settings.notifications_per_user;
            let too_old = match before {
                Some(before) if inbox.total > 0 => {
                    records.read(|rows| inbox::oldest(rows, &tenant, &user))?.is_some_and(|oldest| oldest < before)
                }
                _ => false,
            };
            if too_many || too_old {
                expire(records, (&tenant, &user), (settings.notifications_per_user, before)).await?;
            }
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

async fn trim_journal(records: &Records, settings: &Retention) -> Result<(), KeepError> {
    let seconds = i64::try_from(settings.resume_seconds).unwrap_or(i64::MAX);
    let before = now().plus_seconds(-seconds);
    let Some(through) = records.read(|rows| journal::to_trim(rows, before, settings.resume_bytes))? else {
        return Ok(());
    };
    let op = || Op::TrimJournal { through };
    while let Reply::Progress { more: true, .. } = records.propose(&Tenant::default(), op()).await?.reply {}
    Ok(())
}

async fn expire(
    records: &Records,
    (tenant, user): (&Tenant, &UserId),
    (keep, before): (u64, Option<Timestamp>),
) -> Result<(), KeepError> {
    loop {
        let op = Op::Expire { user: user.clone(), keep, before };
        if !matches!(records.propose(tenant, op).await?.reply, Reply::Progress { more: true, .. }) {
            return Ok(());
        }
    }
}

/// Erases everything kept about a user, part by part. Interrupted, the next round goes on.
///
/// # Errors
/// When a part can't be committed.
pub async fn erase_user(records: &Records, tenant: &Tenant, user: &UserId) -> Result<u64, ProposeError> {
    let mut all = 0;
    loop {
        let op = Op::EraseUser { user: user.clone() };
        match records.propose(tenant, op).await?.reply {
            Reply::Progress { removed, more } => {
                all += removed;
                if !more {
                    return Ok(all);
                }
            }
            _ => return Ok(all),
        }
    }
}
