//! Packs waiting commands into one log entry, one entry in flight: what arrives meanwhile shares the next `fdatasync`.

use super::{state_machine::ToldSlot, types::Raft};
use crate::{
    protocol::{NodeId, Pos},
    records::{Batch, Command, Committed, Proposal, ProposeError, Reply},
};
use carillon_storage::log::Log;
use openraft::error::{ClientWriteError, RaftError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Commands in one entry.
const COMMANDS_MAX: usize = 1_024;
/// What the commands of one entry may weigh together ([`crate::records::Op::weight`]); a heavier one goes alone. An
/// entry is one write to the tables: without a bound, large calls made at once take gigabytes, and all time out.
const WEIGHT_MAX: usize = 8 << 20;
/// A disk with less room is full, whatever the settings say: tables that fail to be written end the node.
const ROOM_MIN: u64 = 4 << 20;
/// How long a batch may take before its callers are told that the outcome is unknown.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(2);

type Answer = oneshot::Sender<Result<Committed, ProposeError>>;

/// The receiving end of [`crate::records::Proposer`].
pub(crate) struct BatchingProposer {
    pub(crate) raft: Raft,
    pub(crate) node: NodeId,
    pub(crate) epoch: u64,
    pub(crate) told: ToldSlot,
    pub(crate) log: Log,
    /// Below so much free space, and in any case below [`ROOM_MIN`], nothing is proposed.
    pub(crate) reserve_bytes: u64,
    pub(crate) metrics: super::metrics::ProposerMetrics,
}

impl BatchingProposer {
    /// Serves proposals until every handle is gone, or until `shutdown`: then what waits is refused.
    pub(crate) async fn run(self, mut waiting: mpsc::Receiver<Proposal>, shutdown: CancellationToken) {
        let mut sequence = 0;
        let mut proposals = Vec::with_capacity(COMMANDS_MAX);
        loop {
            if proposals.is_empty() {
                let count = tokio::select! {
                    count = waiting.recv_many(&mut proposals, COMMANDS_MAX) => count,
                    () = shutdown.cancelled() => break,
                };
                if count == 0 {
                    return;
                }
            } else if shutdown.is_cancelled() {
                break;
            }
            sequence += 1;
            let together = fitting(proposals.iter().map(|proposal| proposal.command.op.weight()));
            let (commands, answers) = proposals.drain(..together).map(|p| (p.command, p.answer)).unzip();
            self.propose(sequence, commands, answers).await;
        }
        waiting.close();
        refuse(proposals.into_iter().map(|proposal| proposal.answer).collect(), ProposeError::NoQuorum);
        while let Some(proposal) = waiting.recv().await {
            refuse(vec![proposal.answer], ProposeError::NoQuorum);
        }
    }

    async fn propose(&self, sequence: u64, commands: Vec<Command>, answers: Vec<Answer>) {
        if self.disk_is_full() {
            return refuse(answers, ProposeError::DiskFull);
        }
        let started = std::time::Instant::now();
        let batch = Batch { node: self.node, epoch: self.epoch, sequence, commands };
        let written = tokio::time::timeout(COMMIT_TIMEOUT, self.raft.client_write(batch)).await;
        self.metrics.batch(answers.len(), started.elapsed());
        match written {
            Ok(Ok(response)) => self.answer(sequence, response.data, answers),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
                refuse(answers, ProposeError::NoQuorum);
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a batch of changes has an unknown outcome");
                refuse(answers, ProposeError::OutcomeUnknown);
            }
            Err(_) => {
                tracing::error!(timeout = ?COMMIT_TIMEOUT, "the disk does not answer: a batch has an unknown outcome");
                refuse(answers, ProposeError::OutcomeUnknown);
            }
        }
    }

    fn answer(&self, sequence: u64, replies: Vec<Reply>, answers: Vec<Answer>) {
        let (index, tallies) = {
            let mut told = self.told.lock();
            debug_assert_eq!(told.sequence, sequence);
            (told.index, std::mem::take(&mut told.tallies))
        };
        let mut tallies = tallies.into_iter().peekable();
        for (nth, (reply, answer)) in replies.into_iter().zip(answers).enumerate() {
            let pos = Pos::new(index, nth);
            let told = tallies.next_if(|(at, _)| *at == pos).map(|(_, tally)| tally);
            // The caller may have gone; the change is made all the same.
            let _ = answer.send(Ok(Committed { pos, reply, told }));
        }
    }

    fn disk_is_full(&self) -> bool {
        self.log.room().is_ok_and(|room| room < self.reserve_bytes.max(ROOM_MIN))
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

fn refuse(answers: Vec<Answer>, error: ProposeError) {
    for answer in answers {
        // The caller may have gone.
        let _ = answer.send(Err(error));
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
