//! Raises the cluster's feature level once every member is there and understands more: the leader's work.

use super::{leader::Leadership, links::Links, links::kind::Kind};
use crate::{
    protocol::Tenant,
    records::{Op, Records, features},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Raiser {
    pub(crate) leadership: Leadership,
    pub(crate) links: Links,
    pub(crate) records: Records,
    /// What this node understands.
    pub(crate) own: u32,
}

impl Raiser {
    /// Until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let Some(level) = self.understood_by_all() else { continue };
            let now = self.records.read(|rows| features::level(rows)).unwrap_or(level);
            if level > now && self.leadership.leads() {
                match self.records.propose(&Tenant::default(), Op::RaiseFeatures { level }).await {
                    Ok(_) => tracing::info!(level, "every node understands more now: the cluster's feature level"),
                    Err(error) => tracing::debug!(%error, level, "the feature level is raised later"),
                }
            }
        }
    }

    /// `None` while somebody is away, who may come back as an older release.
    fn understood_by_all(&self) -> Option<u32> {
        let met = self.links.met_peers();
        let mut level = self.own;
        for node in self.leadership.others() {
            let (party, _) = met.get(&node).filter(|_| self.links.is_up(node, Kind::Raft))?;
            level = level.min(party.features);
        }
        Some(level)
    }
}
