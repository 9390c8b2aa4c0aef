//! Sending records to a server in calls of bounded size, again and again until they are there.

use super::{
    super::{
        client::{CallError, Connection, Server, read_text},
        runtime,
    },
    Exit, Failure, Kind, Progress, Unit, complain, grouped,
};
use crate::{
    config::limits::{IMPORT_CALL_BYTES, IMPORT_PATIENCE, IMPORT_RECORDS_MAX},
    records::import::ImportRecord,
};
use hyper::body::Bytes;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

const PATH: &str = "/api/v1/import";
/// Between two tries; doubled each time, up to the second.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Where a record stands in the file, and what it is called there.
pub(super) struct Place {
    pub(super) index: u64,
    pub(super) what: String,
}

/// The key of a notification; 0 for everything else.
pub(super) fn key_of(record: &ImportRecord) -> u64 {
    match record {
        ImportRecord::Notification(notification) => notification.key,
        _ => 0,
    }
}

struct Waiting {
    kind: Kind,
    place: Place,
    json: String,
}

/// What the server says to a call.
#[derive(Deserialize)]
struct Results {
    results: Vec<String>,
    ids_moved_by: u64,
}

/// Sends what is pushed.
pub(super) struct Sender {
    runtime: Runtime,
    interrupts: Signal,
    connection: Connection,
    highest_key: u64,
    waiting: Vec<Waiting>,
    bytes: usize,
    progress: Progress,
    settled: u64,
    /// By kind and the server's word for what came of it.
    counts: BTreeMap<(Kind, String), u64>,
    ids_moved_by: u64,
    begun: Instant,
}

impl Sender {
    /// Nothing is sent yet.
    pub(super) fn new(server: &Server, (total, highest_key): (u64, u64)) -> Result<Self, Failure> {
        let runtime = runtime()?;
        let guard = runtime.enter();
        let interrupts = signal(SignalKind::interrupt());
        drop(guard);
        Ok(Self {
            interrupts: interrupts
                .map_err(|e| Failure::new(Exit::Internal, format!("signals cannot be heard: {e}")))?,
            runtime,
            connection: server.connection()?,
            highest_key,
            waiting: Vec::new(),
            bytes: 0,
            progress: Progress::new("import", Unit::Records, total),
            settled: 0,
            counts: BTreeMap::new(),
            ids_moved_by: 0,
            begun: Instant::now(),
        })
    }

    pub(super) fn push(&mut self, (kind, record): (Kind, &ImportRecord), place: Place) -> Result<(), Failure> {
        let json = record.to_json();
        if self.bytes + json.len() > IMPORT_CALL_BYTES || self.waiting.len() == IMPORT_RECORDS_MAX {
            self.finish()?;
        }
        self.bytes += json.len();
        self.waiting.push(Waiting { kind, place, json });
        Ok(())
    }

    /// Records that the server has answered for.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// Sends what waits.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        self.send(&waiting)
    }

    fn send(&mut self, waiting: &[Waiting]) -> Result<(), Failure> {
        if waiting.is_empty() {
            return Ok(());
        }
        let records = waiting.iter().map(|one| one.json.as_str()).collect::<Vec<_>>().join(",");
        let body = Bytes::from(format!("{{\"reserve\":{},\"records\":[{records}]}}", self.highest_key));
        match self.call(&body) {
            Ok(results) if results.results.len() == waiting.len() => {
                self.note(waiting, results);
                Ok(())
            }
            Ok(_) => Err(Failure::new(Exit::Unavailable, "the server answered for other records than it was sent")),
            // limits.api_body_bytes may be small.
            Err(CallError::Refused(status, _)) if status == 413 && waiting.len() > 1 => {
                let (first, second) = waiting.split_at(waiting.len() / 2);
                self.send(first)?;
                self.send(second)
            }
            Err(error) => {
                self.progress.clear();
                Err(error.failure(&self.connection.url(PATH)))
            }
        }
    }

    /// Until it is answered: doing it again is harmless.
    fn call(&mut self, body: &Bytes) -> Result<Results, CallError> {
        let Self { runtime, interrupts, connection, settled, .. } = self;
        // Before the first answer it is more likely that the address is wrong.
        let has_answered = *settled > 0;
        let calls = async {
            let (begun, mut pause) = (Instant::now(), PAUSE);
            loop {
                match once(connection, body.clone()).await {
                    Err(error) if is_passing(&error, has_answered) && begun.elapsed() < IMPORT_PATIENCE => {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                    done => return done,
                }
            }
        };
        runtime.block_on(async {
            tokio::select! {
                done = calls => done,
                _ = interrupts.recv() => Err(CallError::Broken("interrupted".into())),
            }
        })
    }

    fn note(&mut self, waiting: &[Waiting], results: Results) {
        self.ids_moved_by = results.ids_moved_by;
        for (one, outcome) in waiting.iter().zip(results.results) {
            if outcome == "differs" {
                self.progress.clear();
                let Place { index, what } = &one.place;
                complain(&format!("record {index} ({what}): the server has another one, which stays"));
            }
            *self.counts.entry((one.kind, outcome)).or_default() += 1;
        }
        self.settled += waiting.len() as u64;
        self.progress.at(self.settled);
    }

    /// What came of all, for people.
    pub(super) fn report(&self) -> String {
        self.progress.clear();
        let mut lines = Vec::new();
        for kind in Kind::ALL {
            let counts: Vec<_> = self.counts.iter().filter(|((of, _), _)| *of == kind).collect();
            if counts.is_empty() {
                continue;
            }
            let words = counts.iter().map(|((_, outcome), count)| format!("{} {}", grouped(**count), said(outcome)));
            lines.push(format!("{:<14} {}", kind.name(), words.collect::<Vec<_>>().join(", ")));
        }
        if self.ids_moved_by > 0 {
            lines.push(format!(
                "ids of the newest notifications are their pk + {}: this tenant had notifications of its own",
                self.ids_moved_by
            ));
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let rate = grouped((self.settled as f64 / seconds.max(0.001)) as u64);
        lines.push(format!("{} records in {seconds:.1} s, {rate} per second", grouped(self.settled)));
        lines.join("\n")
    }
}

fn said(outcome: &str) -> &str {
    match outcome {
        "made" => "imported",
        "same" => "were there already",
        "differs" => "left as the server has them",
        "gone" => "imported before and deleted since",
        other => other,
    }
}

/// Whether it may go better in a moment.
fn is_passing(error: &CallError, has_answered: bool) -> bool {
    match error {
        CallError::Broken(_) => has_answered,
        CallError::Refused(status, _) => matches!(status.as_u16(), 408 | 429 | 503),
    }
}

async fn once(connection: &mut Connection, body: Bytes) -> Result<Results, CallError> {
    let text = read_text(connection.post(PATH, body).await?).await?;
    serde_json::from_str(&text).map_err(|_| CallError::Broken("the answer is none of a Carillon server's".into()))
}
