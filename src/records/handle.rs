//! The records as endpoints and the server API see them: ask the tables, propose a command.

use super::{
    Barrier, Command, Committed, Idempotency, Op, Pending, Progress, ProposeError, Proposer, RecordsError, Roster,
    roster,
};
use crate::{
    planted::{self, Bug},
    protocol::{Cursor, NodeId, Pos, Tenant, UserId},
    wall_clock::now,
};
use carillon_storage::tables::{Reader, Tables};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A handle; clones share everything.
#[derive(Clone, Debug)]
pub struct Records {
    tables: Tables,
    roster: Arc<Mutex<Roster>>,
    proposer: Proposer,
    node: NodeId,
    /// 0 until the node has begun its boot.
    epoch: Arc<AtomicU64>,
    /// 0 until it is known.
    history: Arc<AtomicU64>,
    progress: Progress,
    barrier: Barrier,
}

impl Records {
    /// Puts the parts together; changes can be proposed once the node has begun its boot.
    pub fn new(tables: Tables, roster: Arc<Mutex<Roster>>, proposer: Proposer, node: NodeId) -> Self {
        Self {
            tables,
            roster,
            proposer,
            node,
            epoch: Arc::default(),
            history: Arc::default(),
            progress: Progress::default(),
            barrier: Barrier::default(),
        }
    }

    /// Runs a query on the rows as they stand between two commits. Commits wait meanwhile: keep it short.
    ///
    /// # Errors
    /// When rows can't be read.
    pub fn read<T>(&self, query: impl FnOnce(&Reader<'_>) -> Result<T, RecordsError>) -> Result<T, RecordsError> {
        query(&self.tables.reader())
    }

    /// Like [`Self::read`], with the log position that the rows stand at.
    ///
    /// # Errors
    /// When rows can't be read.
    pub fn read_at<T>(
        &self,
        query: impl FnOnce(&Reader<'_>) -> Result<T, RecordsError>,
    ) -> Result<(T, Pos), RecordsError> {
        let reader = self.tables.reader();
        let index = reader.applied().and_then(|bytes| bytes.first_chunk().copied()).map_or(0, u64::from_be_bytes);
        // Everything of that entry is in the rows.
        Ok((query(&reader)?, Pos::new(index, Pos::COMMANDS_PER_ENTRY_MAX - 1)))
    }

    /// Proposes a change, stamped with this node's clock, and waits until it is on disk and applied here.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn propose(&self, tenant: &Tenant, op: Op) -> Result<Committed, ProposeError> {
        self.start(tenant, op, None)?.outcome().await
    }

    /// Puts a change in line without waiting: the order of calls is the order in the log. With an idempotency key it
    /// happens once however often it is asked.
    ///
    /// # Errors
    /// When it was not taken.
    pub fn start(&self, tenant: &Tenant, op: Op, idempotency: Option<Idempotency>) -> Result<Pending, ProposeError> {
        let idempotency = idempotency.map(|mut idempotency| {
            if planted::has(Bug::ForgetKey) {
                idempotency.key[0] ^= u8::try_from(self.node & 0xff).unwrap_or(0);
            }
            idempotency
        });
        self.proposer.start(Command { tenant: tenant.clone(), at: now(), idempotency, op })
    }

    /// The first frames of a presence socket; see [`Roster::greeting`].
    pub fn presence_greeting(&self, tenant: &Tenant, user: &UserId, joined: Option<Pos>) -> roster::Greeting {
        self.roster.lock().greeting(tenant, user, joined)
    }

    /// The same in entries of v1; see [`Roster::entries`].
    pub fn presence_entries(&self, tenant: &Tenant, user: &UserId, joined: Option<Pos>) -> roster::Entries {
        self.roster.lock().entries(tenant, user, joined)
    }

    /// Whether a user is online.
    pub fn is_online(&self, tenant: &Tenant, user: &UserId) -> bool {
        self.roster.lock().has(tenant, user)
    }

    /// People online after a cursor, and the position they are read at; see [`Roster::page`].
    pub fn online_page(&self, tenant: &Tenant, after: Pos, limit: usize) -> (Vec<(Pos, Arc<str>)>, Pos) {
        self.roster.lock().page(tenant, after, limit)
    }

    /// Users online, over all tenants.
    pub fn online(&self) -> usize {
        self.roster.lock().len()
    }

    /// How far the log is applied here.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Waits until everything up to an entry is in the rows here, at most `limit`; whether it is.
    pub async fn applied_at_least(&self, index: u64, limit: Duration) -> bool {
        let mut position = self.progress.watch_position();
        let reached = position.wait_for(|applied| *applied >= index);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }

    /// Waits until everything that was answered at any node before this call is in the rows here. Before that, what this
    /// node's rows do not say decides nothing. A lone node's rows are all there is.
    ///
    /// # Errors
    /// [`ProposeError::NoQuorum`] if that does not come about in time.
    pub async fn catch_up(&self) -> Result<(), ProposeError> {
        self.barrier.pass(&self.progress).await
    }

    /// By which [`Self::catch_up`] asks other nodes.
    pub(crate) fn barrier(&self) -> &Barrier {
        &self.barrier
    }

    /// This node and its present boot.
    pub fn boot(&self) -> (NodeId, u64) {
        (self.node, self.epoch.load(Ordering::Acquire))
    }

    /// A position as clients keep it.
    pub fn cursor(&self, pos: Pos) -> Cursor {
        Cursor { history: self.history(), pos }
    }

    /// Which history this is; 0 until it is known.
    pub fn history(&self) -> u64 {
        self.history.load(Ordering::Acquire)
    }

    /// States which history this is, once.
    pub(crate) fn begin_history(&self, id: u64) {
        self.history.store(id, Ordering::Release);
    }

    /// States the present boot: at the start, and when the node takes another because it was marked down.
    pub(crate) fn begin_boot(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }
}
