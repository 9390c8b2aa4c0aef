//! What a node answers while it waits for the others: it lives, it is not ready. Whoever watches over processes would
//! otherwise end one that does no more than wait.

use crate::{
    cluster::{Node, StartError},
    config::{Limits, Live, limits::HTTP_CONNECTIONS_MAX},
    http,
    transport::{self, Serving},
};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The public listener, and that of health and metrics if there is one.
type Listeners = (TcpListener, Option<TcpListener>);

/// Waits for a node to start. With `serve` (TLS and tasks) the listeners answer meanwhile.
pub(super) async fn room(
    (public, admin): Listeners,
    serve: Option<(&Live<Option<TlsAcceptor>>, &TaskTracker)>,
    start: impl Future<Output = Result<Node, StartError>>,
) -> Result<(Listeners, Node), StartError> {
    let Some((tls, tracker)) = serve else { return Ok(((public, admin), start.await?)) };
    let started = CancellationToken::new();
    // Whatever ends the wait ends the serving.
    let _guard = started.clone().drop_guard();
    let serving = |tls: Live<Option<TlsAcceptor>>| Serving {
        gate: None,
        router: http::starting_router(),
        tls,
        trusted_proxies: Live::default(),
        http_connections: HTTP_CONNECTIONS_MAX,
        http_per_address: Limits::default().http_connections_per_address,
        http_idle: Duration::from_secs(Limits::default().http_idle_seconds),
        tracker: tracker.clone(),
    };
    let public = tracker.spawn(transport::serve(public, serving(tls.clone()), started.clone()));
    let admin = admin.map(|admin| tracker.spawn(transport::serve(admin, serving(Live::default()), started.clone())));
    let node = start.await?;
    started.cancel();
    let admin = match admin {
        Some(admin) => Some(admin.await?),
        None => None,
    };
    Ok(((public.await?, admin), node))
}
