//! What goes wrong in a call: one enum, one table to statuses, one shape of body.
//!
//! A message says what was wrong, with what value, and what would be right. Nothing of the server's inside is in it.

use super::ingest::FullOfStreams;
use crate::{
    broker::PublishError,
    cluster::ChangeError,
    config::Scope,
    protocol::handshake::NotAHandshake,
    records::{ProposeError, RecordsError, Rejection},
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

/// Seconds after which a refused call is worth another try.
const RETRY_AFTER_SECONDS: &str = "1";

/// A kind of error, as programs and the API's document know it.
pub(super) struct Code {
    pub(super) code: &'static str,
    pub(super) status: u16,
    pub(super) means: &'static str,
}

macro_rules! codes {
    ($($status:literal $code:literal $means:literal;)*) => {
        &[$(Code { code: $code, status: $status, means: $means },)*]
    };
}

/// The one table of errors: status, code, what it means.
pub(super) const CODES: &[Code] = codes! {
    400 "bad_json" "The body is no JSON, or none that every reader understands.";
    401 "unauthorized" "No API key, or none of ours.";
    403 "scope" "The key does not have the scope.";
    403 "foreign_host" "Development mode answers only under a name of this machine.";
    404 "not_found" "There is no such path, or no such thing in this tenant.";
    404 "unknown_group" "No endpoint ever joins a group of this name.";
    405 "method_not_allowed" "The path has other methods: see `Allow`.";
    408 "timeout" "The body did not arrive in time.";
    409 "unknown_position" "`Carillon-Position` is of another history (a backup was restored) or beyond everything: leave it out.";
    409 "idempotency_key_reused" "This `Idempotency-Key` was used with another body.";
    413 "too_large" "Larger than a bound, which the message names.";
    422 "invalid" "A field or parameter is wrong, and `field` says which.";
    429 "too_fast" "Faster than `limits.api_calls_per_second`.";
    429 "too_many_tickets" "The tenant has as many tickets waiting as it may.";
    429 "busy" "Another backup is under way.";
    500 "internal" "A defect; the server's log says more.";
    503 "overloaded" "Too much at once; it never happened.";
    503 "no_quorum" "No leader with a majority; it never happened.";
    503 "disk_full" "Below `storage.reserve_bytes`; it never happened.";
    503 "outcome_unknown" "It may have happened: repeat it with the same `Idempotency-Key`.";
    400 "bad_handshake" "The request asks for a WebSocket, wrongly.";
    426 "upgrade_required" "This path speaks WebSocket.";
    429 "too_many_streams" "This key has all the streams that a key may have.";
    503 "streams_full" "The server has all the streams that it can hold.";
    503 "behind" "This node has not come to `Carillon-Position` in time: ask again, or another node; it never happened.";
    503 "not_ready" "The server starts or leaves; it never happened.";
};

/// Why a call was not answered with what it asked for. Nothing half done: but for `outcome_unknown`, nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 400: the body is not JSON, or not JSON that every reader understands.
    #[error("the body is not JSON: {0}")]
    BadJson(String),
    /// 401: no key, or none of ours.
    #[error("this call needs an API key: send the header Authorization: Bearer KEY")]
    NoKey,
    /// 401: a key that nobody gave out.
    #[error("this API key is not known here: check it, or make one with `carillon key new`")]
    WrongKey,
    /// 403: the key may not do this.
    #[error("this call needs an API key with the scope \"{}\"; this one has {has}", needs.as_str())]
    Scope {
        /// What the call needs.
        needs: Scope,
        /// What the key has, for people.
        has: String,
    },
    /// 403: development mode answers this machine only.
    #[error("development mode answers only to localhost, 127.0.0.1 and [::1], not to the host {0:?}")]
    ForeignHost(String),
    /// 404: no such path, or no such thing in this tenant.
    #[error("{0}")]
    NotFound(String),
    /// 404: no endpoint ever joins this group.
    #[error("{0}")]
    UnknownGroup(String),
    /// 405: the path is right, the method isn't.
    #[error("this path takes {allow}")]
    Method {
        /// Methods, as the `Allow` header lists them.
        allow: String,
    },
    /// 408: the body did not come.
    #[error("the body did not arrive within {0} s")]
    SlowBody(u64),
    /// 409: no node of this cluster has given this position out, or not in this history.
    #[error(
        "this Carillon-Position is none of this server's now: a backup was restored since, or it is another server's; leave it out, and read again what depends on it"
    )]
    UnknownPosition,
    /// 503: this node is behind.
    #[error("this node has not come to the Carillon-Position that was asked for: try again, or another node")]
    Behind,
    /// 409: see [`Rejection::KeyReused`].
    #[error("{}", Rejection::KeyReused)]
    KeyReused,
    /// 413: larger than a bound.
    #[error("{message}")]
    TooLarge {
        /// The field, if it is one field.
        field: Option<String>,
        /// What, how large, and the bound.
        message: String,
    },
    /// 422: a field is wrong.
    #[error("{message}")]
    Invalid {
        /// The field; `None` when the body as a whole is wrong.
        field: Option<String>,
        /// What was wrong, and what would be right.
        message: String,
    },
    /// 429: faster than `limits.api_calls_per_second`.
    #[error("this key makes more than {per_second} calls a second: slow down, or put calls into a batch")]
    TooFast {
        /// The limit.
        per_second: u32,
    },
    /// 429: see [`Rejection::TooManyTickets`].
    #[error("{0}")]
    TooManyTickets(Rejection),
    /// 503: see [`ProposeError`].
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// 503: the queues of the broker are full; nobody was told.
    #[error("too much is being published at once: nobody was told, try again shortly")]
    Overloaded,
    /// 429 or 503: a backup cannot be made now.
    #[error("{message}")]
    NoBackup {
        /// For machines.
        code: &'static str,
        /// What is in the way, and what to do.
        message: String,
    },
    /// 503: starting, or leaving.
    #[error("this server is {0}: try again, or another one")]
    NotReady(&'static str),
    /// 400, 426: not the handshake of a WebSocket.
    #[error(transparent)]
    NotAHandshake(#[from] NotAHandshake),
    /// 429, 503: see `FullOfStreams`.
    #[error(transparent)]
    Streams(#[from] FullOfStreams),
    /// 500: a defect; the log says which.
    #[error("the server has failed to answer; its log says why")]
    Internal,
}

impl ApiError {
    /// 422 about a field.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid { field: Some(field.to_owned()), message: message.into() }
    }

    /// 404 about a thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        let row = CODES.iter().find(|row| row.code == self.code());
        row.and_then(|row| StatusCode::from_u16(row.status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadJson(_) => "bad_json",
            Self::NoKey | Self::WrongKey => "unauthorized",
            Self::Scope { .. } => "scope",
            Self::ForeignHost(_) => "foreign_host",
            Self::NotFound(_) => "not_found",
            Self::UnknownGroup(_) => "unknown_group",
            Self::Method { .. } => "method_not_allowed",
            Self::SlowBody(_) => "timeout",
            Self::UnknownPosition => "unknown_position",
            Self::Behind => "behind",
            Self::KeyReused => "idempotency_key_reused",
            Self::TooLarge { .. } => "too_large",
            Self::Invalid { .. } => "invalid",
            Self::TooFast { .. } => "too_fast",
            Self::TooManyTickets(_) => "too_many_tickets",
            Self::Propose(error) => error.code(),
            Self::Overloaded => "overloaded",
            Self::NoBackup { code, .. } => code,
            Self::NotReady(_) => "not_ready",
            Self::NotAHandshake(NotAHandshake::NoUpgrade | NotAHandshake::OtherVersion) => "upgrade_required",
            Self::NotAHandshake(_) => "bad_handshake",
            Self::Streams(FullOfStreams::Key) => "too_many_streams",
            Self::Streams(FullOfStreams::Node) => "streams_full",
            Self::Internal => "internal",
        }
    }

    /// The field that is wrong.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Invalid { field, .. } | Self::TooLarge { field, .. } => field.as_deref(),
            _ => None,
        }
    }

    /// `{"error": {"code", "message", "field"?}}`
    pub fn body(&self) -> String {
        let mut error = json!({"code": self.code(), "message": self.to_string()});
        if let Some(field) = self.field() {
            error["field"] = field.into();
        }
        json!({"error": error}).to_string()
    }

    /// Headers that belong to the status.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        match self {
            Self::NoKey | Self::WrongKey => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Method { allow } => {
                if let Ok(allow) = allow.parse() {
                    headers.insert(header::ALLOW, allow);
                }
            }
            Self::NotAHandshake(_) if self.status() == StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            Self::TooFast { .. }
            | Self::TooManyTickets(_)
            | Self::Propose(_)
            | Self::Overloaded
            | Self::NotReady(_)
            | Self::Behind
            | Self::NoBackup { .. }
            | Self::Streams(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
    }
}

impl From<RecordsError> for ApiError {
    fn from(error: RecordsError) -> Self {
        tracing::error!(%error, "a call cannot be answered: rows cannot be read");
        Self::Internal
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoLeader => Self::Propose(ProposeError::NoQuorum),
            ChangeError::Unknown => Self::Propose(ProposeError::OutcomeUnknown),
            ChangeError::Refused(_) | ChangeError::Alone => Self::Invalid { field: None, message: error.to_string() },
        }
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Overloaded => Self::Overloaded,
            PublishError::Fenced => Self::Propose(ProposeError::NoQuorum),
        }
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.to_string();
        let field = Some("data".to_owned());
        match rejection {
            Rejection::KeyReused => Self::KeyReused,
            Rejection::TooManyTickets { .. } => Self::TooManyTickets(rejection),
            // Only the door spends tickets; of 256 random bits none is issued twice.
            Rejection::TicketGone => Self::Internal,
            Rejection::TooLarge { .. } => Self::TooLarge { field, message },
            Rejection::Wiped { .. } | Rejection::Removed { .. } => Self::Invalid { field: None, message },
            Rejection::NoPlan | Rejection::TooMany { .. } => Self::Invalid { field, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each; a variant that is missing here does not compile.
    fn each(error: &ApiError) -> Option<ApiError> {
        let text = String::new;
        Some(match error {
            ApiError::BadJson(_) => ApiError::NoKey,
            ApiError::NoKey => ApiError::WrongKey,
            ApiError::WrongKey => ApiError::Scope { needs: Scope::Read, has: text() },
            ApiError::Scope { .. } => ApiError::ForeignHost(text()),
            ApiError::ForeignHost(_) => ApiError::NotFound(text()),
            ApiError::NotFound(_) => ApiError::UnknownGroup(text()),
            ApiError::UnknownGroup(_) => ApiError::Method { allow: text() },
            ApiError::Method { .. } => ApiError::SlowBody(1),
            ApiError::SlowBody(_) => ApiError::UnknownPosition,
            ApiError::UnknownPosition => ApiError::Behind,
            ApiError::Behind => ApiError::KeyReused,
            ApiError::KeyReused => ApiError::TooLarge { field: None, message: text() },
            ApiError::TooLarge { .. } => ApiError::invalid("f", ""),
            ApiError::Invalid { .. } => ApiError::TooFast { per_second: 1 },
            ApiError::TooFast { .. } => ApiError::TooManyTickets(Rejection::TooManyTickets { max: 1 }),
            ApiError::TooManyTickets(_) => ApiError::Propose(ProposeError::Overloaded),
            ApiError::Propose(ProposeError::Overloaded) => ApiError::Propose(ProposeError::NoQuorum),
            ApiError::Propose(ProposeError::NoQuorum) => ApiError::Propose(ProposeError::DiskFull),
            ApiError::Propose(ProposeError::DiskFull) => ApiError::Propose(ProposeError::OutcomeUnknown),
            ApiError::Propose(ProposeError::OutcomeUnknown) => ApiError::Overloaded,
            ApiError::Overloaded => ApiError::NoBackup { code: "busy", message: text() },
            ApiError::NoBackup { .. } => ApiError::NotReady("starting"),
            ApiError::NotReady(_) => ApiError::NotAHandshake(NotAHandshake::NoUpgrade),
            ApiError::NotAHandshake(NotAHandshake::NoUpgrade) => ApiError::NotAHandshake(NotAHandshake::BadKey),
            ApiError::NotAHandshake(_) => ApiError::Streams(FullOfStreams::Key),
            ApiError::Streams(FullOfStreams::Key) => ApiError::Streams(FullOfStreams::Node),
            ApiError::Streams(FullOfStreams::Node) => ApiError::Internal,
            ApiError::Internal => return None,
        })
    }

    #[test]
    fn every_error_stands_in_the_table_and_nothing_else_does() {
        let mut seen = std::collections::BTreeSet::new();
        let mut next = Some(ApiError::BadJson(String::new()));
        while let Some(error) = next {
            assert!(CODES.iter().any(|row| row.code == error.code()), "{error:?} has no row");
            seen.insert(error.code());
            next = each(&error);
        }
        let rows: Vec<_> = CODES.iter().map(|row| row.code).collect();
        assert!(rows.iter().all(|code| seen.contains(code)), "{rows:?}");
        assert_eq!(rows.len(), seen.len());
    }
}
