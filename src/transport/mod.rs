//! The only place that touches clients' sockets before they are sessions: accept loop, TLS, HTTP, the upgrade.
//!
//! It promises: bounded connections of every kind, no buffer for a client that says nothing, a slow client in
//! nobody's way, and nothing left of HTTP once a connection is a session.

mod answered;
mod at_once;
mod budget;
mod caps;
mod connection;
mod forwarded;
mod gate;
mod handshakes;
mod heads;
mod hello;
mod metrics;
mod nofile;
mod places;
mod refuse;
mod stalled;
mod tls;
mod turn;
mod unread;

pub use caps::{Caps, Full, Place};
pub use gate::Gate;
pub use nofile::{Room, listeners, raise_open_files};
pub use tls::{TlsError, acceptor};

use crate::config::Live;
use at_once::AtOnce;
use connection::Shared;
use places::Places;
use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Pause after an error of `accept` that the next call would only repeat (no file descriptors, no memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What one listener serves.
#[derive(Clone)]
pub struct Serving {
    /// WebSockets under `/ws/`; `None` on a listener that has none.
    pub gate: Option<Arc<Gate>>,
    /// Everything else. Handlers find the client's address in `ConnectInfo<SocketAddr>`.
    pub router: axum::Router,
    /// TLS, if the listener speaks it; connections begin with what it is then.
    pub tls: Live<Option<TlsAcceptor>>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Live<Vec<IpAddr>>,
    /// Connections that are no sessions (yet).
    pub http_connections: usize,
    /// Connections from one address that aren't WebSockets; proxies that are trusted may have more.
    pub http_per_address: usize,
    /// How long a connection is kept between two requests; longer than that is not announced.
    pub http_idle: Duration,
    /// Every task is spawned through it: connections, and sessions, which outlive the listener.
    pub tracker: TaskTracker,
}

/// Accepts connections until `shutdown`; then idle HTTP connections are closed and busy ones after their response.
/// Sessions stay: see [`crate::broker::Broker::drain`]. Gives the listener back, for whoever serves something else next.
pub async fn serve(listener: TcpListener, serving: Serving, shutdown: CancellationToken) -> TcpListener {
    let tracker = serving.tracker.clone();
    let bounds = (serving.http_connections, serving.http_per_address);
    let places = Places::new(bounds, serving.trusted_proxies.clone());
    let shared = Arc::new(Shared {
        serving,
        meters: Default::default(),
        handshakes: Default::default(),
        heads: Default::default(),
        shutdown: shutdown.clone(),
    });
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return listener,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                shared.meters.accept_errors.increment(1);
                if is_of_the_process(&error) {
                    if !is_failing {
                        tracing::warn!(%error, "connections cannot be accepted; trying again and again");
                    }
                    is_failing = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        if std::mem::take(&mut is_failing) {
            tracing::info!("connections are accepted again");
        }
        let place = match places.take(peer.ip()) {
            Ok(place) => place,
            Err(full) => {
                refuse_at_once(&stream, AtOnce::NoPlace(full));
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY");
        }
        tracker.spawn(connection::serve(shared.clone(), (stream, peer), place));
    }
}

/// An error of one connection is nothing; one of the process (EMFILE) would come again at once.
fn is_of_the_process(error: &io::Error) -> bool {
    let of_the_connection = [
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionRefused,
        ErrorKind::Interrupted,
    ];
    !of_the_connection.contains(&error.kind())
}

/// Too many connections that aren't sessions: no task, no buffer, one write.
fn refuse_at_once(stream: &TcpStream, why: AtOnce) {
    // Whether it arrives is the peer's luck.
    let _ = stream.try_write(&why.answer());
}
