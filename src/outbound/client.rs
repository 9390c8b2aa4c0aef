//! One GET and its answer, within the bounds; over a connection that was kept, or a new one.

use super::{
    CallError, TrustError,
    pool::{Pool, Sender},
    trust,
};
use crate::config::Target;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{HOST, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use std::{fmt, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// Most header bytes of an answer; hyper refuses longer ones.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Who asks.
const AGENT: &str = concat!("carillon/", env!("CARGO_PKG_VERSION"));

/// What an answer must not exceed.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// From the name's resolution to the last byte of the body.
    pub timeout: Duration,
    /// The body.
    pub body_bytes: usize,
}

/// A whole answer, of whatever status. `Debug` shows no content.
pub struct Answer {
    /// A 3xx is an answer like any other.
    pub status: StatusCode,
    /// As they came.
    pub headers: HeaderMap,
    /// At most [`Bounds::body_bytes`].
    pub body: Bytes,
}

/// Asks one address. Cheap to clone; clones share the connections that are kept.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    target: Target,
    /// `None`: plain HTTP.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    bounds: Bounds,
    pool: Pool,
}

impl Client {
    /// A client for one address; `ca` is a file of certificate authorities that are trusted beside the system's. Files
    /// are read now and only for `https`; nothing is connected yet.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn new(target: Target, ca: Option<&Path>, bounds: Bounds) -> Result<Self, TrustError> {
        let tls = if target.is_tls() {
            let name = ServerName::try_from(target.host.clone())
                .map_err(|_| tokio_rustls::rustls::Error::General(format!("{} is no name for TLS", target.host)))?;
            Some((trust::connector(ca)?, name))
        } else {
            None
        };
        Ok(Self { inner: Arc::new(Inner { target, tls, bounds, pool: Pool::default() }) })
    }

    /// Where it asks.
    pub fn target(&self) -> &Target {
        &self.inner.target
    }

    /// Asks once, and once more if a kept connection turned out to be closed: a GET may be repeated.
    ///
    /// # Errors
    /// See [`CallError`]. Any complete answer is none, whatever its status.
    pub async fn get(&self, headers: &HeaderMap) -> Result<Answer, CallError> {
        let timeout = self.inner.bounds.timeout;
        match tokio::time::timeout(timeout, self.inner.get(headers)).await {
            Ok(answered) => answered,
            Err(_) => Err(CallError::Timeout(timeout)),
        }
    }
}

impl Answer {
    /// The answer if it is a 200.
    ///
    /// # Errors
    /// [`CallError::Status`].
    pub fn ok(self) -> Result<Self, CallError> {
        if self.status == StatusCode::OK { Ok(self) } else { Err(CallError::Status(self.status.as_u16())) }
    }
}

impl Inner {
    async fn get(&self, headers: &HeaderMap) -> Result<Answer, CallError> {
        while let Some(kept) = self.pool.take() {
            // The other side may have closed it meanwhile; every kept one is tried at most once, so this ends.
            match self.ask(kept, headers).await {
                Err(CallError::Broken) => {}
                answered => return answered,
            }
        }
        let sender = self.connect().await?;
        self.ask(sender, headers).await
    }

    async fn ask(&self, mut sender: Sender, headers: &HeaderMap) -> Result<Answer, CallError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.target.path_and_query().parse().map_err(|_| CallError::Broken)?;
        let host = HeaderValue::from_str(&self.target.authority).map_err(|_| CallError::Broken)?;
        request.headers_mut().clone_from(headers);
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let response = sender.send_request(request).await.map_err(|_| CallError::Broken)?;
        let (head, body) = response.into_parts();
        let most = self.bounds.body_bytes;
        let body = Limited::new(body, most).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { CallError::TooLarge(most) } else { CallError::Broken }
        })?;
        // Ready again at once if the answer left the connection open.
        if sender.ready().await.is_ok() {
            self.pool.put(sender);
        }
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    async fn connect(&self) -> Result<Sender, CallError> {
        let address = (self.target.host.as_str(), self.target.port);
        let stream = TcpStream::connect(address).await.map_err(|error| CallError::Connect(error.kind()))?;
        // A request is one small write: it needn't wait for an earlier one's acknowledgement.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => handshake(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                handshake(stream.map_err(|error| CallError::Tls(error.to_string()))?).await
            }
        }
    }
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> Result<Sender, CallError> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| CallError::Broken)?;
    // Ends when the sender is dropped: by a call that was given up, or with the pool.
    tokio::spawn(connection);
    Ok(sender)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.inner.target)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}
