//! Tells the cluster which groups have members on this node, and says when every node that may publish has heard.

use super::{leader::Leadership, links::Links};
use crate::{
    broker::{Edits, Interests},
    protocol::{Group, GroupName, NodeId, Tenant},
    records::{Op, ProposeError, Records, RecordsError, Reply, groups},
};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Groups that are told of at once.
const GROUPS_AT_ONCE: usize = 4_096;
/// Groups in one command.
const GROUPS_PER_COMMAND: usize = 256;
/// Pause after a failure.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct EdgeKeeper {
    pub(crate) interests: Interests,
    pub(crate) records: Records,
    pub(crate) links: Links,
    pub(crate) leadership: Leadership,
}

/// What is in the log, and waits for others to apply it.
type Waiting = VecDeque<(u64, Edits)>;

impl EdgeKeeper {
    /// Until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(self) {
        let mut applied = self.links.watch_applied();
        let mut members = self.leadership.raft().server_metrics();
        let mut ended = self.records.progress().watch_ended();
        let mut waiting = Waiting::new();
        // The boot that has said that it shows everything.
        let mut shown = None;
        loop {
            if self.has_company() {
                // For good: a boot that went back to silence would have to take back that it shows everything.
                self.interests.set_alone(false);
                let edits = self.interests.take_edits(GROUPS_AT_ONCE);
                if !edits.is_empty() {
                    self.tell(edits, &mut waiting).await;
                    self.release(&mut waiting);
                    continue;
                }
                let boot = self.records.boot();
                if shown != Some(boot) {
                    shown = self.show(boot).await.then_some(boot);
                }
            } else {
                self.interests.set_alone(true);
            }
            self.release(&mut waiting);
            tokio::select! {
                () = self.interests.changed() => {}
                _ = applied.changed() => drop(applied.borrow_and_update()),
                _ = members.changed() => drop(members.borrow_and_update()),
                _ = ended.changed() => drop(ended.borrow_and_update()),
                () = tokio::time::sleep(RETRY_PAUSE), if shown != Some(self.records.boot()) => {}
            }
        }
    }

    fn has_company(&self) -> bool {
        let is_shown = self.records.read(|rows| groups::is_shown(rows, self.leadership.node())).unwrap_or(false);
        is_shown || !self.leadership.others().is_empty()
    }

    async fn tell(&self, edits: Edits, waiting: &mut Waiting) {
        match self.propose(&edits).await {
            Ok(index) => waiting.push_back((index, edits)),
            Err(error) => {
                tracing::debug!(%error, "the cluster is told of groups again");
                self.interests.failed(edits);
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Where the last of it stands in the log.
    async fn propose(&self, edits: &Edits) -> Result<u64, ProposeError> {
        let (node, epoch) = self.records.boot();
        let mut pending = Vec::new();
        for (tenant, edits) in by_tenant(edits) {
            for piece in edits.chunks(GROUPS_PER_COMMAND) {
                let of =
                    |wanted| piece.iter().filter(move |(_, joined)| *joined == wanted).map(|(name, _)| name.clone());
                let (joined, left) = (of(true).collect(), of(false).collect());
                pending.push(self.records.start(&tenant, Op::EditGroups { node, epoch, joined, left }, None)?);
            }
        }
        let mut last = 0;
        for edit in pending {
            let committed = edit.outcome().await?;
            if committed.reply == Reply::Repeated {
                return Err(ProposeError::OutcomeUnknown);
            }
            last = committed.pos.index();
        }
        Ok(last)
    }

    async fn show(&self, (node, epoch): (NodeId, u64)) -> bool {
        let shown = self.records.propose(&Tenant::default(), Op::ShowGroups { node, epoch }).await;
        shown.is_ok_and(|committed| committed.reply == Reply::Done)
    }

    /// Lets go of what everybody has applied who isn't marked down.
    fn release(&self, waiting: &mut Waiting) {
        let Some((oldest, _)) = waiting.front() else { return };
        let reached = self.reached_by_all().unwrap_or_else(|error| {
            tracing::error!(%error, "it cannot be read which nodes are down");
            0
        });
        if reached >= *oldest {
            let known = waiting.iter().take_while(|(index, _)| *index <= reached).count();
            waiting.drain(..known).for_each(|(_, edits)| self.interests.known(&edits));
        }
    }

    fn reached_by_all(&self) -> Result<u64, RecordsError> {
        let applied = self.links.watch_applied().borrow().clone();
        let mut reached = u64::MAX;
        for node in self.leadership.others() {
            if self.records.read(|rows| groups::standing(rows, node))?.is_some() {
                reached = reached.min(applied.get(&node).map_or(0, |applied| applied.index));
            }
        }
        Ok(reached)
    }
}

/// Names of groups, and whether they have members now.
fn by_tenant(edits: &Edits) -> BTreeMap<Tenant, Vec<(GroupName, bool)>> {
    let mut tenants: BTreeMap<Tenant, Vec<_>> = BTreeMap::new();
    for (groups, has_members) in [(&edits.joined, true), (&edits.left, false)] {
        for Group { tenant, name } in groups {
            tenants.entry(tenant.clone()).or_default().push((name.clone(), has_members));
        }
    }
    tenants
}
