//! The ways in beside tokens, and the ways out, against the real program: tickets, the app's own word through the auth
//! webhook, and that nobody comes back on what was taken from them.

mod app;
mod django;
mod revocation;
#[path = "../support/mod.rs"]
mod support;
mod tickets;
mod trouble;
mod webhook;

use support::{Server, Socket, User, socket};
use tokio_tungstenite::tungstenite::{Error, handshake::client::Request};

/// A page of this machine, which development mode lets in.
pub const ORIGIN: &str = "http://localhost:3000";

/// A handshake as a page's browser sends it: with the app's cookie, and without a token.
pub fn with_cookie(server: &Server, path: &str, cookie: &str) -> Request {
    let mut request = socket::request(server.address(), path, None);
    request.headers_mut().insert("origin", ORIGIN.parse().expect("ASCII"));
    request.headers_mut().insert("cookie", cookie.parse().expect("ASCII"));
    request
}

/// A handshake with a ticket, as a program sends it.
pub fn with_ticket(server: &Server, path: &str, ticket: &str) -> Request {
    socket::request(server.address(), &format!("{path}?ticket={ticket}"), None)
}

/// Opens a socket that must be let in and greeted.
pub async fn greeted(request: Request, user: User<'_>) -> Socket {
    let path = request.uri().path().to_owned();
    let socket = Socket::open(request, &path, user).await;
    let mut socket = socket.unwrap_or_else(|error| panic!("{path} as {}: {error}", user.username));
    socket.skip_greeting().await;
    socket
}

/// The status of a handshake that must be refused, the `code` of its body, and `Retry-After`.
pub async fn refused(request: Request) -> (u16, String, Option<String>) {
    match tokio_tungstenite::connect_async(request).await {
        Ok(_) => panic!("it was let in"),
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
            let retry = response.headers().get("retry-after").map(|value| value.to_str().expect("ASCII").to_owned());
            (response.status().as_u16(), code, retry)
        }
        Err(other) => panic!("neither a socket nor an answer: {other}"),
    }
}

/// What a refusal for good looks like.
pub fn forbidden() -> (u16, String, Option<String>) {
    (403, "forbidden".into(), None)
}
