//! What goes wrong in a call: one enum, one table to statuses, one shape of body.
//!
//! A message says what was wrong, with what value, and what would be right. Nothing of the server's inside is in it.

use crate::{
    broker::Overloaded,
    cluster::ChangeError,
    config::Scope,
    records::{ProposeError, RecordsError, Rejection},
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

/// Seconds after which a refused call is worth another try.
const RETRY_AFTER_SECONDS: &str = "1";

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
    /// 503: see [`ProposeError`].
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// 503: the queues of the broker are full; nobody was told.
    #[error("too much is being published at once: nobody was told, try again shortly")]
    Overloaded,
    /// 503: starting, or leaving.
    #[error("this server is {0}: try again, or another one")]
    NotReady(&'static str),
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
        match self {
            Self::BadJson(_) => StatusCode::BAD_REQUEST,
            Self::NoKey | Self::WrongKey => StatusCode::UNAUTHORIZED,
            Self::Scope { .. } | Self::ForeignHost(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::UnknownGroup(_) => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::SlowBody(_) => StatusCode::REQUEST_TIMEOUT,
            Self::KeyReused => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooFast { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Propose(_) | Self::Overloaded | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
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
            Self::KeyReused => "idempotency_key_reused",
            Self::TooLarge { .. } => "too_large",
            Self::Invalid { .. } => "invalid",
            Self::TooFast { .. } => "too_fast",
            Self::Propose(error) => error.code(),
            Self::Overloaded => "overloaded",
            Self::NotReady(_) => "not_ready",
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
            Self::TooFast { .. } | Self::Propose(_) | Self::Overloaded | Self::NotReady(_) => {
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

impl From<Overloaded> for ApiError {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.to_string();
        let field = Some("data".to_owned());
        match rejection {
            Rejection::KeyReused => Self::KeyReused,
            Rejection::TooLarge { .. } => Self::TooLarge { field, message },
            Rejection::Wiped { .. } | Rejection::Removed { .. } => Self::Invalid { field: None, message },
            Rejection::NoPlan | Rejection::TooMany { .. } => Self::Invalid { field, message },
        }
    }
}
