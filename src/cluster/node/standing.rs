//! A node among others: keeps its lease, publishes only under it, and takes a new boot when it was marked down.

use super::company::Company;
use crate::{
    broker::Broker,
    cluster::{
        ask,
        leader::{Leadership, Route},
        wire::{Answer, Request},
    },
    protocol::{NodeId, Tenant},
    records::{Op, Records, RecordsError, groups},
};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// How often a lease is asked for.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How often a leader looks whether it still is one, and a node without a lease whether it gets one.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a node whose disk refuses waits before it tries again to begin a boot.
const BEGIN_EVERY: Duration = Duration::from_secs(1);

/// Keeps the lease. It asks from the start on, though it gets none before it stands: the leader's own lease lives on
/// whoever asks.
pub(super) struct Lease {
    pub(super) broker: Broker,
    pub(super) records: Records,
    pub(super) leadership: Leadership,
    pub(super) company: Company,
    pub(super) length: Duration,
}

/// What a leader has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    leader: NodeId,
    /// It wants to hear this again.
    clock: u64,
    is_granted: bool,
}

impl Lease {
    /// Until `shutdown`.
    pub(super) async fn keep(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.renew() => {}
        }
    }

    async fn renew(&self) {
        // All members of all others are known: for good, for whoever starts later says what it has before it has any.
        let mut sees_all = false;
        let mut heard: Option<Heard> = None;
        loop {
            let asked = Instant::now();
            let route = self.leadership.route();
            let until = match route {
                Some(Route::Here) => self.company.leases.own(),
                Some(Route::To(leader)) => {
                    heard = self.ask(leader, heard.filter(|heard| heard.leader == leader)).await;
                    if heard.is_some() {
                        self.leadership.note_answer();
                    }
                    heard.filter(|heard| heard.is_granted).map(|_| asked + self.length)
                }
                None => None,
            };
            // The leader may know of this boot before its own tables do, which may lack what others have told since.
            let stands = until.is_some() && self.stands().unwrap_or(false);
            sees_all = sees_all || (stands && self.sees_all().unwrap_or(false));
            if let Some(until) = until.filter(|_| stands && sees_all) {
                self.broker.hold_place(until);
            }
            let pause = if route == Some(Route::Here) || until.is_none() { LOOK_EVERY } else { ASK_EVERY };
            tokio::time::sleep_until(asked + pause).await;
        }
    }

    async fn ask(&self, leader: NodeId, last: Option<Heard>) -> Option<Heard> {
        let (_, epoch) = self.records.boot();
        let question = Request::Lease { epoch, echo: last.map(|heard| heard.clock) };
        match ask::ask(&self.company.links, leader, &question, self.length / 2).await? {
            Answer::Lease(clock) => clock.map(|clock| Heard { leader, clock, is_granted: true }),
            Answer::Clock(clock) => Some(Heard { leader, clock, is_granted: false }),
            _ => None,
        }
    }

    /// Whether this boot counts, as far as this node has applied.
    fn stands(&self) -> Result<bool, RecordsError> {
        let (node, epoch) = self.records.boot();
        Ok(self.records.read(|rows| groups::standing(rows, node))? == Some(epoch))
    }

    fn sees_all(&self) -> Result<bool, RecordsError> {
        for node in self.leadership.others() {
            if !self.records.read(|rows| groups::is_shown(rows, node))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Brings a node back that the others have given up.
pub(super) struct Return {
    pub(super) broker: Broker,
    pub(super) records: Records,
    pub(super) company: Company,
    /// Tells the proposer.
    pub(super) epoch: watch::Sender<u64>,
}

impl Return {
    /// Until `shutdown`.
    pub(super) async fn keep(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.come_back() => {}
        }
    }

    /// Waits until this node finds itself marked down, and begins again as another boot.
    async fn come_back(&self) {
        let mut ended = self.records.progress().watch_ended();
        loop {
            ended.borrow_and_update();
            let (node, epoch) = self.records.boot();
            match self.records.read(|rows| groups::last_ended(rows, node)) {
                Ok(Some(last)) if last >= epoch => self.begin_again(last).await,
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "it cannot be read whether this node is marked down"),
            }
            if ended.changed().await.is_err() {
                return;
            }
        }
    }

    async fn begin_again(&self, over: u64) {
        tracing::warn!(boot = over, "the others have given this node up: it begins again, and its sessions come back");
        self.broker.lose_place().await;
        let epoch = loop {
            let identity = self.company.identity.clone();
            let begun = tokio::task::spawn_blocking(move || identity.begin_boot(over)).await;
            match begun {
                Ok(Ok(epoch)) => break epoch,
                Ok(Err(error)) => tracing::error!(%error, "this node cannot begin again yet"),
                Err(error) => tracing::error!(%error, "this node cannot begin again yet"),
            }
            tokio::time::sleep(BEGIN_EVERY).await;
        };
        // Others count on a node that stands: it knows by then what was told while nobody did.
        let index = self.company.read_index().await;
        // The sender lives as long as the records.
        let _ = self.records.progress().watch_position().wait_for(|applied| *applied >= index).await;
        self.records.begin_boot(epoch);
        self.epoch.send_replace(epoch);
        // What was said meanwhile was said in the name of the boot that is over.
        self.broker.lose_place().await;
        // Whatever it proposes begins the boot.
        while let Err(error) = self.records.propose(&Tenant::default(), Op::NodeStarted).await {
            tracing::debug!(%error, "the boot is announced again");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
