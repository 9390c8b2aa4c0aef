//! One accepted connection: TLS, HTTP requests, and perhaps an upgrade, after which nothing of this is left.

use super::{
    Serving,
    answered::{Answered, keep_alive},
    budget::{Budget, Hold},
    forwarded::client_address,
    gate::{Admitted, Gate},
    handshakes::{HandshakePlace, Handshakes},
    heads::Heads,
    hello,
    metrics::Meters,
    places::HttpPlace,
    refuse::{self, Refused},
    stalled::Stalling,
    turn::Turn,
    unread::RequestBody,
};
use crate::{
    config::limits::{HANDSHAKE_PLACE_TIMEOUT, HEADER_TIMEOUT, HTTP_BUFFER_BYTES_MAX, HTTP_IDLE_GRACE},
    session::{self, Stream},
};
use axum::{body::Body, extract::connect_info::ConnectInfo};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
    http::request::Parts,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::{
    convert::Infallible,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Instant,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What all connections of one listener share.
pub(super) struct Shared {
    pub(super) serving: Serving,
    pub(super) meters: Meters,
    pub(super) handshakes: Handshakes,
    pub(super) heads: Arc<Budget>,
    pub(super) shutdown: CancellationToken,
}

/// What becomes of a connection while its requests are served.
#[derive(Default)]
struct Fate {
    /// A place among the handshakes, given back as early as possible.
    handshake: Mutex<Option<HandshakePlace>>,
    upgrade: Mutex<Option<(OnUpgrade, Admitted, Instant)>>,
    turn: Arc<Turn>,
}

/// Serves a connection to its end, or until it has become a session. `place` bounds connections that are none.
pub(super) async fn serve(shared: Arc<Shared>, (stream, peer): (TcpStream, SocketAddr), place: HttpPlace) {
    let fate = Arc::new(Fate::default());
    let tls = shared.serving.tls.get();
    match tls.as_ref().clone() {
        None => requests(&shared, (stream, place), (peer, &fate)).await,
        Some(acceptor) => secure(&shared, (acceptor, stream, place), (peer, &fate)).await,
    }
    let upgrade = fate.upgrade.lock().take();
    if let Some(upgrade) = upgrade {
        become_session(&shared, upgrade).await;
    }
}

async fn secure(
    shared: &Arc<Shared>,
    (acceptor, stream, mut place): (TlsAcceptor, TcpStream, HttpPlace),
    at: (SocketAddr, &Arc<Fate>),
) {
    let hello = tokio::select! {
        hello = hello::read(stream, (&mut place, &shared.heads)) => hello,
        () = shared.shutdown.cancelled() => return,
    };
    let hello = match hello {
        Ok(hello) => hello,
        Err(error) => return tracing::debug!(peer = %at.0, %error, "no TLS"),
    };
    let mut working = shared.handshakes.take(place.address()).await;
    let mut accept = pin!(hello.into_stream(acceptor.config().clone()));
    let accepted = poll_fn(|context| {
        let accepted = accept.as_mut().poll(context);
        // From here on it waits for the peer, which is in nobody's way.
        working = None;
        accepted
    });
    match tokio::time::timeout(HEADER_TIMEOUT, accepted).await {
        Ok(Ok(stream)) => requests(shared, (stream, place), at).await,
        Ok(Err(error)) => tracing::debug!(peer = %at.0, %error, "no TLS"),
        Err(_) => tracing::debug!(peer = %at.0, "the TLS handshake took too long"),
    }
}

/// HTTP/1.1 until the connection closes, upgrades, or the server stops.
async fn requests<S>(shared: &Arc<Shared>, (stream, place): (S, HttpPlace), (peer, fate): (SocketAddr, &Arc<Fate>))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let idle = shared.serving.http_idle + HTTP_IDLE_GRACE;
    let hold = Hold::new(shared.heads.clone(), place.address());
    let mut stream = Heads::new(Stalling::new(stream), (place, hold), (fate.turn.clone(), idle));
    let has_asked = tokio::select! {
        has_asked = stream.first() => has_asked,
        () = shared.shutdown.cancelled() => false,
    };
    if !has_asked {
        return;
    }
    if shared.serving.gate.is_some() && is_for_a_websocket(stream.held()) {
        // Taken before any buffer of HTTP is made.
        *fate.handshake.lock() = shared.handshakes.take(stream.address()).await;
    }
    let service = hyper::service::service_fn(|request| {
        let (shared, fate) = (shared.clone(), fate.clone());
        async move { Ok::<_, Infallible>(answer(&shared, (request, peer), &fate).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // Heads are timed by `Heads`, which knows an idle connection from a slow one; this only backs it up.
        .header_read_timeout(idle + 2 * HEADER_TIMEOUT)
        .max_buf_size(HTTP_BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shared.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Whether the target of a request, the second word of its first line, is a path of WebSockets.
fn is_for_a_websocket(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.split(|byte| *byte == b' ').nth(1).is_some_and(|target| target.starts_with(b"/ws"))
}

async fn answer(
    shared: &Shared,
    (request, peer): (Request<Incoming>, SocketAddr),
    fate: &Arc<Fate>,
) -> Response<Answered> {
    let busy = fate.turn.begin();
    let (parts, body) = request.into_parts();
    let body = RequestBody::new((body, &parts.headers, busy.clone()), &shared.serving.tracker, &shared.shutdown);
    let address = client_address(peer.ip(), &parts.headers, &shared.serving.trusted_proxies.get());
    let keeps = keep_alive(&parts, shared.serving.http_idle).filter(|_| !shared.shutdown.is_cancelled());
    let is_websocket = parts.uri.path().starts_with("/ws/") || parts.uri.path() == "/ws";
    let mut response = if let Some(refused) = refuse::unfit(&parts) {
        refused
    } else if let (Some(gate), true) = (&shared.serving.gate, is_websocket) {
        handshake(shared, (gate, parts, body), (address, fate)).await
    } else {
        *fate.handshake.lock() = None;
        let mut request = Request::from_parts(parts, Body::new(body));
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, peer.port())));
        let Ok(response) = shared.serving.router.clone().oneshot(request).await;
        response
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        fate.turn.upgrade();
    } else if let Some((name, value)) = keeps {
        response.headers_mut().entry(name).or_insert(value);
    }
    response.map(|body| Answered::new(body, busy))
}

/// Everything under `/ws/`.
async fn handshake(
    shared: &Shared,
    (gate, mut parts, body): (&Gate, Parts, RequestBody),
    (address, fate): (IpAddr, &Arc<Fate>),
) -> Response<Body> {
    let begun = Instant::now();
    if shared.shutdown.is_cancelled() {
        return Gate::refuse(&Refused::Leaving, (&parts, address));
    }
    if !body.is_end_stream() {
        return Gate::refuse(&Refused::HasBody, (&parts, address));
    }
    if fate.handshake.lock().is_none() {
        // Not the first request of its connection.
        let working = shared.handshakes.take(Some(address)).await;
        *fate.handshake.lock() = working;
    }
    let give_back = || *fate.handshake.lock() = None;
    let slowly = async {
        // One that takes long goes on, but no longer in anybody's way.
        tokio::time::sleep(HANDSHAKE_PLACE_TIMEOUT).await;
        give_back();
        std::future::pending().await
    };
    // Who waits for the app is in nobody's way.
    let admitted = tokio::select! {
        admitted = gate.admit((&parts, address), give_back) => admitted,
        admitted = slowly => admitted,
    };
    give_back();
    match admitted {
        Ok((admitted, response)) => {
            if let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() {
                *fate.upgrade.lock() = Some((upgrade, admitted, begun));
            }
            response
        }
        Err(refused) => Gate::refuse(&refused, (&parts, address)),
    }
}

/// Takes the raw stream out of the upgrade and gives it to a small task of its own.
async fn become_session(shared: &Shared, (upgrade, admitted, begun): (OnUpgrade, Admitted, Instant)) {
    let Some(gate) = &shared.serving.gate else { return };
    let Ok(upgraded) = upgrade.await else { return };
    let (stream, early) = match upgraded.downcast::<TokioIo<Heads<Stalling<TcpStream>>>>() {
        Ok(parts) => {
            let (stream, held) = parts.io.into_inner().into_parts();
            (Stream::Plain(stream.into_inner()), [&parts.read_buf[..], &held].concat())
        }
        Err(upgraded) => match upgraded.downcast::<TokioIo<Heads<Stalling<TlsStream<TcpStream>>>>>() {
            Ok(parts) => {
                let (stream, held) = parts.io.into_inner().into_parts();
                (Stream::Tls(Box::new(stream.into_inner())), [&parts.read_buf[..], &held].concat())
            }
            Err(_) => return,
        },
    };
    shared.meters.connects.increment(1);
    shared.meters.connect_seconds.record(begun.elapsed().as_secs_f64());
    let Admitted { guest, place } = admitted;
    let session = session::begin(gate.house.clone(), (stream, &early), guest, place);
    shared.serving.tracker.spawn(session);
}
