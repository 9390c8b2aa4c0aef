//! One GET and its answer, within the bounds; over a connection that was kept, or a new one.

use super::{
    CallError, Connector, TrustError,
    pool::{Pool, Sender},
};
use crate::config::Target;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Bytes,
    header::{HOST, HeaderValue, USER_AGENT},
};
use std::{fmt, path::Path, sync::Arc, time::Duration};

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
    connector: Connector,
    bounds: Bounds,
    pool: Pool,
}

impl Client {
    /// A client for one address; `ca` as for [`Connector::new`].
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn new(target: Target, ca: Option<&Path>, bounds: Bounds) -> Result<Self, TrustError> {
        let connector = Connector::new(target, ca)?;
        Ok(Self { inner: Arc::new(Inner { connector, bounds, pool: Pool::default() }) })
    }

    /// Where it asks.
    pub fn target(&self) -> &Target {
        self.inner.connector.target()
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
        let sender = self.connector.connect().await?;
        self.ask(sender, headers).await
    }

    async fn ask(&self, mut sender: Sender, headers: &HeaderMap) -> Result<Answer, CallError> {
        let target = self.connector.target();
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = target.path_and_query().parse().map_err(|_| CallError::Broken)?;
        let host = HeaderValue::from_str(&target.authority).map_err(|_| CallError::Broken)?;
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
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.target())
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}
