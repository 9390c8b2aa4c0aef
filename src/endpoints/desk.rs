//! Presence on this node: counts tabs, proposes comings and goings, waits out the grace time.

use super::{
    AdmitError, Client, Greeting,
    activity::Activity,
    tabs::{Millis, Tabs, Who},
};
use crate::{
    config::limits::ONLINE_PAGE,
    protocol::{Edition, NodeId, Tenant, Timestamp, UserId, frames},
    records::{Op, Pending, ProposeError, Records, RecordsError, presence, roster::Entries},
    wall_clock::now,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often ended grace times are looked for.
const TICK: Duration = Duration::from_millis(200);
/// How often activity goes into the log.
const ACTIVITY_PERIOD: Duration = Duration::from_secs(60);
/// When a going that could not be committed is tried again.
const RETRY_MS: Millis = 1_000;
/// Users in one activity command.
const USERS_PER_COMMAND: usize = 500;
/// Goings that are in line at once.
const GOINGS_AT_ONCE: usize = 256;

/// A handle; clones share it.
#[derive(Clone, Debug)]
pub struct PresenceDesk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    records: Records,
    grace_ms: Millis,
    started: Instant,
    tabs: Mutex<Tabs>,
    activity: Activity,
}

impl PresenceDesk {
    /// Starts the desk. Users of earlier boots are [`crate::records::ended`]'s business.
    pub fn start(records: Records, grace: Duration, (tracker, shutdown): (&TaskTracker, &CancellationToken)) -> Self {
        let grace_ms = millis(grace);
        let inner =
            Inner { records, grace_ms, started: Instant::now(), tabs: Mutex::default(), activity: Activity::default() };
        let desk = Self { inner: Arc::new(inner) };
        tracker.spawn(desk.clone().run(shutdown.clone()));
        desk
    }

    /// A presence socket has opened: makes the user come online and says what greets the socket.
    pub(super) async fn opened(&self, client: &Client) -> Result<Greeting, AdmitError> {
        let (tenant, user) = (&client.tenant, &client.user);
        let who = (tenant.clone(), user.clone());
        let pending = {
            let mut tabs = self.inner.tabs.lock();
            let is_online = self.inner.records.is_online(tenant, user);
            let boot = self.inner.records.boot();
            tabs.opened(&who, (boot.1, is_online)).map(|stay| ((stay, boot.1), self.come_online(&who, boot)))
        };
        let joined = match pending {
            None => None,
            Some((stay_and_boot, pending)) => {
                let committed = pending?.outcome().await?;
                self.inner.tabs.lock().announced(&who, stay_and_boot);
                Some(committed.pos)
            }
        };
        match client.edition {
            Edition::V0 => {
                let greeting = self.inner.records.presence_greeting(tenant, user, joined);
                let own = greeting.own.map_or_else(|| self.person(tenant, user), |own| Ok(own.to_string()))?;
                let frames = vec![greeting.list.to_string(), frames::with_raw_data("user_online", &own)];
                Ok(Greeting { frames, at: greeting.at })
            }
            Edition::V1 => {
                let Entries { people, own, at } = self.inner.records.presence_entries(tenant, user, joined);
                let own = match own {
                    Some(own) => own,
                    None => frames::person_seen(&self.person(tenant, user)?, None),
                };
                let mut frames = pages(&people);
                frames.push(frames::with_raw_data("user_online", &own));
                Ok(Greeting { frames, at })
            }
        }
    }

    /// A presence socket has closed.
    pub(super) fn closed(&self, tenant: &Tenant, user: &UserId) {
        let leaves_at = self.now_ms() + self.inner.grace_ms;
        self.inner.tabs.lock().closed(&(tenant.clone(), user.clone()), leaves_at);
    }

    /// A frame came in from this user, on whatever endpoint.
    pub(super) fn heard_from(&self, tenant: &Tenant, user: &UserId) {
        self.inner.activity.heard_from((tenant.clone(), user.clone()), now());
    }

    /// Presence sockets of a user on this node.
    pub fn connections(&self, tenant: &Tenant, user: &UserId) -> u32 {
        self.inner.tabs.lock().sockets(&(tenant.clone(), user.clone()))
    }

    /// When a user was last heard from, if the log does not know yet.
    pub fn recent_activity(&self, tenant: &Tenant, user: &UserId) -> Option<Timestamp> {
        self.inner.activity.of(&(tenant.clone(), user.clone()))
    }

    /// Forgets when an erased user was last heard from.
    pub fn forget(&self, tenant: &Tenant, user: &UserId) {
        self.inner.activity.take(&(tenant.clone(), user.clone()));
    }

    /// Puts what is known of activity into the log; the last act of a server that stops.
    pub async fn save_activity(&self) {
        let mut by_tenant: HashMap<Tenant, Vec<(UserId, Timestamp)>> = HashMap::new();
        for ((tenant, user), at) in self.inner.activity.take_all() {
            by_tenant.entry(tenant).or_default().push((user, at));
        }
        for (tenant, mut users) in by_tenant {
            // So that the same users make the same command.
            users.sort();
            for users in users.chunks(USERS_PER_COMMAND) {
                let op = Op::NoteActivity { users: users.to_vec() };
                if let Err(error) = self.inner.records.propose(&tenant, op).await {
                    tracing::warn!(%error, %tenant, "activity is recorded later");
                    for (user, at) in users {
                        self.inner.activity.put_back((tenant.clone(), user.clone()), *at);
                    }
                }
            }
        }
    }

    async fn run(self, shutdown: CancellationToken) {
        let mut saved = Instant::now();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            self.end_grace_times().await;
            if saved.elapsed() >= ACTIVITY_PERIOD {
                saved = Instant::now();
                self.save_activity().await;
            }
        }
    }

    async fn end_grace_times(&self) {
        loop {
            let mut goings = Vec::new();
            {
                let mut tabs = self.inner.tabs.lock();
                while goings.len() < GOINGS_AT_ONCE {
                    let Some(who) = tabs.next_gone(self.now_ms()) else { break };
                    // Seen until the socket closed, which was the grace time ago.
                    let grace = i64::try_from(self.inner.grace_ms).unwrap_or(i64::MAX / 1_000);
                    let seen = Timestamp(now().0 - grace.saturating_mul(1_000));
                    let pending = self.go_offline(&who, self.inner.records.boot(), Some(seen));
                    goings.push((who, pending));
                }
            }
            if goings.is_empty() {
                return;
            }
            for (who, pending) in goings {
                if let Err(error) = outcome(pending).await {
                    tracing::warn!(%error, user = %who.1, "a user's going could not be recorded yet");
                    self.inner.tabs.lock().still_here(&who, self.now_ms() + RETRY_MS);
                }
            }
        }
    }

    fn come_online(&self, (tenant, user): &Who, (node, epoch): (NodeId, u64)) -> Result<Pending, ProposeError> {
        self.inner.records.start(tenant, Op::ComeOnline { user: user.clone(), node, epoch }, None)
    }

    fn go_offline(
        &self,
        who: &Who,
        (node, epoch): (NodeId, u64),
        seen: Option<Timestamp>,
    ) -> Result<Pending, ProposeError> {
        let activity = self.inner.activity.take(who);
        let op = Op::GoOffline { user: who.1.clone(), node, epoch, seen, activity };
        self.inner.records.start(&who.0, op, None)
    }

    fn person(&self, tenant: &Tenant, user: &UserId) -> Result<String, RecordsError> {
        let row = self.inner.records.read(|rows| crate::records::directory::of(rows, tenant, user))?;
        Ok(presence::person(user, &row.unwrap_or_default()))
    }

    fn now_ms(&self) -> Millis {
        millis(self.inner.started.elapsed())
    }
}

/// `online_users` in pages, at least one; only the last says that nothing follows.
fn pages(people: &[String]) -> Vec<String> {
    let mut rest = people;
    let mut pages = Vec::new();
    loop {
        let (page, after) = rest.split_at(rest.len().min(ONLINE_PAGE));
        pages.push(frames::online_users_page(page, !after.is_empty()));
        if after.is_empty() {
            return pages;
        }
        rest = after;
    }
}

async fn outcome(pending: Result<Pending, ProposeError>) -> Result<(), ProposeError> {
    pending?.outcome().await.map(|_| ())
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
