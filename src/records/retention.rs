//! Forgetting what is too much or too old (notifications, tickets), and finishing erasures: a task that proposes, in small parts.

use super::{LevelBound, Op, ProposeError, Records, RecordsError, Reply, erase, inbox, journal, levels, tickets};
use crate::{
    config::{Kept, Retention},
    protocol::{Pos, Tenant, Timestamp, UserId},
    wall_clock::now,
};
use std::time::Duration;
use tokio::sync::watch;
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

/// Runs until `shutdown`, a round a minute and one as soon as the settings are other ones. Of several nodes only the one
/// that `leads` does something: each proposal is worth making once.
pub async fn keep(
    records: Records,
    mut settings: watch::Receiver<Retention>,
    (leads, shutdown): (impl Fn() -> bool, CancellationToken),
) {
    loop {
        let of_now = settings.borrow_and_update().clone();
        if leads() {
            tokio::select! {
                () = shutdown.cancelled() => return,
                round = round(&records, &of_now) => if let Err(error) = round {
                    tracing::warn!(%error, "retention goes on in a minute");
                },
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
            Ok(()) = settings.changed() => {}
        }
    }
}

/// Cuts the way back for resumes, by age and size; runs until `shutdown`, and works while this node `leads`.
pub async fn keep_journal(
    records: Records,
    settings: watch::Receiver<Retention>,
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
        let of_now = settings.borrow().clone();
        if let Err(error) = trim_journal(&records, &of_now).await {
            tracing::warn!(%error, "the journal of events is cut later");
        }
    }
}

async fn round(records: &Records, settings: &Retention) -> Result<(), KeepError> {
    for (tenant, user) in records.read(|rows| erase::unfinished(rows))? {
        erase_user(records, &tenant, &user).await?;
    }
    for tenant in records.read(|rows| tickets::expired(rows, now()))? {
        while matches!(records.propose(&tenant, Op::SweepTickets).await?.reply, Reply::Progress { more: true, .. }) {}
    }
    let bounds = Bounds::at(now(), settings);
    if bounds.keep == 0 && bounds.before.is_none() && bounds.levels.is_empty() {
        return Ok(());
    }
    let mut cursor: Option<Vec<u8>> = None;
    loop {
        let (inboxes, next) = records.read(|rows| inbox::inboxes(rows, cursor.as_deref(), INBOXES_AT_ONCE))?;
        for (tenant, user, inbox) in inboxes {
            for op in bounds.due(records, (&tenant, &user), inbox.total)? {
                expire(records, &tenant, op).await?;
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

/// The settings as commands have them: with a time in place of days.
#[derive(Debug)]
struct Bounds {
    keep: u64,
    before: Option<Timestamp>,
    levels: Vec<LevelBound>,
}

impl Bounds {
    fn at(now: Timestamp, settings: &Retention) -> Self {
        let before = |days: u64| {
            let days = i64::try_from(days).unwrap_or(i64::MAX);
            (days > 0).then(|| now.plus_seconds(-days.saturating_mul(SECONDS_PER_DAY)))
        };
        let level = |(level, kept): (&str, &Kept)| LevelBound {
            level: level.to_owned(),
            keep: kept.per_user,
            before: before(kept.days),
        };
        let levels = settings.levels().into_iter().filter(|(_, kept)| **kept != Kept::default()).map(level).collect();
        Self { keep: settings.notifications_per_user, before: before(settings.notifications_days), levels }
    }

    /// What there is to do for an inbox of `total` notifications; cheap where there is nothing.
    fn due(&self, records: &Records, (tenant, user): (&Tenant, &UserId), total: u64) -> Result<Vec<Op>, RecordsError> {
        let mut due = Vec::new();
        if total == 0 {
            return Ok(due);
        }
        let too_many = self.keep > 0 && total > self.keep;
        let too_old = match self.before {
            Some(before) => records.read(|rows| inbox::oldest(rows, tenant, user))?.is_some_and(|at| at < before),
            None => false,
        };
        if too_many || too_old {
            due.push(Op::Expire { user: user.clone(), keep: self.keep, before: self.before });
        }
        let levels = &self.levels[..];
        if !levels.is_empty() && records.read(|rows| levels::is_due(rows, (tenant, user), (total, levels)))? {
            due.push(Op::ExpireLevels { user: user.clone(), bounds: levels.to_vec() });
        }
        Ok(due)
    }
}

async fn expire(records: &Records, tenant: &Tenant, op: Op) -> Result<(), KeepError> {
    loop {
        if !matches!(records.propose(tenant, op.clone()).await?.reply, Reply::Progress { more: true, .. }) {
            return Ok(());
        }
    }
}

/// What an erasure came to.
#[derive(Clone, Copy, Debug)]
pub struct Erased {
    /// Rows that went.
    pub rows: u64,
    /// Where its last part stands in the log.
    pub at: Pos,
}

/// Erases everything kept about a user, part by part. Interrupted, the next round goes on.
///
/// # Errors
/// When a part can't be committed. Once one is, there is no error that says that nothing has happened.
pub async fn erase_user(records: &Records, tenant: &Tenant, user: &UserId) -> Result<Erased, ProposeError> {
    let mut all = None;
    loop {
        let op = Op::EraseUser { user: user.clone() };
        let committed = records.propose(tenant, op).await;
        let committed = committed.map_err(|error| if all.is_some() { ProposeError::OutcomeUnknown } else { error })?;
        let at = committed.pos;
        let Reply::Progress { removed, more } = committed.reply else {
            return Ok(Erased { rows: all.unwrap_or(0), at });
        };
        let sum = all.unwrap_or(0) + removed;
        if !more {
            return Ok(Erased { rows: sum, at });
        }
        all = Some(sum);
    }
}
