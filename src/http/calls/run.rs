//! Running tasks: everything is put in line first and awaited afterwards, so that what was asked together shares
//! one `fdatasync`.

use super::{Done, Shape, Task};
use crate::{
    broker::Publication,
    config::limits::RECIPIENTS_WAIT,
    http::{Api, ApiError, answer::Answer},
    planted::{self, Bug},
    protocol::{Group, GroupName, InV1, Pos, Tenant, Timestamp, UserId, event::EventFrames, frames},
    records::{Committed, Idempotency, Pending, ProposeError, Reply, inbox},
    tally::{Recipients, Tally},
};
use bytes::Bytes;
use tokio::time::Instant;

/// A task under way.
#[derive(Debug)]
pub(crate) enum Started {
    Change(Pending, Shape),
    Told(Told),
}

/// A task that is on disk, or needs none; whom it reaches is yet to be counted.
#[derive(Debug)]
pub(crate) struct Settled {
    reply: Reply,
    is_replay: bool,
    /// Where in the log it is; `None` for what is not stored.
    at: Option<Pos>,
    told: Told,
    shape: Shape,
}

/// Whom an event is reaching.
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

    /// How a settled task is answered. Recipients are counted until `until`.
    pub(in crate::http) async fn finish(settled: Settled, until: Instant) -> Result<Answer, ApiError> {
        // Who is not told how many were reached does not wait for the count.
        let until = if settled.shape.shows_recipients() { until } else { Instant::now() };
        let at = settled.at;
        let (done, shape) = settled.done(until).await;
        let mut answer = Self::answer(shape, &done)?.stored_at(at);
        answer.is_replay = done.is_replay;
        Ok(answer)
    }

    fn answer(shape: Shape, done: &Done) -> Result<Answer, ApiError> {
        match shape {
            Shape::Notification(sent) => sent.answer(&done.reply),
            Shape::Notifications => super::notifications::answer_many(&done.reply),
            Shape::Recipients => Ok(done.recipients()),
            Shape::Unread(id) => super::inbox::answer(id, &done.reply),
            Shape::User(user) => Ok(super::users::put_answer(&user, &done.reply)),
            Shape::Imported => super::import::answer(&done.reply),
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
            match self.inner.broker.publish(Publication { group, frames, v1: InV1::Same, pos: None, except: None }) {
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

impl Started {
    /// Waits until it is committed, if it is stored.
    pub(in crate::http) async fn settle(self) -> Result<Settled, ApiError> {
        let (pending, shape) = match self {
            Self::Change(pending, shape) => (pending, shape),
            Self::Told(told) => {
                return Ok(Settled { reply: Reply::Done, is_replay: false, at: None, told, shape: Shape::Recipients });
            }
        };
        let committed = match pending.outcome().await {
            Err(ProposeError::OutcomeUnknown) if planted::has(Bug::AnswerAlone) => made_up(&shape)?,
            outcome => outcome?,
        };
        let at = Some(committed.pos);
        let (reply, is_replay) = match committed.reply {
            Reply::Replayed(first) => (*first, true),
            reply => (reply, false),
        };
        match reply {
            Reply::Rejected(rejection) => Err(rejection.into()),
            // Its first answer is lost; the caller's own key finds it.
            Reply::Repeated => Err(ProposeError::OutcomeUnknown.into()),
            reply => {
                let told = Told { tallies: committed.told.into_iter().collect(), is_cut: false };
                Ok(Settled { reply, is_replay, at, told, shape })
            }
        }
    }
}

impl Settled {
    /// Counts who was told, until `until`.
    pub(in crate::http) async fn done(self, until: Instant) -> (Done, Shape) {
        let Self { reply, is_replay, told, shape, .. } = self;
        let mut recipients = Recipients { count: 0, partial: told.is_cut };
        for tally in told.tallies {
            let one = tally.wait(until.saturating_duration_since(Instant::now())).await;
            recipients.count += one.count;
            recipients.partial |= one.partial;
        }
        (Done { reply, recipients, is_replay }, shape)
    }
}

/// What a node says that has [`Bug::AnswerAlone`].
fn made_up(shape: &Shape) -> Result<Committed, ProposeError> {
    let user = UserId::new("0").ok().filter(|_| matches!(shape, Shape::Notification(_)));
    let notifications = vec![(user.ok_or(ProposeError::OutcomeUnknown)?, 1 << 40)];
    let reply = Reply::Created { notifications, created_at: Timestamp(0) };
    Ok(Committed { pos: Pos::default(), reply, told: None })
}

/// When counting ends that begins now.
pub(in crate::http) fn counting_ends() -> Instant {
    Instant::now() + RECIPIENTS_WAIT
}
