//! What every answer of HTTP has beside its own: the time for which its connection is kept, and word that it is done.

use super::turn::Busy;
use axum::body::Body;
use bytes::Bytes;
use hyper::{
    HeaderMap, Version,
    body::{Body as HttpBody, Frame, SizeHint},
    header::{CONNECTION, HeaderName, HeaderValue},
    http::request::Parts,
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The body of an answer; the request counts as being answered until it is dropped.
pub(super) struct Answered {
    body: Body,
    _busy: Arc<Busy>,
}

impl Answered {
    pub(super) fn new(body: Body, busy: Arc<Busy>) -> Self {
        Self { body, _busy: busy }
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// `Keep-Alive: timeout=…` for the answer to a request whose connection is kept.
pub(super) fn keep_alive(request: &Parts, idle: Duration) -> Option<(HeaderName, HeaderValue)> {
    let says = |token: &str| lists(&request.headers, token);
    let is_kept = if request.version >= Version::HTTP_11 { !says("close") } else { says("keep-alive") };
    let value = is_kept.then(|| HeaderValue::from_str(&format!("timeout={}", idle.as_secs())).ok())??;
    Some((KEEP_ALIVE, value))
}

fn lists(headers: &HeaderMap, token: &str) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}
