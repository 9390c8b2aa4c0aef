//! A client of the server's HTTP, for the commands that ask a running server.

use super::{Exit, Failure};
use crate::{
    config::{Target, TargetError},
    outbound::{self, Connector, TrustError},
};
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1::SendRequest,
    header,
};
use std::{path::PathBuf, time::Duration};

/// How much of an answer is read that is for people.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Where a key is looked for that is not on the command line, which others on the machine can read.
const KEY_VARIABLE: &str = "CARILLON_API_KEY";

/// For the connection, TLS included; what a server then takes to answer is its own affair.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which server.
#[derive(Args, Clone, Debug)]
pub(super) struct Address {
    /// Where the server is.
    #[arg(long, global = true, default_value = "http://127.0.0.1:8000", value_parser = root)]
    pub(super) url: Target,
    /// Certificate authorities (PEM) that are trusted beside the system's; a self-signed certificate is its own.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
}

/// The address of a server's root.
fn root(text: &str) -> Result<Target, String> {
    let target: Target = text.parse().map_err(|error: TargetError| error.to_string())?;
    if target.path_and_query().contains('?') {
        return Err("write the address without a ?query".into());
    }
    Ok(target)
}

/// It can't be told whom to trust.
pub(super) fn untrusting(error: &TrustError) -> Failure {
    Failure::new(Exit::Usage, format!("--ca: {error}"))
}

/// What to add when what answered at an address speaks no HTTP.
pub(super) fn tls_hint(target: &Target) -> &'static str {
    if target.is_tls() { "" } else { "; if it speaks TLS, write https://" }
}

/// Which server, and as whom.
#[derive(Args, Clone, Debug)]
pub(super) struct Server {
    #[command(flatten)]
    address: Address,
    /// The API key. Others on this machine can read a command line: prefer the variable CARILLON_API_KEY, or --key-file.
    #[arg(long, global = true, value_name = "KEY", conflicts_with = "key_file")]
    key: Option<String>,
    /// A file with the API key.
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Server {
    pub(super) fn connection(&self) -> Result<Connection, Failure> {
        let Address { url, ca } = &self.address;
        let connector = Connector::new(url.clone(), ca.as_deref()).map_err(|error| untrusting(&error))?;
        Ok(Connection { connector, key: self.key()?, sender: None })
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
    connector: Connector,
    key: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// The address of a call, for people.
    pub(super) fn url(&self, path: &str) -> String {
        self.target(path).to_string()
    }

    /// One POST; the answer's body is yet to be read if it is a good one.
    pub(super) async fn post(&mut self, path: &str, body: Bytes) -> Result<Response<Incoming>, CallError> {
        self.call(Method::POST, path, body).await
    }

    /// One call; the answer's body is yet to be read if it is a good one.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, CallError> {
        let target = self.target(path);
        let (mut sender, hint) = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => (sender, ""),
            None => (self.connect().await?, tls_hint(&target)),
        };
        let broken = |error: hyper::Error| CallError::Broken(format!("no HTTP answer: {error}{hint}"));
        sender.ready().await.map_err(broken)?;
        let request = Request::builder()
            .method(method)
            .uri(target.path_and_query())
            .header(header::HOST, &target.authority)
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

    fn target(&self, path: &str) -> Target {
        self.connector.target().clone().below(path)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, CallError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.connector.connect()).await;
        let connected = connected.unwrap_or(Err(outbound::CallError::Timeout(CONNECT_TIMEOUT)));
        connected.map_err(|error| CallError::Broken(error.to_string()))
    }
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
    fn calls_are_made_below_the_root_of_a_server() {
        let asked = |text: &str| root(text).map(|target| target.below("/api/v1/import").to_string());
        for (text, url) in [
            ("http://localhost:8000", "http://localhost:8000/api/v1/import"),
            ("https://[::1]:8000/", "https://[::1]:8000/api/v1/import"),
            ("https://a.example.org/rt/", "https://a.example.org/rt/api/v1/import"),
        ] {
            assert_eq!(asked(text), Ok(url.to_owned()));
        }
        for (bad, right) in
            [("localhost:8000", "http://host:port"), ("http://u:p@h", "password"), ("http://h?x", "without a ?query")]
        {
            assert!(asked(bad).is_err_and(|why| why.contains(right)), "{bad}");
        }
    }
}
