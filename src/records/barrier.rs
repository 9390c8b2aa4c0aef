//! How a node that may be behind makes sure before it says no: it asks up to where everything is that was ever answered.
//!
//! The rows of a lone node are all there is. Among others, a node that was asked a moment ago may not have applied yet
//! what another node has answered. So a request is never ended by what this node's rows do *not* say: first the leader is
//! asked for its read index, and this node waits until it has applied that.

use super::{Progress, ProposeError};
use crate::{
    config::limits::{BARRIERS_WAITING_MAX, COMMIT_TIMEOUT},
    planted::{self, Bug},
};
use std::sync::{Arc, OnceLock};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Answered with the read index; dropped when no leader says it.
pub type Asked = oneshot::Sender<u64>;

/// A handle; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Barrier {
    /// Empty on a lone node.
    line: Arc<OnceLock<mpsc::Sender<Asked>>>,
}

impl Barrier {
    /// This node has others: the end that the cluster serves.
    pub(crate) fn begin(&self) -> mpsc::Receiver<Asked> {
        let (line, asked) = mpsc::channel(BARRIERS_WAITING_MAX);
        // A second one would never be asked.
        let _ = self.line.set(line);
        asked
    }

    /// Waits until everything that was answered at any node before this call is in the rows here.
    ///
    /// # Errors
    /// When no leader with a majority says in time how far that is, or this node does not get there in time.
    pub(super) async fn pass(&self, progress: &Progress) -> Result<(), ProposeError> {
        let Some(line) = self.line.get().filter(|_| !planted::has(Bug::BelieveRows)) else { return Ok(()) };
        let passed = async {
            let (tell, told) = oneshot::channel();
            line.send(tell).await.ok()?;
            let index = told.await.ok()?;
            progress.watch_position().wait_for(|applied| *applied >= index).await.ok().map(|_| ())
        };
        timeout(COMMIT_TIMEOUT, passed).await.ok().flatten().ok_or(ProposeError::NoQuorum)
    }
}
