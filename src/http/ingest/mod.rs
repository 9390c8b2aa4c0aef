//! `GET /ingest`: a WebSocket that carries calls, for backends that make too many for one request each.
//!
//! A message holds one or more lines, a line is a call by the name of the backend's function, and each line gets a line
//! of its own as its answer, in order, once it is committed. It promises what single calls do, and for one stream:
//!
//! - answers come in the order of the calls, and so do effects: in each group, what was asked first is seen first;
//! - what was taken is carried out, whatever becomes of the stream; what was not answered may be repeated with the same
//!   idempotency key on another stream, and happens once;
//! - nothing is buffered without bound: when the window is full or the key's pace is reached, nothing more is read;
//! - a bad line is answered; only too many in a row end the stream.
//!
//! [`desk`]: who may have a stream · [`mod@line`]: text to call, answer to text · [`order`]: which call waits for which ·
//! [`silence`]: when a stream is dead, or idle · [`stream`]: the two halves that run it.

mod desk;
mod line;
mod order;
mod silence;
mod stream;

pub(super) use desk::Desk;
pub use desk::FullOfStreams;

use super::{
    ApiError,
    answer::Answer,
    openapi::{Operation, Stream},
    request::Request,
};

/// `GET /ingest`
pub(super) const OPERATION: Operation =
    Operation::reads("ingest", "A WebSocket for many calls, each answered by itself and in order.")
        .streams(Stream {
            about: "Send text or binary messages of one or more lines, each a call as in `POST /batch` with an `id` and an \
                    `idempotency_key` of its own; each line is answered by a line with the same `id`, once it is committed. \
                    Answers and effects have the order of the calls. Send on without waiting: what is under way together \
                    shares its waits for the disk. The server reads no further while 1,024 calls are under way or the key's \
                    pace is reached. Before closing, wait for the answers. Whatever was not answered, repeat on a new stream \
                    with the same keys. Closed with 1012 and `{\"code\":\"drain\",\"retry_after_ms\"}` when the server leaves; \
                    1008 after 100 bad lines in a row; 4403 when the key was taken away; 1000 after ten minutes without a call.",
            sent: line::LINE,
            received: line::ANSWER,
        })
        .fails(&["bad_handshake", "upgrade_required", "too_many_streams", "streams_full"]);

/// `GET /ingest`
pub(super) async fn open(request: Request) -> Result<Answer, ApiError> {
    let Request { api, tenant, key, upgrade, .. } = request;
    let upgrade = upgrade?;
    let place = api.inner.ingest.take(key)?;
    let caller = stream::Caller { api: api.clone(), tenant, key };
    api.inner.ingest.spawn(stream::serve(caller, upgrade.connection, place));
    Ok(Answer::switching(upgrade.accept))
}
