//! New connections to one address, plain or over TLS, ready for HTTP/1.1.
//!
//! [`Client`](super::Client) makes its own here. Whoever has more to say than a GET, or more to hear than a short
//! answer, takes the connection and brings its own patience: nothing here is timed.

use super::{CallError, TrustError, trust};
use crate::config::Target;
use hyper::{
    body::Body,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{error::Error, fmt, path::Path};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// Most header bytes of an answer; hyper refuses longer ones.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Knows where to connect, and whom to believe there.
pub struct Connector {
    target: Target,
    /// `None`: plain HTTP.
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Connector {
    /// `ca` is a file of certificate authorities that are trusted beside the system's. Files are read now and only for
    /// `https`; nothing is connected yet.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn new(target: Target, ca: Option<&Path>) -> Result<Self, TrustError> {
        let tls = if target.is_tls() {
            let name = ServerName::try_from(target.host.clone())
                .map_err(|_| tokio_rustls::rustls::Error::General(format!("{} is no name for TLS", target.host)))?;
            Some((trust::connector(ca)?, name))
        } else {
            None
        };
        Ok(Self { target, tls })
    }

    /// Where it connects.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// A connection that carries requests with bodies of one type. It is closed when the sender is dropped.
    ///
    /// # Errors
    /// [`CallError::Connect`], [`CallError::Tls`], [`CallError::Broken`].
    pub async fn connect<B>(&self) -> Result<SendRequest<B>, CallError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
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

async fn handshake<S, B>(stream: S) -> Result<SendRequest<B>, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| CallError::Broken)?;
    // Ends when the sender is dropped: by a call that was given up, or with a pool.
    tokio::spawn(connection);
    Ok(sender)
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({})", self.target)
    }
}
