//! One HTTP request to a server, for the commands that ask one: nothing that needs a client library.

use super::{Exit, Failure};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// How much of an answer is worth reading.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Where to connect, and what to write into the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
    authority: String,
    /// Without a slash at the end.
    base: String,
}

/// What to ask.
#[derive(Clone, Debug, Default)]
pub(super) struct Question<'a> {
    pub(super) method: Method,
    /// Below the target's own path.
    pub(super) path: &'a str,
    pub(super) key: Option<&'a str>,
    /// JSON.
    pub(super) body: String,
}

/// `http://host:port`
pub(super) fn target(text: &str) -> Result<Target, String> {
    let right = || "write http://host:port; for a server with TLS, the address of server.admin_listen".to_owned();
    let uri: Uri = text.parse().map_err(|_| right())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(right)?;
    if uri.scheme_str() != Some("http") || uri.query().is_some() {
        return Err(right());
    }
    Ok(Target {
        host: authority.host().trim_matches(['[', ']']).to_owned(),
        port: authority.port_u16().unwrap_or(80),
        authority: authority.to_string(),
        base: uri.path().trim_end_matches('/').to_owned(),
    })
}

impl Target {
    /// The whole address of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.authority, self.base)
    }

    /// Asks on a connection of its own: the status and the body.
    pub(super) async fn ask(&self, question: Question<'_>, patience: Duration) -> Result<(StatusCode, String), String> {
        let asked = tokio::time::timeout(patience, self.ask_patiently(question)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs())))
    }

    async fn ask_patiently(&self, question: Question<'_>) -> Result<(StatusCode, String), String> {
        let stream =
            TcpStream::connect((&*self.host, self.port)).await.map_err(|error| format!("no connection: {error}"))?;
        let broken = |error: hyper::Error| format!("no HTTP answer: {error}");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Drives the connection for as long as this function waits; dropped with the runtime.
        tokio::spawn(connection);
        let path = format!("{}{}", self.base, question.path);
        let mut request = Request::builder().method(question.method).uri(path).header(header::HOST, &self.authority);
        if let Some(key) = question.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        if !question.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(question.body))).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
        Ok((status, text))
    }
}

/// A runtime for a command that asks.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Internal, format!("no runtime: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_asked() {
        let asked = |text: &str| target(text).map(|t| (t.host, t.port, t.base));
        assert_eq!(asked("http://localhost:8000"), Ok(("localhost".into(), 8000, String::new())));
        assert_eq!(asked("http://[::1]:8000/"), Ok(("::1".into(), 8000, String::new())));
        assert_eq!(asked("http://a.example.org/rt/"), Ok(("a.example.org".into(), 80, "/rt".into())));
        for bad in ["", "localhost", "localhost:8000", "https://localhost", "http://", "http://u:p@h", "http://h?x"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
