//! One accepted connection: TLS, HTTP requests, and perhaps an upgrade, after which nothing of this is left.

use super::{
    Serving,
    forwarded::client_address,
    gate::{Admitted, Gate},
    metrics::Meters,
    places::HttpPlace,
    refuse::Refused,
    stalled::Stalling,
    unread::RequestBody,
};
use crate::{
    config::limits::{HANDSHAKE_PLACE_TIMEOUT, HEADER_TIMEOUT},
    session::{self, Stream},
};
use axum::{body::Body, extract::connect_info::ConnectInfo};
use hyper::{Request, Response, body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Instant};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What all connections of one listener share.
pub(super) struct Shared {
    pub(super) serving: Serving,
    pub(super) meters: Meters,
    pub(super) handshakes: Arc<tokio::sync::Semaphore>,
    pub(super) shutdown: CancellationToken,
}

/// What becomes of a connection while its requests are served.
#[derive(Default)]
struct Fate {
    /// A place among the handshakes, given back as early as possible.
    handshake: Option<OwnedSemaphorePermit>,
    upgrade: Option<(OnUpgrade, Admitted, Instant)>,
}

type SharedFate = Arc<Mutex<Fate>>;

/// Serves a connection to its end, or until it has become a session. `place` bounds connections that are none.
pub(super) async fn serve(shared: Arc<Shared>, (stream, peer): (TcpStream, SocketAddr), place: HttpPlace) {
    // No buffer is made for somebody who says nothing.
    if tokio::time::timeout(HEADER_TIMEOUT, stream.readable()).await.is_err() {
        return;
    }
    let Ok(handshake) = shared.handshakes.clone().acquire_owned().await else { return };
    let fate = SharedFate::default();
    fate.lock().handshake = Some(handshake);
    let give_back = async {
        // A slow client goes on, but no longer in anybody's way.
        tokio::time::sleep(HANDSHAKE_PLACE_TIMEOUT).await;
        fate.lock().handshake = None;
        std::future::pending::<()>().await;
    };
    let serve = async {
        let tls = shared.serving.tls.get();
        match tls.as_ref().clone() {
            None => requests(&shared, stream, (peer, &fate)).await,
            Some(acceptor) => secure(&shared, (acceptor, stream), (peer, &fate)).await,
        }
    };
    tokio::select! {
        () = serve => {}
        () = give_back => {}
    }
    drop(place);
    let upgrade = fate.lock().upgrade.take();
    if let Some(upgrade) = upgrade {
        become_session(&shared, upgrade).await;
    }
}

async fn secure(shared: &Arc<Shared>, (acceptor, stream): (TlsAcceptor, TcpStream), at: (SocketAddr, &SharedFate)) {
    match tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => requests(shared, stream, at).await,
        Ok(Err(error)) => tracing::debug!(peer = %at.0, %error, "no TLS"),
        Err(_) => tracing::debug!(peer = %at.0, "the TLS handshake took too long"),
    }
}

/// HTTP/1.1 until the connection closes, upgrades, or the server stops.
async fn requests<S>(shared: &Arc<Shared>, stream: S, (peer, fate): (SocketAddr, &SharedFate))
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(|request| {
        let (shared, fate) = (shared.clone(), fate.clone());
        async move { Ok::<_, Infallible>(answer(&shared, (request, peer), &fate).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(Stalling::new(stream)), service)
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

async fn answer(
    shared: &Shared,
    (request, peer): (Request<Incoming>, SocketAddr),
    fate: &SharedFate,
) -> Response<Body> {
    let begun = Instant::now();
    let address = client_address(peer.ip(), request.headers(), &shared.serving.trusted_proxies.get());
    let is_websocket = request.uri().path().starts_with("/ws/") || request.uri().path() == "/ws";
    let (Some(gate), true) = (&shared.serving.gate, is_websocket) else {
        fate.lock().handshake = None;
        let (parts, body) = request.into_parts();
        let body = RequestBody::new((body, &parts.headers), &shared.serving.tracker, &shared.shutdown);
        let mut request = Request::from_parts(parts, Body::new(body));
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, peer.port())));
        let Ok(response) = shared.serving.router.clone().oneshot(request).await;
        return response;
    };
    let (mut parts, _no_body) = request.into_parts();
    if shared.shutdown.is_cancelled() {
        return Gate::refuse(&Refused::Leaving, (&parts, address));
    }
    match gate.admit(&parts, address).await {
        Ok((admitted, response)) => {
            if let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() {
                fate.lock().upgrade = Some((upgrade, admitted, begun));
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
    let (stream, early) = match upgraded.downcast::<TokioIo<Stalling<TcpStream>>>() {
        Ok(parts) => (Stream::Plain(parts.io.into_inner().into_inner()), parts.read_buf),
        Err(upgraded) => match upgraded.downcast::<TokioIo<Stalling<TlsStream<TcpStream>>>>() {
            Ok(parts) => (Stream::Tls(Box::new(parts.io.into_inner().into_inner())), parts.read_buf),
            Err(_) => return,
        },
    };
    shared.meters.connects.increment(1);
    shared.meters.connect_seconds.record(begun.elapsed().as_secs_f64());
    let Admitted { guest, place } = admitted;
    let session = session::begin(gate.house.clone(), (stream, &early), guest, place);
    shared.serving.tracker.spawn(session);
}
