//! Refusals before the upgrade: one table from reasons to statuses, one shape of body.

use super::caps::Full;
use crate::{auth::Refusal, endpoints::AdmitError, protocol::handshake::NotAHandshake, webhook::NotVouched};
use axum::body::Body;
use hyper::{
    Response, StatusCode, Version,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE},
    http::request::Parts,
};

/// Seconds after which a client that was refused for lack of room may try again.
pub(super) const RETRY_AFTER_SECONDS: u8 = 5;

/// Why a WebSocket is not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No endpoint has this path.
    UnknownPath,
    /// Not a handshake.
    NotAHandshake(NotAHandshake),
    /// A handshake with a body.
    HasBody,
    /// The door: no identity, no staff, a foreign origin.
    Door(Refusal),
    /// The webhook: the app doesn't know them, or could not be asked.
    NotVouched(NotVouched),
    /// The endpoint: deactivated, revoked, no longer staff.
    Forbidden(String),
    /// The endpoint can't admit anybody now.
    Unavailable(String),
    /// The server is leaving.
    Leaving,
    /// A cap.
    Full(Full),
}

/// The answer to a request that is none: its `Host` is missing or doubled (RFC 9112, section 3.2).
pub(super) fn unfit(request: &Parts) -> Option<Response<Body>> {
    let message = match request.headers.get_all(HOST).iter().count() {
        1 => return None,
        // Health checks of old load balancers send none.
        0 if request.version < Version::HTTP_11 => return None,
        0 => "the request has no Host header",
        _ => "the Host header is given more than once",
    };
    let body = serde_json::json!({ "error": { "code": "bad_host", "message": message } });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(response)
}

impl From<AdmitError> for Refused {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Refused(why) => Self::Forbidden(why.to_owned()),
            AdmitError::Unavailable(why) => Self::Unavailable(why.to_owned()),
        }
    }
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::NotAHandshake(NotAHandshake::NoUpgrade | NotAHandshake::OtherVersion) => StatusCode::UPGRADE_REQUIRED,
            Self::NotAHandshake(NotAHandshake::NotGet) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAHandshake(_) | Self::HasBody => StatusCode::BAD_REQUEST,
            Self::Door(Refusal::KeysMissing) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Door(_) | Self::Forbidden(_) | Self::NotVouched(NotVouched::Refused) => StatusCode::FORBIDDEN,
            Self::Full(Full::Address | Full::User) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_)
            | Self::NotVouched(NotVouched::Unavailable)
            | Self::Leaving
            | Self::Full(Full::Total) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The `code` of the body.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::UnknownPath => "not_found",
            Self::NotAHandshake(_) | Self::HasBody => "not_a_websocket",
            Self::Unavailable(_) | Self::NotVouched(NotVouched::Unavailable) | Self::Door(Refusal::KeysMissing) => {
                "unavailable"
            }
            Self::Door(_) | Self::Forbidden(_) | Self::NotVouched(NotVouched::Refused) => "forbidden",
            Self::Leaving => "leaving",
            Self::Full(Full::Total) => "full",
            Self::Full(Full::Address) => "address_full",
            Self::Full(Full::User) => "user_full",
        }
    }

    /// The label of the counter.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Door(refusal) => refusal.label(),
            Self::NotVouched(_) => "webhook",
            other => other.code(),
        }
    }

    /// For whoever runs the server: why, in more words than the client is told. Never the token.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Door(refusal) => refusal.reason(),
            other => other.message(),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Door(refusal) => refusal.to_string(),
            Self::UnknownPath => {
                let paths = crate::protocol::Endpoint::ALL.map(crate::protocol::Endpoint::path);
                format!("no WebSocket here: use one of {}", paths.join(", "))
            }
            Self::NotAHandshake(why) => why.to_string(),
            Self::HasBody => "a WebSocket handshake has no body: send no Content-Length and no Transfer-Encoding".into(),
            Self::Forbidden(why) | Self::Unavailable(why) => why.clone(),
            Self::NotVouched(why) => why.to_string(),
            Self::Leaving => "this server is stopping; connect again".to_owned(),
            Self::Full(full) => full.to_string(),
        }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let body = serde_json::json!({ "error": { "code": self.code(), "message": self.message() } });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status();
        let mut header = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
        header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.status() {
            StatusCode::UPGRADE_REQUIRED => {
                header(UPGRADE, HeaderValue::from_static("websocket"));
                header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                header(hyper::header::ALLOW, HeaderValue::from_static("GET"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                header(RETRY_AFTER, RETRY_AFTER_SECONDS.to_string().parse().unwrap_or(HeaderValue::from_static("5")));
            }
            _ => {}
        }
        response
    }
}
