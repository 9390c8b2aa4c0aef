//! Running tasks: everything is put in line first and awaited afterwards, so that what was asked together shares
//! one `fdatasync`.

use super::{Done, Shape, Task};
use crate::{
    broker::{Publication, Recipients, Tally},
    config::limits::RECIPIENTS_WAIT,
    http::{Api, ApiError, answer::Answer},
    protocol::{Group, GroupName, Tenant, event::EventFrames, frames},
    records::{Idempotency, Pending, ProposeError, Reply, inbox},
};
use bytes::Bytes;
use tokio::time::Instant;

/// A task under way.
#[derive(Debug)]
pub(crate) enum Started {
    Change(Pending, Shape),
    Told(Told),
}

/// Whom an ephemeral event is reaching.
#[derive(Debug)]
pub(crate) struct Told {
    tallies: Vec<Tally>,
    /// A queue was full on the way: those after it were not told.
    is_cut: bool,
}

impl Api {
    /// Puts a task in line without waiting for it.
    pub(in crate::http) fn start(
        &self,
        tenant: &Tenant,
        task: Task,
        idempotency: Option<Idempotency>,
    ) -> Result<Started, ApiError> {
        match task {
            Task::Change(op, shape) => Ok(Started::Change(self.inner.records.start(tenant, op, idempotency)?, shape)),
            Task::Tell(groups, event) => Ok(Started::Told(self.tell(tenant, groups, event)?)),
        }
    }

    /// Waits for the outcome.
    pub(in crate::http) async fn outcome(&self, started: Started) -> Result<(Done, Shape), ApiError> {
        match started {
            Started::Change(pending, shape) => Ok((change(pending).await?, shape)),
            Started::Told(told) => {
                let done = Done { reply: Reply::Done, recipients: count(told).await, is_replay: false };
                Ok((done, Shape::Recipients))
            }
        }
    }

    /// Waits for the outcome, and says how it is answered.
    pub(in crate::http) async fn finish(&self, tenant: &Tenant, started: Started) -> Result<Answer, ApiError> {
        let (done, shape) = self.outcome(started).await?;
        let mut answer = self.answer(tenant, shape, &done)?;
        answer.is_replay = done.is_replay;
        Ok(answer)
    }

    fn answer(&self, tenant: &Tenant, shape: Shape, done: &Done) -> Result<Answer, ApiError> {
        match shape {
            Shape::Notification(sent) => sent.answer(&done.reply),
            Shape::Notifications => super::notifications::answer_many(&done.reply),
            Shape::Recipients => Ok(done.recipients()),
            Shape::Unread(id) => super::inbox::answer(id, &done.reply),
            Shape::User(user) => self.user_answer(tenant, &user),
            Shape::Closed => Ok(super::users::closed(done.recipients)),
        }
    }

    /// Publishes in order. The first group is told or refused; when a queue is full later on, the rest goes untold
    /// and the answer says that it is partial.
    fn tell(&self, tenant: &Tenant, groups: Vec<GroupName>, event: EventFrames) -> Result<Told, ApiError> {
        let frames: Vec<Bytes> = event.frames.into_iter().map(Bytes::from).collect();
        let mut told = Told { tallies: Vec::with_capacity(groups.len()), is_cut: false };
        for group in groups {
            let mut frames = frames.clone();
            if event.then_unread_count
                && let GroupName::NotificationsUser(user) = &group
            {
                let unread = self.inner.records.read(|rows| inbox::unread_count(rows, tenant, user))?;
                frames.push(frames::unread_count(unread).into());
            }
            let group = Group { tenant: tenant.clone(), name: group };
            match self.inner.broker.publish(Publication { group, frames, pos: None, except: None }) {
                Ok(tally) => told.tallies.push(tally),
                Err(overloaded) if told.tallies.is_empty() => return Err(overloaded.into()),
                Err(_) => {
                    told.is_cut = true;
                    break;
                }
            }
        }
        Ok(told)
    }
}

async fn change(pending: Pending) -> Result<Done, ApiError> {
    let committed = pending.outcome().await?;
    let (reply, is_replay) = match committed.reply {
        Reply::Replayed(first) => (*first, true),
        reply => (reply, false),
    };
    let recipients = match committed.told {
        Some(tally) => tally.wait(RECIPIENTS_WAIT).await,
        None => Recipients { count: 0, partial: false },
    };
    match reply {
        Reply::Rejected(rejection) => Err(rejection.into()),
        // Its first answer is lost; the caller's own key finds it.
        Reply::Repeated => Err(ProposeError::OutcomeUnknown.into()),
        reply => Ok(Done { reply, recipients, is_replay }),
    }
}

/// Adds up, within one time for all.
async fn count(told: Told) -> Recipients {
    let until = Instant::now() + RECIPIENTS_WAIT;
    let mut all = Recipients { count: 0, partial: told.is_cut };
    for tally in told.tallies {
        let one = tally.wait(until.saturating_duration_since(Instant::now())).await;
        all.count += one.count;
        all.partial |= one.partial;
    }
    all
}
