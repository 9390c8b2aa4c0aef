//! openraft's state machine: entries → `records` → one commit to the tables → effects to the broker.

use super::{
    codec::AppliedState,
    counts::Counts,
    inward::Tellers,
    peer_message::CountOf,
    snapshot::{self, SnapshotBuilder, WrittenSlot},
    types::{Entry, LogId, Membership, SnapshotMeta, StorageError, StorageIOError, TypeConfig},
};
use crate::{
    broker::{Broker, CloseTarget, Publication},
    protocol::{Close, Group, NodeId, Pos},
    records::{self, Batch, Effect, EffectKind, Progress, RecordsError, Reply, Roster, groups},
    tally::Tally,
};
use bytes::Bytes;
use carillon_storage::{
    snapshot::{SnapshotFile, Snapshots},
    tables::{Tables, Writes},
};
use openraft::{AnyError, EntryPayload, OptionalSend, Snapshot, storage::RaftStateMachine};
use parking_lot::Mutex;
use std::{path::PathBuf, sync::Arc};
use tokio::sync::oneshot;

/// What a batch of this node's came to when it was applied here.
#[derive(Debug)]
pub(crate) struct Told {
    /// The log index it was applied at.
    pub(crate) index: u64,
    /// One for each command.
    pub(crate) replies: Vec<Reply>,
    /// The first publish of each command that had one.
    pub(crate) tallies: Vec<(Pos, Tally)>,
}

/// Which batch of this node's boot is waited for, and by whom.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    /// The boot whose batches are of interest.
    pub(crate) boot: (NodeId, u64),
    waiting: Option<(u64, oneshot::Sender<Told>)>,
}

/// Shared between state machine and proposer, which has one batch in flight.
pub(crate) type ToldSlot = Arc<Mutex<Awaited>>;

impl Awaited {
    /// Waits for this batch, and for no earlier one any more.
    pub(crate) fn expect(&mut self, sequence: u64) -> oneshot::Receiver<Told> {
        let (tell, told) = oneshot::channel();
        self.waiting = Some((sequence, tell));
        told
    }

    /// Who waits for this batch. A repeat of it finds nobody.
    fn take(&mut self, batch: &Batch) -> Option<oneshot::Sender<Told>> {
        let is_own = self.boot == (batch.node, batch.epoch);
        self.waiting.take_if(|(sequence, _)| is_own && *sequence == batch.sequence).map(|(_, tell)| tell)
    }
}

/// How nodes count together whom a durable event reached. Each counts its own sockets and tells the node that was asked.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) node: NodeId,
    pub(crate) counts: Counts,
    pub(crate) tellers: Tellers,
}

/// Empty for a node without company.
pub(crate) type CountingSlot = Arc<Mutex<Option<Counting>>>;

/// The tables, and what follows from changing them.
#[derive(Debug)]
pub(crate) struct StateMachine {
    pub(crate) tables: Tables,
    pub(crate) snapshots: Snapshots,
    pub(crate) written: WrittenSlot,
    pub(crate) roster: Arc<Mutex<Roster>>,
    pub(crate) broker: Broker,
    pub(crate) told: ToldSlot,
    pub(crate) applied: AppliedState,
    pub(crate) progress: Progress,
    pub(crate) counting: CountingSlot,
}

impl StateMachine {
    async fn entry(&mut self, entry: Entry) -> Result<(), ApplyError> {
        let index = entry.log_id.index;
        self.applied.last = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => self.commit(&Writes::new())?,
            EntryPayload::Membership(membership) => {
                self.applied.membership = Membership::new(Some(entry.log_id), membership);
                self.commit(&Writes::new())?;
            }
            EntryPayload::Normal(batch) => self.batch(index, &batch).await?,
        }
        self.progress.applied(index);
        Ok(())
    }

    async fn batch(&mut self, index: u64, batch: &Batch) -> Result<(), ApplyError> {
        let applied = records::apply_batch(&self.tables.reader(), index, batch)?;
        self.commit(&applied.writes)?;
        {
            let mut roster = self.roster.lock();
            applied.effects.iter().for_each(|effect| roster.take(effect));
        }
        let mut tallies: Vec<(Pos, Tally)> = Vec::new();
        let has_company = self.counting.lock().is_some();
        for effect in applied.effects {
            let pos = effect.pos;
            let is_counted =
                has_company && batch.commands.get(pos.nth()).is_some_and(|command| command.op.is_counted());
            let reaches = if is_counted { Reaches::of(&effect) } else { None };
            let tally = self.take_effect(effect).await;
            if let Some(tally) = tally
                && tallies.last().is_none_or(|(last, _)| *last != pos)
            {
                self.count_together((batch, pos), reaches, &tally)?;
                tallies.push((pos, tally));
            }
        }
        let waiting = self.told.lock().take(batch);
        if let Some(tell) = waiting {
            // Whoever waited may have given up.
            let _ = tell.send(Told { index, replies: applied.replies, tallies });
        }
        Ok(())
    }

    /// With `reaches`: adds what other nodes count to a tally of this node's caller, or tells another node what was counted for its own.
    /// Every node has the same rows at this point, so all agree on who counts.
    fn count_together(
        &self,
        (batch, pos): (&Batch, Pos),
        reaches: Option<Reaches>,
        tally: &Tally,
    ) -> Result<(), RecordsError> {
        let counting = self.counting.lock();
        let (Some(counting), Some(reaches)) = (&*counting, reaches) else { return Ok(()) };
        let own = counting.node;
        let rows = self.tables.reader();
        let mut nodes = match reaches {
            Reaches::Group(group) => groups::nodes_of(&rows, &group)?,
            Reaches::Everybody => {
                let members = self.applied.membership.nodes().map(|(node, _)| *node);
                members.filter(|node| matches!(groups::standing(&rows, *node), Ok(Some(_)))).collect()
            }
        };
        let what = CountOf::Command(pos);
        if batch.node == own {
            nodes.retain(|node| *node != own);
            counting.counts.expect(what, nodes, tally.one_more());
        } else if nodes.contains(&own) {
            counting.tellers.tell(batch.node, what, tally.clone());
        }
        Ok(())
    }

    fn commit(&self, writes: &Writes) -> Result<(), ApplyError> {
        Ok(self.tables.commit(writes, &self.applied.encode()?)?)
    }

    async fn take_effect(&self, effect: Effect) -> Option<Tally> {
        match effect.kind {
            EffectKind::Publish { group, frames, v1, except } => {
                let publication = Publication {
                    group: Group { tenant: effect.tenant, name: group },
                    frames: frames.into_iter().map(Bytes::from).collect(),
                    v1,
                    pos: Some(effect.pos),
                    except,
                };
                Some(self.broker.publish_durable(publication).await)
            }
            EffectKind::Close { user, staff_only } => {
                let target = CloseTarget::User { tenant: effect.tenant, user, staff_only };
                // Counts sockets; nobody waits here for them to end.
                Some(self.broker.close(target, Close::Disconnected).await)
            }
            EffectKind::BootEnded { node, epoch } => {
                tracing::info!(node, epoch, "a boot of a node is over");
                self.progress.boot_ended();
                None
            }
            EffectKind::Online { .. } | EffectKind::Offline { .. } | EffectKind::Renamed { .. } => None,
        }
    }
}

/// Whose sockets an effect concerns.
enum Reaches {
    Group(Group),
    Everybody,
}

impl Reaches {
    fn of(effect: &Effect) -> Option<Self> {
        match &effect.kind {
            EffectKind::Publish { group, .. } => {
                Some(Self::Group(Group { tenant: effect.tenant.clone(), name: group.clone() }))
            }
            EffectKind::Close { .. } => Some(Self::Everybody),
            _ => None,
        }
    }
}

/// Why a snapshot could not be installed; the node stops.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Tables(#[from] carillon_storage::tables::TableError),
    #[error(transparent)]
    Build(#[from] snapshot::BuildError),
}

/// Why an entry could not be applied; the node stops.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error(transparent)]
    Tables(#[from] carillon_storage::tables::TableError),
    #[error(transparent)]
    Codec(#[from] carillon_storage::CodecError),
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok((self.applied.last, self.applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = Vec::new();
        for entry in entries {
            let log_id = entry.log_id;
            self.entry(entry).await.map_err(|e| StorageIOError::apply(log_id, AnyError::new(&e)))?;
            applied.push(());
        }
        Ok(applied)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let (tables, snapshots) = (self.tables.clone(), self.snapshots.clone());
        SnapshotBuilder { tables, snapshots, written: self.written.clone() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotFile>, StorageError> {
        // A place for the file that arrives; `install_snapshot` copies it into this node's directory.
        Ok(Box::new(SnapshotFile { path: PathBuf::new(), meta: Vec::new(), bytes: 0 }))
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        snapshot: Box<SnapshotFile>,
    ) -> Result<(), StorageError> {
        let at = snapshot.path.clone();
        let failed = |e: &dyn std::fmt::Display| {
            StorageIOError::read_snapshot(None, AnyError::error(format!("{}: {e}", at.display())))
        };
        let applied = AppliedState::decode(&snapshot.meta).map_err(|e| failed(&e))?;
        let index = applied.last.map_or(0, |last| last.index);
        let (tables, snapshots) = (self.tables.clone(), self.snapshots.clone());
        let installed = tokio::task::spawn_blocking(move || {
            snapshot::adopt(&snapshots, &snapshot)?;
            tables.replace_with(&snapshot, &snapshot.meta)?;
            Roster::load(&tables.reader(), Pos::new(index, Pos::COMMANDS_PER_ENTRY_MAX - 1)).map_err(InstallError::from)
        });
        let roster = installed.await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        *self.roster.lock() = roster;
        self.applied = applied;
        self.progress.applied(index);
        self.progress.boot_ended();
        // What the snapshot leaped over was shown to no session of this node.
        let _ = self.broker.close(CloseTarget::All, Close::LostPlace).await;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        snapshot::newest(&self.snapshots, self.applied.last.map(|last| last.index))
    }
}
