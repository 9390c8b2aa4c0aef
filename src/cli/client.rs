//! A client of the server's HTTP, for the commands that ask a running server.

use super::{Exit, Failure};
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use tokio::net::TcpStream;

/// How much of an answer is read that is for people.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Where a key is looked for that is not on the command line, which others on the machine can read.
const KEY_VARIABLE: &str = "CARILLON_API_KEY";

/// Where to connect, and what to write into the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authority: String,
    /// Of the server's root, without a slash at the end.
    pub(super) path: String,
}

impl Target {
    /// Reads a URL.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let right =
            || "write http://host:port (for ping and a server with TLS: the address of server.admin_listen)".to_owned();
        let uri: Uri = text.parse().map_err(|_| right())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(right)?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return Err(right());
        }
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.to_string(),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// Which server, and as whom.
#[derive(Args, Clone, Debug)]
pub(super) struct Server {
    /// Where the server is.
    #[arg(long, default_value = "http://127.0.0.1:8000", value_parser = Target::parse)]
    url: Target,
    /// The API key. Others on this machine can read a command line: prefer the variable CARILLON_API_KEY, or --key-file.
    #[arg(long, value_name = "KEY", conflicts_with = "key_file")]
    key: Option<String>,
    /// A file with the API key.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Server {
    pub(super) fn connection(&self) -> Result<Connection, Failure> {
        Ok(Connection { target: self.url.clone(), key: self.key()?, sender: None })
    }

    fn key(&self) -> Result<String, Failure> {
        let wrong = |what: String| Failure::new(Exit::Usage, what);
        let given = match (&self.key, &self.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|error| wrong(format!("--key-file {} cannot be read: {error}", path.display())))?,
            (None, None) => std::env::var(KEY_VARIABLE)
                .map_err(|_| wrong(format!("no API key: set {KEY_VARIABLE}, or give --key-file or --key")))?,
        };
        let key = given.trim().to_owned();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("the API key must be one word of visible ASCII characters".into()));
        }
        Ok(key)
    }
}

/// Why a call was not answered as it should be.
#[derive(Debug)]
pub(super) enum CallError {
    /// No connection, or it broke: the call may have been made.
    Broken(String),
    /// The server refused.
    Refused(StatusCode, String),
}

impl CallError {
    /// As the end of the program.
    pub(super) fn failure(&self, url: &str) -> Failure {
        match self {
            Self::Broken(why) => Failure::new(Exit::Unavailable, format!("{url}: {why}")),
            Self::Refused(status, why) => {
                let exit = match status.as_u16() {
                    401 | 403 | 404 => Exit::Usage,
                    408 | 429 => Exit::Unavailable,
                    400..=499 => Exit::Data,
                    _ => Exit::Unavailable,
                };
                Failure::new(exit, format!("{url} answered {status}: {why}"))
            }
        }
    }
}

/// A connection to a server, made when it is needed and kept.
pub(super) struct Connection {
    target: Target,
    key: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// The address of a call, for people.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.target.authority, self.target.path)
    }

    /// One POST; the answer's body is yet to be read if it is a good one.
    pub(super) async fn post(&mut self, path: &str, body: Bytes) -> Result<Response<Incoming>, CallError> {
        let broken = |error: hyper::Error| CallError::Broken(format!("no HTTP answer: {error}"));
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => connect(&self.target).await?,
        };
        sender.ready().await.map_err(broken)?;
        let request = Request::post(format!("{}{path}", self.target.path))
            .header(header::HOST, &self.target.authority)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| CallError::Broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        self.sender = Some(sender);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = read_text(response).await.unwrap_or_default();
        Err(CallError::Refused(status, message_of(&text)))
    }
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>, CallError> {
    let stream = TcpStream::connect((&*target.host, target.port)).await;
    let stream = stream.map_err(|error| CallError::Broken(format!("no connection: {error}")))?;
    let made = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = made.map_err(|error| CallError::Broken(format!("no HTTP answer: {error}")))?;
    // Drives the connection until the sender is dropped; dropped with the runtime.
    tokio::spawn(connection);
    Ok(sender)
}

/// An answer's body, which is for people or small.
pub(super) async fn read_text(response: Response<Incoming>) -> Result<String, CallError> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| CallError::Broken(format!("the answer broke off: {error}")))?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).trim().to_owned())
}

/// What an error's body says to people.
fn message_of(body: &str) -> String {
    let error: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let message = error.as_ref().and_then(|body| body["error"]["message"].as_str());
    message.unwrap_or(body).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_asked() {
        let asked = |text: &str| Target::parse(text).map(|t| (t.host, t.port, t.path));
        assert_eq!(asked("http://localhost:8000"), Ok(("localhost".into(), 8000, String::new())));
        assert_eq!(asked("http://[::1]:8000/"), Ok(("::1".into(), 8000, String::new())));
        assert_eq!(asked("http://a.example.org/rt/"), Ok(("a.example.org".into(), 80, "/rt".into())));
        for bad in ["", "localhost", "localhost:8000", "https://localhost", "http://", "http://u:p@h", "http://h?x"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
