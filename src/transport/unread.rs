//! The rest of a request body that nobody reads.
//!
//! A call may be refused before its body has come: no key, too large. If the connection were closed at once, what is
//! still under way would reset it, and the caller would not get to read the refusal. So the rest is taken in, within a
//! bound, while the response is on its way; beyond that bound hyper closes the connection.

use super::turn::Busy;
use crate::config::limits::{UNREAD_BODY_BYTES_MAX, UNREAD_BODY_TIMEOUT};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap,
    body::{Body, Frame, Incoming, SizeHint},
    header::EXPECT,
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A request body whose rest is taken in when it is dropped.
pub(super) struct RequestBody {
    /// `None` once it has ended.
    body: Option<Incoming>,
    /// A client that waits for leave to send (`Expect: 100-continue`) has sent nothing, and is not asked to.
    waits: bool,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    /// The request counts as being answered while its body is read.
    busy: Arc<Busy>,
}

impl RequestBody {
    pub(super) fn new(
        (body, headers, busy): (Incoming, &HeaderMap, Arc<Busy>),
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Self {
        let (tracker, shutdown) = (tracker.clone(), shutdown.clone());
        Self { body: Some(body), waits: headers.contains_key(EXPECT), tracker, shutdown, busy }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(context));
        self.waits = false;
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !self.waits && !body.is_end_stream()) else { return };
        let (shutdown, busy) = (self.shutdown.clone(), self.busy.clone());
        self.tracker.spawn(async move {
            let _busy = busy;
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = tokio::time::timeout(UNREAD_BODY_TIMEOUT, take_in(body)) => {}
            }
        });
    }
}

async fn take_in(mut body: Incoming) {
    let mut left = UNREAD_BODY_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else { return };
        left = rest;
    }
}
