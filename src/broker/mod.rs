//! Groups and their local members: who hears what, and the tasks that write it.
//!
//! Sessions are spread over a few shards by user: a user's own groups live in one shard, shared groups in all.
//! Publishing is in order per publisher and group, and never waits for a reader.

mod drain;
mod elsewhere;
mod gathering;
mod interest;
mod job;
mod metrics;
mod roster;
mod seats;
mod shard;

pub use elsewhere::Outgoing;
pub use interest::{Edits, Interest, Interests};
pub use job::Publication;
pub use shard::CloseTarget;

use crate::{
    config::{Limits, limits::SHARD_QUEUE_MAX},
    protocol::{Close, Group, GroupName, OtherServer, Tenant, UserId},
    session::{Clock, Common, Session, outbox::Room, state::Liveness},
    tally::{Count, Elsewhere, Tally},
};
use elsewhere::Place;
use job::Job;
use shard::{Command, Shard};
use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Why an ephemeral publication was dropped, everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A queue was full.
    #[error("too much is being published at once; this was dropped")]
    Overloaded,
    /// This node may have been given up by the others: it doesn't know of everybody who should hear.
    #[error("this node has lost touch with its cluster; this was dropped")]
    Fenced,
}

/// The other nodes can't be told of a session: it would miss what they publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other nodes of the cluster cannot be told of this connection now")]
pub struct NoPlace;

/// A handle to all shards of this node.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shards: Box<[mpsc::Sender<Command>]>,
    common: Arc<Common>,
    meters: metrics::Meters,
    open: Arc<AtomicUsize>,
    draining: AtomicBool,
    failed: Arc<AtomicBool>,
    tracker: TaskTracker,
    before_closing: OnceLock<Hook>,
    /// For a node that may have company.
    place: OnceLock<Place>,
}

/// What must be forgotten before a user is shown out, so that nobody comes back on it.
struct Hook(Box<BeforeClosing>);

type BeforeClosing = dyn Fn(&Tenant, &UserId) + Send + Sync;

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

/// Stops the whole server if the task that holds it panics: half a broker is worse than none.
struct Fuse {
    failed: Arc<AtomicBool>,
    shutdown: CancellationToken,
}

impl Drop for Fuse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a shard of the broker panicked; the server stops");
            self.failed.store(true, Relaxed);
            self.shutdown.cancel();
        }
    }
}

impl Broker {
    /// Starts `shards` tasks that run until `shutdown`. If one panics it cancels `shutdown` and [`Self::has_failed`].
    pub fn start(limits: &Limits, shards: usize, shutdown: &CancellationToken, tracker: &TaskTracker) -> Self {
        let room = Room {
            frames: u32::try_from(limits.outbox_frames).unwrap_or(u32::MAX),
            bytes: u32::try_from(limits.outbox_bytes).unwrap_or(u32::MAX),
        };
        let common = Arc::new(Common {
            room,
            clock: Clock::start(),
            meters: crate::session::metrics::Meters::default(),
            history: std::sync::atomic::AtomicU64::new(0),
        });
        let (meters, open, failed) = (metrics::Meters::default(), Arc::default(), Arc::default());
        let liveness = Liveness::new(limits.ping_interval_seconds, limits.ping_timeout_seconds);
        let start_one = |_| {
            let (sender, queue) = mpsc::channel(SHARD_QUEUE_MAX);
            let shard = Shard {
                queue,
                common: common.clone(),
                meters: meters.clone(),
                open: Arc::clone(&open),
                roster: roster::Roster::default(),
                seats: seats::Seats::new(liveness),
                dirty: std::collections::VecDeque::new(),
                pass: shard::Pass::default(),
                draining: None,
                gathering: gathering::Gathering::default(),
                waiting_shown: 0,
            };
            let fuse = Fuse { failed: Arc::clone(&failed), shutdown: shutdown.clone() };
            let stop = shutdown.clone();
            tracker.spawn(async move {
                let _fuse = fuse;
                shard.run(stop).await;
            });
            sender
        };
        let shards = (0..shards.max(1)).map(start_one).collect();
        Self {
            inner: Arc::new(Inner {
                shards,
                common,
                meters,
                open,
                draining: AtomicBool::new(false),
                failed,
                tracker: tracker.clone(),
                before_closing: OnceLock::new(),
                place: OnceLock::new(),
            }),
        }
    }

    /// Publishes an ephemeral event at once, or not at all, here and on other nodes. Never waits.
    ///
    /// # Errors
    /// Counted; see [`PublishError`].
    pub fn publish(&self, publication: Publication) -> Result<Tally, PublishError> {
        self.inner.meters.ephemeral.increment(1);
        let place = self.inner.place.get();
        if place.is_some_and(Place::is_fenced) {
            return Err(PublishError::Fenced);
        }
        let shards = self.shards_of(&publication.group);
        let permits = shards.iter().map(mpsc::Sender::try_reserve).collect::<Result<Vec<_>, _>>();
        let outward = place.map(|place| place.reserve().ok_or(PublishError::Overloaded)).transpose();
        let (Ok(permits), Ok(outward)) = (permits, outward) else {
            self.inner.meters.overloads.increment(1);
            return Err(PublishError::Overloaded);
        };
        let outward = outward.map(|permit| (permit, publication.clone()));
        let counters = permits.len() + usize::from(outward.is_some());
        let job = Arc::new(Job::new(publication, self.inner.common.history(), counters));
        let tally = Tally(job.count.clone());
        for permit in permits {
            permit.send(Command::Publish(job.clone()));
        }
        if let Some((permit, publication)) = outward {
            permit.send(Outgoing::Publish(publication, Elsewhere(job.count.clone())));
        }
        Ok(tally)
    }

    /// Publishes a committed event to the members on this node; every node does that for its own. Waits for room in
    /// the queues of the shards, never for a reader.
    pub async fn publish_durable(&self, publication: Publication) -> Tally {
        self.inner.meters.durable.increment(1);
        self.deliver(publication).await
    }

    /// Publishes another node's ephemeral event to the members on this one.
    pub async fn publish_for_peer(&self, publication: Publication) -> Tally {
        self.deliver(publication).await
    }

    async fn deliver(&self, publication: Publication) -> Tally {
        let shards = self.shards_of(&publication.group);
        let job = Arc::new(Job::new(publication, self.inner.common.history(), shards.len()));
        for shard in shards {
            if shard.send(Command::Publish(job.clone())).await.is_err() {
                // The server is stopping; nobody is left to hear it.
                job.count.add(0);
            }
        }
        Tally(job.count.clone())
    }

    /// Returns once every later publish to the group reaches the session.
    pub async fn join(&self, session: &Arc<Session>, group: Group) {
        let (done, joined) = oneshot::channel();
        let shard = self.shard_of_user(&session.client.tenant, &session.client.user);
        let sent = shard.send(Command::Join { session: session.clone(), group, done }).await;
        if sent.is_err() || joined.await.is_err() {
            // A stopping server has no shards left.
            session.close(Close::GoingAway);
        }
        // Whoever was let in before the place was lost, and joined after everybody was closed.
        if self.place_number() != session.client.place {
            session.close(Close::LostPlace);
        }
    }

    /// States which history positions belong to, before the first session.
    pub fn begin_history(&self, id: u64) {
        self.inner.common.history.store(id, Relaxed);
    }

    /// A session's credential is good for longer now: `Session::expires` says until when.
    pub async fn renew(&self, session: &Session) {
        let shard = self.shard_of_user(&session.client.tenant, &session.client.user);
        // A stopping server has no shards left.
        let _ = shard.send(Command::Renew(session.client.id)).await;
    }

    /// Takes a session out of all its groups. Never dropped: if the shard's queue is full, a task waits for room.
    pub fn leave(&self, session: &Session) {
        let shard = self.shard_of_user(&session.client.tenant, &session.client.user);
        let command = Command::Leave(session.client.id);
        if let Err(mpsc::error::TrySendError::Full(command)) = shard.try_send(command) {
            let shard = shard.clone();
            self.inner.tracker.spawn(async move {
                let _ = shard.send(command).await;
            });
        }
    }

    /// Closes sessions of this node. The tally counts those that were not closing already.
    pub async fn close(&self, which: CloseTarget, why: Close) -> Tally {
        self.close_counted(which, (why, 0)).await
    }

    async fn close_counted(&self, which: CloseTarget, (why, elsewhere): (Close, usize)) -> Tally {
        if let (CloseTarget::User { tenant, user, .. }, Some(hook)) = (&which, self.inner.before_closing.get()) {
            (hook.0)(tenant, user);
        }
        let shards = match &which {
            CloseTarget::All => &self.inner.shards[..],
            CloseTarget::User { tenant, user, .. } | CloseTarget::Session { tenant, user, .. } => {
                std::slice::from_ref(self.shard_of_user(tenant, user))
            }
        };
        let count = Arc::new(Count::new(shards.len() + elsewhere));
        for shard in shards {
            let command = Command::Close { which: which.clone(), why, count: count.clone() };
            if shard.send(command).await.is_err() {
                count.add(0);
            }
        }
        Tally(count)
    }

    /// Has `hook` called before a user's sockets are closed. Only the first hook counts; it must not wait.
    pub fn before_closing(&self, hook: impl Fn(&Tenant, &UserId) + Send + Sync + 'static) {
        let _ = self.inner.before_closing.set(Hook(Box::new(hook)));
    }

    /// Closes every session with 1012, evenly over `window`, and at once any that joins later; each is told one of the
    /// `places` where it may go. Returns immediately; [`Self::sessions`] falls to 0 meanwhile.
    pub fn drain(&self, window: Duration, places: Vec<String>) {
        self.inner.draining.store(true, Relaxed);
        // A close is a small value that is copied everywhere. A process drains once, so this little is kept to its end.
        let places: Arc<[&'static OtherServer]> =
            places.into_iter().map(|place| &*Box::leak(Box::new(OtherServer(place)))).collect();
        for shard in &self.inner.shards {
            let (shard, places) = (shard.clone(), places.clone());
            self.inner.tracker.spawn(async move {
                let _ = shard.send(Command::Drain(window, places)).await;
            });
        }
    }

    /// Sessions that have joined and not left.
    pub fn sessions(&self) -> usize {
        self.inner.open.load(Relaxed)
    }

    /// Whether a drain has begun: nobody is let in any more.
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Relaxed)
    }

    /// Whether a shard has panicked.
    pub fn has_failed(&self) -> bool {
        self.inner.failed.load(Relaxed)
    }

    /// What sessions share.
    pub(crate) fn common(&self) -> Arc<Common> {
        self.inner.common.clone()
    }

    fn shard_of_user(&self, tenant: &Tenant, user: &UserId) -> &mpsc::Sender<Command> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((tenant, user));
        let at = hash % self.inner.shards.len() as u64;
        &self.inner.shards[usize::try_from(at).unwrap_or(0)]
    }

    fn shards_of(&self, group: &Group) -> &[mpsc::Sender<Command>] {
        match &group.name {
            GroupName::DashboardUser(user)
            | GroupName::SubscriptionsUser(user)
            | GroupName::NotificationsUser(user) => std::slice::from_ref(self.shard_of_user(&group.tenant, user)),
            GroupName::AdminDashboard | GroupName::SubscriptionAdmin | GroupName::Presence => &self.inner.shards,
        }
    }
}

#[cfg(test)]
mod tests;
