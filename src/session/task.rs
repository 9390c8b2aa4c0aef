//! The task of one connection: greets, reads, has messages answered, writes when nobody else can, says goodbye.
//!
//! One message at a time: while one is being answered nothing is read, so what a client can have under way is
//! bounded by TCP. Writing goes on meanwhile. Rare stretches are boxed: an idle session is a small future.

use super::{
    handle::{Common, Session, Wire},
    metrics::{self, End},
    rate::{Rate, SharedRate},
    reader::{Inbound, Reader, Socket},
    state::{Conduct, TOO_FAST},
};
use crate::{
    auth::Identity,
    broker::Broker,
    config::{
        Limits,
        limits::{CLOSE_TIMEOUT, UNREAD_CLOSE_BYTES_MAX},
    },
    endpoints::{Answer, Client, Endpoints},
    jwks::Entrance,
    protocol::{Close, Edition, Timestamp},
    wall_clock,
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::server::TlsStream;

/// As many frames of one socket count as a message, whatever they say.
const FRAMES_PER_MESSAGE: u32 = 256;

/// What every session needs of its server.
#[derive(Debug)]
pub struct House {
    /// What each path does.
    pub endpoints: Arc<Endpoints>,
    /// Who hears what.
    pub broker: Broker,
    /// Who may come in, and stay with a new token.
    pub entrance: Entrance,
    rate: SharedRate,
    message_bytes: AtomicUsize,
    start: Instant,
}

impl House {
    /// One for all sessions.
    pub fn new(endpoints: Arc<Endpoints>, broker: Broker, (entrance, limits): (Entrance, &Limits)) -> Self {
        let rate = SharedRate::new(rate(limits));
        Self { endpoints, broker, entrance, rate, message_bytes: limits.message_bytes.into(), start: Instant::now() }
    }

    /// Other limits from now on: the pace for all sessions, the size of messages for those that begin.
    pub fn set_limits(&self, limits: &Limits) {
        self.rate.set(rate(limits));
        self.message_bytes.store(limits.message_bytes, Relaxed);
    }
}

fn rate(limits: &Limits) -> Rate {
    Rate::new(limits.messages_per_second, limits.messages_burst)
}

/// A connection after its upgrade.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Who the session is for.
#[derive(Debug)]
pub struct Guest {
    /// What endpoints need of the session.
    pub client: Client,
    /// Who it is, until it has been greeted.
    pub identity: Box<Identity>,
}

/// Makes a session of an upgraded connection: give the future to a task. `early` are bytes that came with the
/// handshake; `place` is dropped when the session is over.
pub fn begin<P: Send + 'static>(
    house: Arc<House>,
    (stream, early): (Stream, &[u8]),
    guest: Guest,
    place: P,
) -> impl Future<Output = ()> + Send + use<P> {
    let (wire, socket) = match stream {
        Stream::Plain(stream) => (Wire::Plain(stream), Socket::Plain),
        Stream::Tls(stream) => (Wire::Own, Socket::Tls(stream)),
    };
    let common: Arc<Common> = house.broker.common();
    let Guest { client, identity } = guest;
    let expires = expiry(&common, identity.expires_at);
    let reader = Reader::new(socket, house.message_bytes.load(Relaxed), early);
    let session = Session::new(client, wire, expires, common);
    let stay = Stay { session, house, joined: false, greeted: false };
    // Boxed, because an async function keeps its arguments twice: as they came and as they are used.
    Box::new(Task { stay, reader, conduct: Conduct::default(), _place: place }).run(identity)
}

/// The coarse second at which the wall clock will have passed `at`; never earlier, and two seconds later at most.
pub(super) fn expiry(common: &Common, at: Timestamp) -> u32 {
    let left = Duration::from_micros(u64::try_from(at.0.saturating_sub(wall_clock::now().0)).unwrap_or(0));
    let left = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
    // Both the clock and what is left are cut to whole seconds.
    common.clock.tick().saturating_add(left).saturating_add(2)
}

pub(super) struct Task<P> {
    pub(super) stay: Stay,
    reader: Reader,
    pub(super) conduct: Conduct,
    _place: P,
}

/// What has to be undone when the session ends, however it ends: a panic too.
pub(super) struct Stay {
    pub(super) session: Arc<Session>,
    pub(super) house: Arc<House>,
    joined: bool,
    greeted: bool,
}

impl Stay {
    /// Nothing more is for this session: others stop seeing it while it says goodbye. Does it once.
    fn leave(&mut self) {
        if self.joined {
            self.joined = false;
            self.house.broker.leave(&self.session);
        }
        if self.greeted {
            self.greeted = false;
            self.house.endpoints.closed(&self.session.client);
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(session = self.session.client.id.0, "a session's task panicked; the session is closed");
            self.session.close(Close::Internal);
            self.session.flush();
        }
        self.leave();
        metrics::count_close(self.session.ended().unwrap_or(End::Gone));
    }
}

impl<P: Send + 'static> Task<P> {
    async fn run(mut self: Box<Self>, identity: Box<Identity>) {
        let end = match Box::pin(self.begin(identity)).await {
            Ok(()) => self.converse().await,
            Err(end) => end,
        };
        match end {
            End::Ours(why) => {
                self.stay.session.close(why);
            }
            End::Peer => {}
            End::Gone | End::Dead => return self.stay.session.abort(end),
        }
        self.stay.leave();
        Box::pin(self.say_goodbye()).await;
    }

    /// Joins first, then asks for the greeting: what is published in between is held back, not missed.
    pub(super) async fn greet(&mut self, identity: Box<Identity>) -> Result<(), End> {
        let Stay { session, house, joined, greeted } = &mut self.stay;
        let client = &session.client;
        let group = client.endpoint.group(&client.tenant, &client.user);
        *joined = true;
        house.broker.join(session, group).await;
        *greeted = true;
        let greeting = house.endpoints.greet(client, &identity).await?;
        match client.edition {
            Edition::V0 => session.open(&greeting.frames, greeting.at),
            Edition::V1 => session.greet_and_hold(&greeting.frames, greeting.at),
        }
        Ok(())
    }

    async fn converse(&mut self) -> End {
        loop {
            match poll_fn(|cx| self.poll_event(cx)).await {
                Ok(inbound) => {
                    if let Some(why) = self.treat(inbound).await {
                        return End::Ours(why);
                    }
                }
                Err(end) => return end,
            }
        }
    }

    /// Writes what waits, then the next message. An end that others decided comes first.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inbound, End>> {
        if let Poll::Ready(end) = self.poll_write(cx) {
            return Poll::Ready(Err(end));
        }
        let next = self.reader.poll_next(&self.stay.session, cx);
        // A pong may have been queued by the read.
        match self.poll_write(cx) {
            Poll::Ready(end) => Poll::Ready(Err(end)),
            Poll::Pending => next,
        }
    }

    /// Never ready while the session goes on.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let session = &self.stay.session;
        let (has_work, end) = session.watch(cx);
        if let Some(end) = end {
            return Poll::Ready(end);
        }
        if has_work && let Poll::Ready(Err(end)) = self.reader.poll_flush(session, cx) {
            return Poll::Ready(end);
        }
        Poll::Pending
    }

    /// Has a message answered; says why the session must close, if it must.
    pub(super) async fn treat(&mut self, inbound: Inbound) -> Option<Close> {
        let Stay { session, house, .. } = &self.stay;
        session.common.meters.frames_in.increment(1);
        // Cut into many frames, a message costs its sender more of the pace.
        let cost = 1 + self.reader.take_frames() / FRAMES_PER_MESSAGE;
        let (rate, now) = (house.rate.get(), house.start.elapsed());
        if !(0..cost).all(|_| self.conduct.allows(rate, now)) {
            session.reply(TOO_FAST);
            return self.conduct.bad(Close::TooFast);
        }
        match inbound {
            Inbound::Control => None,
            Inbound::Binary => self.take(house.endpoints.refuse_binary()),
            Inbound::Text(text) => Box::pin(self.meet(text)).await,
        }
    }

    /// Has a request answered. Boxed by the caller: it is rare in the life of a session.
    async fn meet(&mut self, text: String) -> Option<Close> {
        let (house, session) = (self.stay.house.clone(), self.stay.session.clone());
        if session.client.edition == Edition::V1 {
            session.begin_answer();
        }
        let answer = self.while_writing(house.endpoints.answer(&session.client, &text)).await;
        if !matches!(answer, Answer::Reply(_) | Answer::Bad(_)) {
            session.end_answer();
        }
        match answer {
            Answer::Resume { after, id } => {
                self.conduct.good();
                // Another end is noticed by whoever polls next.
                match self.resume(after, id).await {
                    Err(End::Ours(why)) => Some(why),
                    Ok(()) | Err(_) => None,
                }
            }
            Answer::Refresh { token, id } => self.refresh(token, id).await,
            answer => self.take(answer),
        }
    }

    /// Queues what a message is answered; says why the session must close, if it must.
    pub(super) fn take(&mut self, answer: Answer) -> Option<Close> {
        match answer {
            Answer::Reply(text) => {
                self.stay.session.reply(&text);
            }
            Answer::Bad(text) => {
                self.stay.session.reply(&text);
                return self.conduct.bad(Close::BadFrames);
            }
            Answer::Silence | Answer::Resume { .. } | Answer::Refresh { .. } => {}
        }
        self.conduct.good();
        None
    }

    /// Awaits `work` and writes meanwhile. A command that has begun is carried to its end even if the socket isn't.
    pub(super) async fn while_writing<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let done = work.as_mut().poll(cx);
            if done.is_pending() {
                let _ = self.poll_write(cx);
            }
            done
        })
        .await
    }

    /// Writes what is queued, the close frame last; then waits for the peer to go. All within the deadline.
    async fn say_goodbye(&mut self) {
        let session = &self.stay.session;
        let reader = &mut self.reader;
        let parting = async move {
            poll_fn(|cx| {
                session.watch(cx);
                reader.poll_flush(session, cx)
            })
            .await?;
            let _ = poll_fn(|cx| reader.poll_shutdown(session, cx)).await;
            let mut left = UNREAD_CLOSE_BYTES_MAX;
            poll_fn(|cx| reader.poll_discard(session, cx, &mut left)).await;
            Ok::<(), End>(())
        };
        // Too late or broken: the connection just ends.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, pin!(parting)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::Door,
        endpoints::PresenceDesk,
        jwks::Jwks,
        protocol::{Endpoint, SessionId, Tenant, UserId},
        records::{Proposer, Records},
        session::handle::Wire,
    };
    use carillon_storage::tables::{self, Tables};
    use tokio::{io::AsyncReadExt, net::TcpListener};
    use tokio_util::{sync::CancellationToken, task::TaskTracker};

    fn size_of_future<A, B, C, P, F>(_: fn(A, B, C, P) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_session_is_a_small_future() {
        // Together with what the allocator, tokio and the tables add, this keeps an idle session near 1.5 KiB.
        assert!(size_of_future(begin::<()>) <= 224, "{}", size_of_future(begin::<()>));
        assert!(size_of::<Task<()>>() <= 128, "{}", size_of::<Task<()>>());
        assert!(size_of::<Session>() <= 232, "{}", size_of::<Session>());
    }

    #[tokio::test]
    async fn a_panic_closes_its_own_session_with_1011_and_leaves_nothing_behind() {
        let (limits, stop, tracker) = (Limits::default(), CancellationToken::new(), TaskTracker::new());
        let broker = Broker::start(&limits, 1, &stop, &tracker);
        let dir = tempfile::tempdir().expect("a directory");
        let tables = Tables::open(dir.path(), &tables::Options::default()).expect("tables");
        let (proposer, _waiting) = Proposer::channel(1);
        let records = Records::new(tables, Arc::default(), proposer, 1);
        let desk = PresenceDesk::start(records.clone(), Duration::ZERO, (&tracker, &stop));
        let door = Door::new(&crate::config::Auth::default(), true);
        let endpoints = Arc::new(Endpoints::new(records, desk));
        let house = Arc::new(House::new(endpoints, broker.clone(), (Entrance::new(door, Jwks::default()), &limits)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut peer = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        let (tenant, user) = (Tenant::default(), UserId::new("1").expect("an id"));
        let client =
            Client { id: SessionId(1), endpoint: Endpoint::Dashboard, edition: Edition::V1, tenant, user, place: 0 };
        let session = Session::new(client, Wire::Plain(stream), u32::MAX, broker.common());
        let group = Endpoint::Dashboard.group(&session.client.tenant, &session.client.user);
        broker.join(&session, group).await;
        assert_eq!(broker.sessions(), 1);

        let stay = Stay { session, house, joined: true, greeted: false };
        let died = tokio::spawn(async move {
            let _stay = stay;
            panic!("as a defect in an endpoint would");
        });
        assert!(died.await.expect_err("it panicked").is_panic());
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.expect("closed");
        assert_eq!(bytes, Close::Internal.frame());
        assert_eq!(broker.sessions(), 0);
        assert!(!stop.is_cancelled() && !broker.has_failed());
    }
}
