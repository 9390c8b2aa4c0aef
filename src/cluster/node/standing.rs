//! A node among others: keeps its lease, publishes only under it, and takes a new boot when it was marked down.

use super::company::Company;
use crate::{
    broker::Broker,
    cluster::{
        leader::{Leadership, Route},
        links::kind::Kind,
        wire::{self, Answer, Request},
    },
    protocol::{NodeId, Tenant},
    records::{Op, Records, RecordsError, groups},
};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// How often a lease is asked for.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// How often a leader looks whether it still is one.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// See the module.
pub(super) struct Standing {
    pub(super) broker: Broker,
    pub(super) records: Records,
    pub(super) leadership: Leadership,
    pub(super) company: Company,
    pub(super) lease: Duration,
    /// Tells the proposer.
    pub(super) epoch: watch::Sender<u64>,
}

impl Standing {
    /// Until `shutdown`.
    pub(super) async fn keep(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = async { tokio::join!(self.renew(), self.come_back()); } => {}
        }
    }

    async fn renew(&self) {
        // All members of all others are known: for good, for whoever starts later says what it has before it has any.
        let mut sees_all = false;
        // What which leader wants to hear again.
        let mut echo: Option<(NodeId, u64)> = None;
        loop {
            let asked = Instant::now();
            sees_all = sees_all || self.sees_all().unwrap_or(false);
            let route = self.leadership.route();
            let until = match route {
                Some(Route::Here) => self.company.leases.own(self.lease),
                Some(Route::To(leader)) => {
                    let last = echo.take().filter(|(of, _)| *of == leader).map(|(_, echo)| echo);
                    echo = self.ask(leader, last).await.map(|echo| (leader, echo));
                    echo.map(|_| asked + self.lease)
                }
                None => None,
            };
            if let Some(until) = until.filter(|_| sees_all) {
                self.broker.hold_place(until);
            }
            let pause = if route == Some(Route::Here) || until.is_none() { LOOK_EVERY } else { ASK_EVERY };
            tokio::time::sleep_until(asked + pause).await;
        }
    }

    async fn ask(&self, leader: NodeId, echo: Option<u64>) -> Option<u64> {
        let (_, epoch) = self.records.boot();
        let body = wire::encode(&Request::Lease { epoch, echo }).ok()?;
        let asked = tokio::time::timeout(self.lease / 2, self.company.links.call(leader, Kind::Calls, body)).await;
        match wire::decode(&asked.ok()?.ok()?) {
            Ok(Answer::Lease(echo)) => echo,
            _ => None,
        }
    }

    fn sees_all(&self) -> Result<bool, RecordsError> {
        for node in self.leadership.others() {
            if !self.records.read(|rows| groups::is_shown(rows, node))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until this node finds itself marked down, and begins again as another boot.
    async fn come_back(&self) {
        let mut ended = self.records.progress().watch_ended();
        loop {
            ended.borrow_and_update();
            let (node, epoch) = self.records.boot();
            match self.records.read(|rows| groups::last_ended(rows, node)) {
                Ok(last) if last >= Some(epoch) => self.begin_again(epoch).await,
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
        let identity = self.company.identity.clone();
        let begun = tokio::task::spawn_blocking(move || identity.begin_boot(over)).await;
        let epoch = match begun {
            Ok(Ok(epoch)) => epoch,
            Ok(Err(error)) => return tracing::error!(%error, "this node cannot begin again"),
            Err(error) => return tracing::error!(%error, "this node cannot begin again"),
        };
        self.records.begin_boot(epoch);
        self.epoch.send_replace(epoch);
        self.broker.lose_place().await;
        // Whatever it proposes begins the boot.
        while let Err(error) = self.records.propose(&Tenant::default(), Op::NodeStarted).await {
            tracing::debug!(%error, "the boot is announced again");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
