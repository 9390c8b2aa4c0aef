//! Packs waiting commands into one log entry, one entry in flight: what arrives meanwhile shares the next `fdatasync`.
//!
//! The entry goes to whoever leads. A command is answered when it is applied *here*, so that whoever asked can read
//! what was written. Until an entry is on its way its commands may still be refused as never proposed (`no_quorum`);
//! from then on, for ever, they can only be done or of unknown outcome. A batch keeps its number however often it is
//! sent, so that the state machine takes it once.

use super::{
    leader::{Leadership, Route},
    links::{LinkError, Links, kind::Kind},
    metrics::ProposerMetrics,
    state_machine::{Told, ToldSlot},
    wire::{self, Answer, Proposed, Request},
};
use crate::{
    config::limits::{COMMIT_TIMEOUT, DISK_TIMEOUT},
    protocol::Pos,
    records::{Batch, Command, Committed, Proposal, ProposeError},
};
use bytes::Bytes;
use std::{collections::VecDeque, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Commands in one entry.
const COMMANDS_MAX: usize = 1_024;
/// What the commands of one entry may weigh together ([`crate::records::Op::weight`]); a heavier one goes alone. An
/// entry is one write to the tables: without a bound, large calls made at once take gigabytes, and all time out.
const WEIGHT_MAX: usize = 8 << 20;
/// A batch that takes longer than this is slow: those who wait for the next one may have to be told so.
const TAKE_IN_AFTER: Duration = Duration::from_millis(100);
/// Pause before a leader that did not take a batch is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// How long a change may wait. Counted from its own beginning or from the last commit, whichever is later: a long line
/// that moves on is no lost majority.
#[derive(Clone, Copy, Debug)]
struct Patience {
    limit: Duration,
    last_commit: Instant,
}

impl Patience {
    /// Until when a change that waits since then does.
    fn until(self, since: Instant) -> Instant {
        since.max(self.last_commit) + self.limit
    }
}

/// The receiving end of [`crate::records::Proposer`].
pub(crate) struct BatchingProposer {
    pub(crate) leadership: Leadership,
    /// The way to other nodes, if there are any.
    pub(crate) links: Option<Links>,
    /// The present boot; another one begins between two batches.
    pub(crate) epoch: watch::Receiver<u64>,
    pub(crate) told: ToldSlot,
    pub(crate) metrics: ProposerMetrics,
}

/// A batch on its way.
struct Sealed {
    /// What goes to another node.
    bytes: Option<Bytes>,
    /// What goes into this node's log; left where it is sent but once.
    batch: Option<Batch>,
    told: oneshot::Receiver<Told>,
    answers: Answers,
    /// Whether it may have been taken somewhere.
    is_loose: bool,
}

/// Who waits for a batch, in order; those that have waited too long are answered and gone.
/// With each until when.
struct Answers(Vec<Option<(Instant, Answerer)>>);

type Answerer = oneshot::Sender<Result<Committed, ProposeError>>;

/// What came of sending a batch.
enum Sent {
    Done(Told),
    /// Everybody who waited has been told that the outcome is not known.
    Expired,
    /// It was never taken anywhere, and can't be any more.
    Never(ProposeError),
}

impl BatchingProposer {
    /// Serves proposals until every handle is gone, or until `shutdown`: then what waits is refused.
    pub(crate) async fn run(self, mut incoming: mpsc::Receiver<Proposal>, shutdown: CancellationToken) {
        let (mut epoch, mut sequence) = (*self.epoch.borrow(), 0);
        // Alone there is no majority to lose: only the disk can be slow.
        let limit = if self.links.is_some() { COMMIT_TIMEOUT } else { DISK_TIMEOUT };
        let mut patience = Patience { limit, last_commit: Instant::now() };
        let mut waiting: VecDeque<Proposal> = VecDeque::with_capacity(COMMANDS_MAX);
        loop {
            tokio::select! {
                ready = self.ready(patience, (&mut waiting, &mut incoming)) => if !ready { return },
                () = shutdown.cancelled() => break,
            }
            if self.leadership.disk_is_full() {
                // What a node says of itself is for others, who may have room; it must not be kept from taking part.
                let has_company = self.links.is_some();
                let (own, others): (VecDeque<_>, VecDeque<_>) =
                    waiting.drain(..).partition(|waiting| has_company && waiting.command.op.is_of_node());
                refuse(others, ProposeError::DiskFull);
                waiting = own;
                if waiting.is_empty() {
                    continue;
                }
            }
            let now = *self.epoch.borrow();
            if now != epoch {
                (epoch, sequence) = (now, 0);
                self.told.lock().boot = (self.leadership.node(), epoch);
            }
            sequence += 1;
            if self.propose((epoch, sequence, patience), (&mut waiting, &mut incoming)).await {
                patience.last_commit = Instant::now();
            }
        }
        incoming.close();
        refuse(waiting, ProposeError::NoQuorum);
        while let Some(proposal) = incoming.recv().await {
            refuse([proposal], ProposeError::NoQuorum);
        }
    }

    /// Waits until something waits and somebody leads; false when no handle is left. Refuses what waits for too long.
    async fn ready(
        &self,
        patience: Patience,
        (waiting, incoming): (&mut VecDeque<Proposal>, &mut mpsc::Receiver<Proposal>),
    ) -> bool {
        loop {
            take_in(waiting, incoming);
            expire(waiting, patience);
            if waiting.is_empty() {
                let Some(first) = incoming.recv().await else { return false };
                waiting.push_back(first);
                continue;
            }
            let route = self.leadership.route();
            if route.is_some() {
                return true;
            }
            let until = waiting.front().map_or_else(Instant::now, |oldest| patience.until(oldest.since));
            tokio::select! {
                () = self.leadership.changed_from(route) => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Whether it was committed.
    async fn propose(
        &self,
        (epoch, sequence, patience): (u64, u64, Patience),
        (waiting, incoming): (&mut VecDeque<Proposal>, &mut mpsc::Receiver<Proposal>),
    ) -> bool {
        let together = fitting(waiting.iter().map(|proposal| proposal.command.op.weight()));
        let started = Instant::now();
        let (commands, answers): (Vec<Command>, Vec<_>) =
            waiting.drain(..together).map(|p| (p.command, Some((patience.until(p.since), p.answer)))).unzip();
        let batch = Batch { node: self.leadership.node(), epoch, sequence, commands };
        let told = self.told.lock().expect(sequence);
        let mut sealed = Sealed { bytes: None, batch: Some(batch), told, answers: Answers(answers), is_loose: false };
        let sent = {
            let send = self.send(&mut sealed);
            let slow = tokio::time::sleep(TAKE_IN_AFTER);
            tokio::pin!(send, slow);
            // Usually it is done in a moment: whoever comes meanwhile waits without waking anybody.
            let mut is_slow = false;
            loop {
                let until = waiting.front().map(|oldest| patience.until(oldest.since));
                tokio::select! {
                    biased;
                    sent = &mut send => break sent,
                    () = &mut slow, if !is_slow => is_slow = true,
                    Some(proposal) = incoming.recv(), if is_slow && waiting.len() < COMMANDS_MAX => {
                        waiting.push_back(proposal);
                    }
                    () = tokio::time::sleep_until(until.unwrap_or(started)), if is_slow && until.is_some() => {
                        expire(waiting, patience);
                    }
                }
            }
        };
        self.metrics.batch(together, started.elapsed());
        let is_done = matches!(sent, Sent::Done(_));
        match sent {
            Sent::Done(told) => sealed.answers.done(told),
            Sent::Expired => {
                tracing::warn!(
                    sequence,
                    "a batch of changes has an unknown outcome: neither a majority nor a disk has answered in time"
                );
            }
            Sent::Never(error) => sealed.answers.refuse(error),
        }
        is_done
    }

    /// Sends a batch to one leader after the other until it is applied here, or everybody who waits has given up.
    async fn send(&self, sealed: &mut Sealed) -> Sent {
        loop {
            let route = self.leadership.route();
            let taken = match route {
                Some(route) => {
                    let attempt = self.attempt(route, (&mut sealed.bytes, &mut sealed.batch));
                    // Here the attempt ends by itself, right after: openraft complains if nobody waits for its answer.
                    let is_elsewhere = route != Route::Here;
                    tokio::select! {
                        biased;
                        taken = attempt => taken,
                        told = &mut sealed.told, if is_elsewhere => return told.map_or(Sent::Expired, Sent::Done),
                        // What the old leader took, the new one may have or not.
                        () = self.deposed(route) => Proposed::Unknown,
                        () = sealed.answers.expired() => return Sent::Expired,
                    }
                }
                None => Proposed::NotLeader,
            };
            match taken {
                Proposed::Committed => {
                    // It comes here with the next the leader says.
                    tokio::select! {
                        told = &mut sealed.told => return told.map_or(Sent::Expired, Sent::Done),
                        () = sealed.answers.expired() => return Sent::Expired,
                    }
                }
                Proposed::DiskFull if !sealed.is_loose => return Sent::Never(ProposeError::DiskFull),
                Proposed::NotLeader if !sealed.is_loose && sealed.answers.is_late() => {
                    return Sent::Never(ProposeError::NoQuorum);
                }
                Proposed::NotLeader | Proposed::DiskFull => {}
                Proposed::Unknown => sealed.is_loose = true,
            }
            tokio::select! {
                biased;
                told = &mut sealed.told => return told.map_or(Sent::Expired, Sent::Done),
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
            if sealed.is_loose && sealed.answers.expire() {
                return Sent::Expired;
            }
        }
    }

    /// Waits for another leader than that of `route`; alone there is none.
    async fn deposed(&self, route: Route) {
        match &self.links {
            Some(_) => self.leadership.deposed(route).await,
            None => std::future::pending().await,
        }
    }

    /// Sends a batch to one leader.
    async fn attempt(&self, route: Route, (bytes, batch): (&mut Option<Bytes>, &mut Option<Batch>)) -> Proposed {
        match (route, &self.links) {
            (Route::Here, None) => match batch.take() {
                Some(batch) => self.leadership.take(batch).await,
                // It went into the only log there is, once.
                None => Proposed::Unknown,
            },
            (Route::Here, Some(_)) => match batch.clone() {
                Some(batch) => self.leadership.take(batch).await,
                None => Proposed::Unknown,
            },
            (Route::To(leader), Some(links)) => {
                if bytes.is_none() {
                    *bytes = batch.clone().and_then(|batch| wire::encode(&Request::Propose(batch)).ok());
                }
                let Some(bytes) = bytes.clone() else { return Proposed::NotLeader };
                match links.call(leader, Kind::Calls, bytes).await {
                    Ok(answer) => match wire::decode(&answer) {
                        Ok(Answer::Proposed(proposed)) => proposed,
                        _ => Proposed::Unknown,
                    },
                    Err(LinkError::Down | LinkError::Full) => Proposed::NotLeader,
                    Err(LinkError::Lost) => Proposed::Unknown,
                }
            }
            (Route::To(_), None) => Proposed::NotLeader,
        }
    }
}

impl Answers {
    fn done(self, told: Told) {
        let mut tallies = told.tallies.into_iter().peekable();
        for (nth, (reply, answer)) in told.replies.into_iter().zip(self.0).enumerate() {
            let pos = Pos::new(told.index, nth);
            let told = tallies.next_if(|(at, _)| *at == pos).map(|(_, tally)| tally);
            if let Some((_, answer)) = answer {
                // The caller may have gone; the change is made all the same.
                let _ = answer.send(Ok(Committed { pos, reply, told }));
            }
        }
    }

    fn refuse(self, error: ProposeError) {
        for (_, answer) in self.0.into_iter().flatten() {
            // The caller may have gone.
            let _ = answer.send(Err(error));
        }
    }

    /// Whether somebody has waited for too long.
    fn is_late(&self) -> bool {
        self.0.iter().flatten().any(|(until, _)| *until <= Instant::now())
    }

    /// Tells those who have waited for too long that the outcome is not known; whether nobody waits any more.
    fn expire(&mut self) -> bool {
        for waiting in &mut self.0 {
            if let Some((_, answer)) = waiting.take_if(|(until, _)| *until <= Instant::now()) {
                // The caller may have gone.
                let _ = answer.send(Err(ProposeError::OutcomeUnknown));
            }
        }
        self.0.iter().all(Option::is_none)
    }

    /// Expires one after the other, until nobody waits any more.
    async fn expired(&mut self) {
        while !self.expire() {
            let next = self.0.iter().flatten().map(|(until, _)| *until).min();
            tokio::time::sleep_until(next.unwrap_or_else(Instant::now)).await;
        }
    }
}

/// Takes in what has come, up to what fits into an entry.
fn take_in(waiting: &mut VecDeque<Proposal>, incoming: &mut mpsc::Receiver<Proposal>) {
    while waiting.len() < COMMANDS_MAX
        && let Ok(proposal) = incoming.try_recv()
    {
        waiting.push_back(proposal);
    }
}

/// Refuses what has waited for too long: it was never proposed.
fn expire(waiting: &mut VecDeque<Proposal>, patience: Patience) {
    while waiting.front().is_some_and(|oldest| patience.until(oldest.since) <= Instant::now()) {
        refuse(waiting.pop_front(), ProposeError::NoQuorum);
    }
}

/// How many of the first commands go into one entry: at least one.
fn fitting(weights: impl Iterator<Item = usize>) -> usize {
    let mut sum = 0_usize;
    let within = weights.take_while(|weight| {
        sum = sum.saturating_add(*weight);
        sum <= WEIGHT_MAX
    });
    within.count().max(1)
}

fn refuse(proposals: impl IntoIterator<Item = Proposal>, error: ProposeError) {
    for proposal in proposals {
        // The caller may have gone.
        let _ = proposal.answer.send(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_bounded_by_weight_and_never_empty() {
        let table: [(&[usize], usize); 5] = [
            (&[1, 1, 1], 3),
            (&[WEIGHT_MAX, 1], 1),
            (&[WEIGHT_MAX - 1, 1, 1], 2),
            (&[WEIGHT_MAX + 1, 1], 1),
            (&[1, WEIGHT_MAX, 1], 1),
        ];
        for (weights, together) in table {
            assert_eq!(fitting(weights.iter().copied()), together, "{weights:?}");
        }
    }
}
