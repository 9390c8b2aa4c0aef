//! Refusals that are written before, or instead of, an HTTP exchange: bytes that are ready to be sent.

use super::{metrics::Meters, places::NoPlace, refuse::RETRY_AFTER_SECONDS};
use crate::config::limits::{HEAD_BYTES_MAX, HEAD_LINES_MAX, HEADER_TIMEOUT};

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtOnce {
    /// There is no place for the connection.
    NoPlace(NoPlace),
    /// The head of a request has more bytes than it may.
    HeadTooLarge,
    /// The head of a request has more lines than it may.
    HeadLines,
    /// The head of a request did not come in time.
    HeadTooSlow,
    /// Unfinished heads hold all the memory they may.
    HeadsFull,
    /// Unfinished heads of this address do.
    AddressHeadsFull,
    /// HTTP/2, without asking.
    Http2,
}

impl AtOnce {
    fn status(self) -> &'static str {
        match self {
            Self::NoPlace(NoPlace::Total) | Self::HeadsFull => "503 Service Unavailable",
            Self::NoPlace(NoPlace::Address) | Self::AddressHeadsFull => "429 Too Many Requests",
            Self::HeadTooLarge | Self::HeadLines => "431 Request Header Fields Too Large",
            Self::HeadTooSlow => "408 Request Timeout",
            Self::Http2 => "505 HTTP Version Not Supported",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::NoPlace(NoPlace::Total) | Self::HeadsFull => "full",
            Self::NoPlace(NoPlace::Address) | Self::AddressHeadsFull => "address_full",
            Self::HeadTooLarge | Self::HeadLines => "head_too_large",
            Self::HeadTooSlow => "head_too_slow",
            Self::Http2 => "http_version",
        }
    }

    fn message(self) -> String {
        match self {
            Self::NoPlace(NoPlace::Total) => "too many connections; come back later".into(),
            Self::NoPlace(NoPlace::Address) => "too many connections from this address".into(),
            Self::HeadTooLarge => {
                format!("the request line and the headers have more than {HEAD_BYTES_MAX} bytes: send fewer or smaller cookies")
            }
            Self::HeadLines => format!("the request has more than {HEAD_LINES_MAX} headers"),
            Self::HeadTooSlow => {
                format!("the request line and the headers did not come within {} seconds", HEADER_TIMEOUT.as_secs())
            }
            Self::HeadsFull => "too many unfinished requests; come back later".into(),
            Self::AddressHeadsFull => "too many unfinished requests from this address".into(),
            Self::Http2 => "this server speaks HTTP/1.1: a proxy before it must use HTTP/1.1 towards it \
                            (HAProxy: `proto h1`; Envoy: `http_protocol_options`; nginx: `proxy_http_version 1.1`)"
                .into(),
        }
    }

    /// The whole answer; it is counted.
    pub(super) fn answer(self) -> Vec<u8> {
        Meters::refused(self.code());
        let retry = match self.code() {
            "full" | "address_full" => format!("Retry-After: {RETRY_AFTER_SECONDS}\r\n"),
            _ => String::new(),
        };
        let body = serde_json::json!({"error": {"code": self.code(), "message": self.message()}}).to_string();
        let (status, length) = (self.status(), body.len());
        format!(
            "HTTP/1.1 {status}\r\n{retry}Content-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}
