//! Why a call came to nothing. No variant holds a header, a query or a body, so all may be logged.

use std::{io, path::PathBuf, time::Duration};

/// Why there is no answer, or none that is of use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It took longer than it may, whatever part of it.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// No connection: the name is unknown, nobody listens, the network is down.
    #[error("no connection: {0}")]
    Connect(io::ErrorKind),
    /// The other side is not who it must be, or speaks no TLS.
    #[error("no TLS: {0}")]
    Tls(String),
    /// What came is no HTTP/1.1, or ended before its end.
    #[error("the answer broke off, or is no HTTP/1.1")]
    Broken,
    /// The answer is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// Another status than 200, for callers to whom nothing else is an answer; redirects are not followed.
    #[error("it answered {0}")]
    Status(u16),
}

impl CallError {
    /// A short name for counters; one of a fixed set.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Broken => "broken",
            Self::TooLarge(_) => "too_large",
            Self::Status(_) => "status",
        }
    }
}

/// Why it can't be told whom to trust.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file with further certificate authorities.
    #[error("{path}: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the reader said.
        why: String,
    },
    /// Nobody is trusted, so no call could succeed.
    #[error("this system has no certificate authorities (package ca-certificates), and no file of them was given")]
    Nobody,
    /// The library refuses to be set up.
    #[error(transparent)]
    Library(#[from] tokio_rustls::rustls::Error),
}
