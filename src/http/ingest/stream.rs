//! A stream at work: one half takes calls and starts them, the other waits for them in order and answers. Both are one
//! task; between them is the window.

use super::{
    desk::Place,
    line::{self, Call},
    order::{Order, Underway},
    silence::{Silence, Verdict},
};
use crate::{
    config::{
        Scope,
        limits::{
            CLOSE_TIMEOUT, HEADER_TIMEOUT, INGEST_ANSWER_BYTES, INGEST_BAD_LINES_MAX, INGEST_WINDOW_BYTES,
            INGEST_WINDOW_CALLS, INGEST_WRITE_TIMEOUT,
        },
    },
    http::{
        Api, ApiError,
        answer::Answer,
        calls::{
            Task,
            run::{Started, counting_ends},
        },
    },
    protocol::{Close, Tenant},
    session::{end_of, metrics::End},
    telemetry::names::{API_CALLS, API_SECONDS},
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

/// What is read from the socket at once.
const READ_BYTES: usize = 64 << 10;
/// The name in metrics.
const ROUTE: &str = "ingest";

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Whose stream it is.
pub(super) struct Caller {
    pub(super) api: Api,
    pub(super) tenant: Tenant,
    pub(super) key: [u8; 32],
}

/// From the half that takes to the half that answers.
enum Outgoing {
    Ping,
    Answer(Box<Taken>),
}

/// A call that was taken.
struct Taken {
    id: Option<Box<RawValue>>,
    begun: Instant,
    started: Result<Started, ApiError>,
    /// Until it is settled.
    held: Option<(OwnedSemaphorePermit, Underway)>,
    /// Until it is answered.
    _bytes: Option<OwnedSemaphorePermit>,
}

/// Serves a stream to its end; `_place` is its place among all of them.
pub(super) async fn serve(caller: Caller, connection: OnUpgrade, _place: Place) {
    let Ok(Ok(upgraded)) = timeout(HEADER_TIMEOUT, connection).await else { return };
    let most = caller.api.inner.limits.get().api_body_bytes;
    let config =
        WebSocketConfig::default().read_buffer_size(READ_BYTES).max_message_size(Some(most)).max_frame_size(Some(most));
    let socket = Socket::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let (mut sink, mut stream) = socket.split();
    let (queue, taken) = mpsc::channel(INGEST_WINDOW_CALLS);
    let taker = Taker::new(&caller);
    let (end, answered) = tokio::join!(taker.run(&mut stream, queue), answer_all(&mut sink, taken, &caller.api));
    tracing::debug!(?end, "a stream has ended");
    if answered.is_err() {
        return;
    }
    let parting = async {
        if let End::Ours(why) = end {
            let frame = CloseFrame { code: why.code().into(), reason: why.reason().into() };
            // Whether it arrives is the peer's luck.
            let _ = sink.send(Message::Close(Some(frame))).await;
        }
        // Until the peer has said goodbye, too.
        while let Some(Ok(_)) = stream.next().await {}
    };
    if matches!(end, End::Ours(_) | End::Peer) {
        let _ = timeout(CLOSE_TIMEOUT, parting).await;
    }
}

/// The half that reads.
struct Taker<'a> {
    caller: &'a Caller,
    order: Arc<Order>,
    bytes: Arc<Semaphore>,
    silence: Silence,
    /// Bad lines in a row.
    bad: u32,
}

impl<'a> Taker<'a> {
    fn new(caller: &'a Caller) -> Self {
        let limits = caller.api.inner.limits.get();
        let seconds = Duration::from_secs;
        let (interval, timeout) = (seconds(limits.ping_interval_seconds), seconds(limits.ping_timeout_seconds));
        Self {
            caller,
            order: Arc::default(),
            bytes: Arc::new(Semaphore::new(INGEST_WINDOW_BYTES)),
            silence: Silence::new(interval, timeout, Instant::now()),
            bad: 0,
        }
    }

    /// Takes calls until it must not; says why.
    async fn run(mut self, stream: &mut SplitStream<Socket>, queue: mpsc::Sender<Outgoing>) -> End {
        loop {
            let message = match self.next(stream, &queue).await {
                Ok(message) => message,
                Err(end) => return end,
            };
            let is_call = matches!(message, Message::Text(_) | Message::Binary(_));
            self.silence.heard(Instant::now(), is_call);
            if matches!(message, Message::Close(_)) {
                return End::Peer;
            }
            if is_call && let Err(end) = self.take_message(&message.into_data(), &queue).await {
                return end;
            }
        }
    }

    async fn next(&mut self, stream: &mut SplitStream<Socket>, queue: &mpsc::Sender<Outgoing>) -> Result<Message, End> {
        loop {
            let look = self.silence.next_look(Instant::now());
            tokio::select! {
                biased;
                () = self.caller.api.inner.readiness.until_draining() => return Err(self.leaving()),
                () = queue.closed() => return Err(End::Gone),
                message = stream.next() => return match message {
                    Some(Ok(message)) => Ok(message),
                    Some(Err(error)) => Err(end_of(&error)),
                    None => Err(End::Gone),
                },
                () = tokio::time::sleep_until(look) => match self.silence.verdict(Instant::now()) {
                    // A full window has answers on their way: that is as good.
                    Verdict::Ping => drop(queue.try_send(Outgoing::Ping)),
                    Verdict::Idle => return Err(End::Ours(Close::Idle)),
                    Verdict::Dead => return Err(End::Dead),
                },
            }
        }
    }

    async fn take_message(&mut self, message: &[u8], queue: &mpsc::Sender<Outgoing>) -> Result<(), End> {
        // Keys may change while the stream lives.
        let key = self.caller.api.inner.keys.get().by_hash(&self.caller.key);
        if !key.is_some_and(|key| key.may(Scope::Publish) && key.tenant == self.caller.tenant) {
            return Err(End::Ours(Close::Disconnected));
        }
        for line in message.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            self.take(line, queue).await?;
        }
        Ok(())
    }

    /// Starts a call as soon as there is room for it.
    async fn take(&mut self, line: &[u8], queue: &mpsc::Sender<Outgoing>) -> Result<(), End> {
        let room = queue.reserve().await.map_err(|_| End::Gone)?;
        // A line is within a message, and a message is much smaller than the window.
        let weight = u32::try_from(line.len().min(INGEST_WINDOW_BYTES)).unwrap_or(u32::MAX);
        let bytes = self.bytes.clone().acquire_many_owned(weight).await.ok();
        self.keep_pace().await;
        if !self.caller.api.inner.readiness.is_ready() {
            return Err(self.leaving());
        }
        let begun = Instant::now();
        let (id, call) = line::read(line);
        let (started, held) = match call {
            Ok(call) => self.start(call).await,
            Err(error) => (Err(error), None),
        };
        let is_bad = started.as_ref().is_err_and(|error| error.status().is_client_error());
        self.bad = if is_bad { self.bad + 1 } else { 0 };
        room.send(Outgoing::Answer(Box::new(Taken { id, begun, started, held, _bytes: bytes })));
        if self.bad >= INGEST_BAD_LINES_MAX { Err(End::Ours(Close::BadFrames)) } else { Ok(()) }
    }

    async fn start(&self, call: Call) -> (Result<Started, ApiError>, Option<(OwnedSemaphorePermit, Underway)>) {
        let api = &self.caller.api;
        let held = match &call.task {
            Task::Change(op, _) => {
                let turn = api.inner.ingest.turns.clone().acquire_owned().await;
                turn.ok().map(|turn| (turn, self.order.begin(op)))
            }
            Task::Tell(groups, _) => {
                self.order.clear_for(groups).await;
                None
            }
        };
        (api.start(&self.caller.tenant, call.task, call.idempotency), held)
    }

    /// A stream that is too fast is slowed down: refusing calls would break their order.
    async fn keep_pace(&self) {
        let api = &self.caller.api;
        let one = Duration::from_secs(1) / api.inner.limits.get().api_calls_per_second.max(1);
        while !api.is_in_pace(self.caller.key) && api.inner.readiness.is_ready() {
            tokio::time::sleep(one.clamp(Duration::from_millis(1), Duration::from_millis(100))).await;
        }
    }

    fn leaving(&self) -> End {
        /// Streams come back over so many milliseconds.
        const SPREAD: u32 = 2_000;
        let first = u32::from_be_bytes([0, 0, self.caller.key[0], self.caller.key[1]]);
        let streams = u32::try_from(self.caller.api.streams()).unwrap_or(0);
        End::Ours(Close::Drain { retry_after_ms: 250 + (first + streams * 97) % SPREAD, to: None })
    }
}

/// Answers what was taken, in order; what is ready together goes out together.
async fn answer_all(
    sink: &mut SplitSink<Socket, Message>,
    mut taken: mpsc::Receiver<Outgoing>,
    api: &Api,
) -> Result<(), End> {
    let mut text = String::new();
    loop {
        let next = match taken.try_recv() {
            Ok(next) => next,
            Err(mpsc::error::TryRecvError::Disconnected) => break,
            Err(mpsc::error::TryRecvError::Empty) => {
                flush(sink, &mut text).await?;
                match taken.recv().await {
                    Some(next) => next,
                    None => break,
                }
            }
        };
        let Outgoing::Answer(taken) = next else {
            send(sink, Message::Ping(Vec::new().into())).await?;
            continue;
        };
        let Taken { id, begun, started, held, _bytes } = *taken;
        let mut answering = pin!(answer(started, held));
        let outcome = match at_once(answering.as_mut()).await {
            Some(outcome) => outcome,
            None => {
                flush(sink, &mut text).await?;
                answering.await
            }
        };
        count(&outcome, begun);
        let at = outcome.as_ref().ok().and_then(|answer| answer.stored_at);
        line::write(&mut text, id.as_deref(), (&outcome, at.map(|pos| api.inner.records.cursor(pos))));
        if text.len() >= INGEST_ANSWER_BYTES {
            flush(sink, &mut text).await?;
        }
    }
    flush(sink, &mut text).await
}

async fn answer(
    started: Result<Started, ApiError>,
    held: Option<(OwnedSemaphorePermit, Underway)>,
) -> Result<Answer, ApiError> {
    let settled = started?.settle().await;
    drop(held);
    Api::finish(settled?, counting_ends()).await
}

/// What the future comes to, if that can be said without waiting.
async fn at_once<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn flush(sink: &mut SplitSink<Socket, Message>, text: &mut String) -> Result<(), End> {
    if text.is_empty() {
        return Ok(());
    }
    send(sink, Message::text(std::mem::take(text))).await
}

/// A peer that does not read ends its stream.
async fn send(sink: &mut SplitSink<Socket, Message>, message: Message) -> Result<(), End> {
    match timeout(INGEST_WRITE_TIMEOUT, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}

fn count(outcome: &Result<Answer, ApiError>, begun: Instant) {
    let status = outcome.as_ref().map_or_else(|error| error.status().as_u16(), Answer::status);
    metrics::counter!(API_CALLS, "route" => ROUTE, "status" => status.to_string()).increment(1);
    metrics::histogram!(API_SECONDS, "route" => ROUTE).record(begun.elapsed().as_secs_f64());
}
