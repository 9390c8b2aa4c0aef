//! What a call is answered: a status, JSON, and whether it was answered before.

use super::ApiError;
use crate::protocol::{Pos, handshake};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use serde::Serialize;

/// Says that an answer is the one an earlier call with the same key got.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) status: u16,
    /// JSON text.
    pub(super) body: String,
    /// What is sent instead, piece by piece.
    file: Option<Body>,
    pub(super) is_replay: bool,
    /// Where in the log stands what the call has stored.
    pub(super) stored_at: Option<Pos>,
    /// `Sec-WebSocket-Accept` of an answer after which the connection is a WebSocket.
    accept: Option<String>,
}

impl Answer {
    /// Serialising plain values and checked raw JSON into memory cannot fail.
    pub(super) fn new(status: u16, body: &impl Serialize) -> Self {
        Self::json(status, serde_json::to_string(body).unwrap_or_default())
    }

    /// A body that is JSON text already.
    pub(super) fn json(status: u16, body: String) -> Self {
        Self { status, body, file: None, is_replay: false, stored_at: None, accept: None }
    }

    /// 101
    pub(super) fn switching(accept: String) -> Self {
        Self { accept: Some(accept), ..Self::json(101, String::new()) }
    }

    /// 200 with a file.
    pub(super) fn file(body: Body) -> Self {
        Self { file: Some(body), ..Self::json(200, String::new()) }
    }

    pub(super) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// With where in the log stands what the call has stored.
    pub(super) fn stored_at(self, pos: Option<Pos>) -> Self {
        Self { stored_at: pos, ..self }
    }

    /// 200
    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self::new(200, body)
    }

    pub(super) fn into_response(self) -> Response<Body> {
        if let Some(accept) = &self.accept {
            return handshake::switching(accept, None);
        }
        let mut response = json(StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK), self.body);
        if let Some(file) = self.file {
            *response.body_mut() = file;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        if self.is_replay {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

impl ApiError {
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = json(self.status(), self.body());
        self.add_headers(response.headers_mut());
        response
    }
}

fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
