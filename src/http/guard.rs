//! Development mode answers this machine only: a page that binds its own name to 127.0.0.1 still sends that name.

use super::{ApiError, object::shown};
use crate::auth::is_loopback_host;
use axum::{
    body::Body,
    extract::Request,
    http::{Response, header},
    middleware::Next,
};

/// Lets through what is asked of this machine by one of its own names. WebSockets have the door.
pub(super) async fn only_loopback_hosts(request: Request, next: Next) -> Response<Body> {
    let in_target = request.uri().authority().map(|authority| authority.as_str());
    let in_header = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("not ASCII"));
    let foreign = in_target.into_iter().chain(in_header).find(|host| !is_loopback_host(host));
    match foreign {
        None => next.run(request).await,
        Some(host) => ApiError::ForeignHost(shown(host)).into_response(),
    }
}
