//! The only place that touches clients' sockets before they are sessions: accept loop, TLS, HTTP, the upgrade.
//!
//! It promises: bounded connections of every kind, no buffer for a client that says nothing, a slow client in
//! nobody's way, and nothing left of HTTP once a connection is a session.

mod caps;
mod connection;
mod forwarded;
mod gate;
mod handshake;
mod metrics;
mod nofile;
mod refuse;
mod tls;

pub use caps::{Caps, Full, Place};
pub use gate::Gate;
pub use nofile::raise_open_files;
pub use tls::{TlsError, acceptor};

use crate::config::limits::{HANDSHAKES_MAX, HTTP_CONNECTIONS_MAX};
use connection::Shared;
use metrics::Meters;
use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
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
    /// TLS, if the listener speaks it.
    pub tls: Option<TlsAcceptor>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[IpAddr]>,
    /// Every task is spawned through it: connections, and sessions, which outlive the listener.
    pub tracker: TaskTracker,
}

/// Accepts connections until `shutdown`; then idle HTTP connections are closed and busy ones after their response.
/// Sessions stay: see [`crate::broker::Broker::drain`]. Gives the listener back, for whoever serves something else next.
pub async fn serve(listener: TcpListener, serving: Serving, shutdown: CancellationToken) -> TcpListener {
    let tracker = serving.tracker.clone();
    let shared = Arc::new(Shared {
        serving,
        meters: Meters::default(),
        handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
        shutdown: shutdown.clone(),
    });
    let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
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
                recover(&error).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            refuse_at_once(&stream);
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "TCP_NODELAY");
        }
        tracker.spawn(connection::serve(shared.clone(), (stream, peer), place));
    }
}

/// An error of one connection is nothing; one of the process (EMFILE) would come again at once.
async fn recover(error: &io::Error) {
    let of_the_connection = [
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionRefused,
        ErrorKind::Interrupted,
    ];
    if of_the_connection.contains(&error.kind()) {
        return;
    }
    tracing::warn!(%error, "a connection could not be accepted; trying again");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Too many connections that aren't sessions: no task, no buffer, one write.
fn refuse_at_once(stream: &TcpStream) {
    const BODY: &str = r#"{"error":{"code":"full","message":"too many connections; come back later"}}"#;
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{BODY}",
        refuse::RETRY_AFTER_SECONDS,
        BODY.len(),
    );
    Meters::refused("full");
    // Whether it arrives is the peer's luck.
    let _ = stream.try_write(response.as_bytes());
}
