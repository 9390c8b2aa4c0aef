//! The way into the log: a handle whose receiving end the cluster owns.

use super::{Command, Reply};
use crate::{protocol::Pos, tally::Tally};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// A command on its way into the log.
#[derive(Debug)]
pub struct Proposal {
    /// The change.
    pub command: Command,
    /// When it was asked for: how long it may wait counts from then.
    pub since: Instant,
    /// Answered once it is committed and applied, or refused.
    pub answer: oneshot::Sender<Result<Committed, ProposeError>>,
}

/// A command that is on disk and applied here.
#[derive(Debug)]
pub struct Committed {
    /// Where in the log.
    pub pos: Pos,
    /// What it came to.
    pub reply: Reply,
    /// Counts the outboxes of the first group that was told, or the sockets that were closed if that came first.
    pub told: Option<Tally>,
}

/// Why a command did not happen, or may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// It was never proposed.
    #[error("too many changes are waiting for the log: try again shortly")]
    Overloaded,
    /// It was never proposed.
    #[error("no leader with a majority of the cluster: nothing was changed, try again")]
    NoQuorum,
    /// It was never proposed.
    #[error("the disk is nearly full: nothing was changed; free space on the data directory's disk")]
    DiskFull,
    /// It may have happened.
    #[error("the outcome is unknown: it may have happened; retry with the same Idempotency-Key")]
    OutcomeUnknown,
}

impl ProposeError {
    /// A name for machines, the same in API answers and error frames.
    pub fn code(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::NoQuorum => "no_quorum",
            Self::DiskFull => "disk_full",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }
}

/// A handle on the log; clones share it.
#[derive(Clone, Debug)]
pub struct Proposer {
    waiting: mpsc::Sender<Proposal>,
}

impl Proposer {
    /// A handle and the end that the cluster serves; at most `limit` proposals wait.
    pub fn channel(limit: usize) -> (Self, mpsc::Receiver<Proposal>) {
        let (waiting, receiver) = mpsc::channel(limit);
        (Self { waiting }, receiver)
    }

    /// Puts a command in line, at once: the order of calls is the order in the log.
    ///
    /// # Errors
    /// When it was not taken; see [`ProposeError`].
    pub fn start(&self, command: Command) -> Result<Pending, ProposeError> {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(Proposal { command, since: Instant::now(), answer }).map_err(
            |refused| match refused {
                mpsc::error::TrySendError::Full(_) => ProposeError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => ProposeError::NoQuorum,
            },
        )?;
        Ok(Pending(answered))
    }
}

/// A command in line. Dropping it does not take it back.
#[derive(Debug)]
#[must_use = "the outcome is known only after waiting"]
pub struct Pending(oneshot::Receiver<Result<Committed, ProposeError>>);

impl Pending {
    /// Waits until the command is on disk and applied here.
    ///
    /// # Errors
    /// See [`ProposeError`]; only after [`ProposeError::OutcomeUnknown`] it may have happened.
    pub async fn outcome(self) -> Result<Committed, ProposeError> {
        // The receiving end answers every proposal it took; only its death leaves one open.
        self.0.await.unwrap_or(Err(ProposeError::OutcomeUnknown))
    }
}
