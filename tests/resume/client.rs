//! A client of carillon.v1 that is cut off at random, comes back, resumes, and writes down what it was told.

use crate::{
    board::Board,
    events::{self, Event, Message, Own, Stream, WATCHER},
    support::{Random, socket::request},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::Instant,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Error, Message as Wire, handshake::client::Request},
};

pub type Wired = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Messages on one connection, at most, before it is cut.
const MESSAGES_MAX: u64 = 24;
/// How long a connection lives, at most.
const LIFE_MAX_MS: u64 = 600;
/// Once in so many times it stays away, for so long at most.
const AWAY_ONE_IN: u64 = 25;
/// See [`AWAY_ONE_IN`].
const AWAY_MAX_MS: u64 = 3_000;
/// A resume is sent only after some events of the new socket, once in so many.
const LATE_ONE_IN: u64 = 8;
/// A tab marks everything as read once in so many notifications.
const READ_ALL_ONE_IN: u64 = 40;
/// Begins the titles of notifications that a tab is to mark as read.
pub const FOR_A_TAB: &str = "for a tab ";

/// A socket of the second edition.
pub async fn connect(address: SocketAddr, path: &str, token: &str) -> Result<Wired, Error> {
    let (wired, response) = connect_async(handshake(address, path, token)).await?;
    assert_eq!(response.headers().get("sec-websocket-protocol").map(|name| name.as_bytes()), Some(&b"carillon.v1"[..]));
    Ok(wired)
}

/// One with a small buffer, so that the server notices when it isn't read.
pub async fn connect_slow(address: SocketAddr, path: &str, token: &str) -> Wired {
    let tcp = TcpSocket::new_v4().expect("a socket");
    tcp.set_recv_buffer_size(4_096).expect("a size");
    let stream = MaybeTlsStream::Plain(tcp.connect(address).await.expect("a connection"));
    client_async(handshake(address, path, token), stream).await.expect("let in").0
}

fn handshake(address: SocketAddr, path: &str, token: &str) -> Request {
    let mut request = request(address, path, Some(token));
    request.headers_mut().insert("sec-websocket-protocol", "carillon.v1".parse().expect("ASCII"));
    request
}

pub struct Client {
    pub number: usize,
    pub stream: Stream,
    /// Changes things, too.
    pub acts: bool,
    board: Arc<Board>,
    random: Random,
    pub cursor: Option<String>,
    /// Everything, in order, once.
    pub events: Vec<Event>,
    seen: BTreeSet<String>,
    /// What came live before a late resume: pieces of what an undisturbed client sees.
    pub pieces: Vec<Vec<Event>>,
    /// Notifications to mark as read, until the event or the reply says that it is done.
    wanted: BTreeSet<u64>,
    pub own: Own,
}

/// One connection.
struct Visit {
    wired: Wired,
    /// What came before `resumed`; `None` once it has come, or is not waited for.
    early: Option<Vec<Event>>,
    asked: VecDeque<String>,
    messages: u64,
}

/// Why a visit is over.
enum Over {
    /// The connection ended, or was cut: come back.
    Cut,
    /// The server did what it must not.
    Wrong(String),
}

impl Client {
    pub fn new(number: usize, stream: Stream, board: Arc<Board>, seed: u64) -> Self {
        Self {
            number,
            stream,
            acts: false,
            board,
            random: Random::new(seed),
            cursor: None,
            events: Vec::new(),
            seen: BTreeSet::new(),
            pieces: Vec::new(),
            wanted: BTreeSet::new(),
            own: Own::default(),
        }
    }

    pub fn name(&self) -> String {
        format!("client {} on {}", self.number, self.stream)
    }

    /// One greeting, which says where this client begins.
    pub async fn find_place(&mut self) {
        let address = self.board.place.borrow().address;
        let wired = connect(address, self.stream.path(), &self.stream.token()).await.expect("let in");
        let mut visit = Visit { wired, early: None, asked: VecDeque::new(), messages: 0 };
        while self.cursor.is_none() {
            let message = visit.wired.next().await.expect("a greeting").expect("a message");
            let said = message.to_string();
            if self.hear(&mut visit, message).is_err() {
                panic!("{}: {said} instead of a greeting", self.name());
            }
        }
    }

    /// Comes, is cut off and comes back until the board says stop.
    pub async fn run(mut self) -> Self {
        while !self.board.is_stopped() {
            if self.random.one_in(AWAY_ONE_IN) && !self.board.is_quiet() {
                // Gone for longer, so that there is more to be made up for.
                tokio::time::sleep(Duration::from_millis(self.random.below(AWAY_MAX_MS))).await;
            }
            let life = Duration::from_millis(self.random.below(LIFE_MAX_MS));
            let messages = self.random.below(MESSAGES_MAX);
            if let Over::Wrong(what) = self.visit(Instant::now() + life, messages).await {
                self.board.fail(format!("{}: {what}", self.name()));
            }
        }
        self
    }

    /// Connects, says nothing, and hears everything until the connection ends or the phase does.
    pub async fn undisturbed(mut self, phase: u64, ready: tokio::sync::oneshot::Sender<()>) -> Self {
        let address = self.board.place.borrow().address;
        let Ok(wired) = connect(address, self.stream.path(), &self.stream.token()).await else {
            panic!("{} is not let in", self.name());
        };
        let mut visit = Visit { wired, early: None, asked: VecDeque::new(), messages: u64::MAX };
        let mut ready = Some(ready);
        while !self.events.iter().rev().take(8).any(|event| event.end_of_phase() == Some(phase)) {
            let next = tokio::time::timeout(Duration::from_millis(200), visit.wired.next()).await;
            let message = match next {
                Ok(Some(Ok(message))) => message,
                Err(_elapsed) if !self.board.is_stopped() => continue,
                _ => break,
            };
            if let Err(Over::Wrong(what)) = self.hear(&mut visit, message) {
                self.board.fail(format!("undisturbed {}: {what}", self.name()));
                break;
            }
            if self.cursor.is_some() {
                ready.take().map(|ready| ready.send(()));
            }
        }
        self
    }

    async fn visit(&mut self, until: Instant, messages: u64) -> Over {
        let address = self.board.place.borrow().address;
        let Ok(wired) = connect(address, self.stream.path(), &self.stream.token()).await else {
            self.board.count("connections refused");
            // The server is down; there is nothing else to be notified of.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Over::Cut;
        };
        let late = self.random.one_in(LATE_ONE_IN);
        let mut visit = Visit { wired, early: Some(Vec::new()), asked: VecDeque::new(), messages };
        let told = self.listen(&mut visit, until, late).await;
        self.keep_piece(visit.early.take());
        if let Over::Cut = told
            && self.random.one_in(8)
        {
            // Properly for once.
            let _ = visit.wired.close(None).await;
        }
        told
    }

    async fn listen(&mut self, visit: &mut Visit, until: Instant, late: bool) -> Over {
        let mut resume_after = if late { 1 + self.random.below(6) } else { 0 };
        if late {
            // Once it has said something, nothing is held back.
            let heartbeat = json!({"type": "heartbeat", "id": "heartbeat"});
            if self.ask(visit, &heartbeat).await.is_err() {
                return Over::Cut;
            }
        }
        while visit.messages > 0 {
            if visit.early.is_some() && !visit.asked.iter().any(|id| id == "resume") {
                if resume_after == 0 {
                    let resume = json!({"type": "resume", "after": self.cursor, "id": "resume"});
                    if self.ask(visit, &resume).await.is_err() {
                        return Over::Cut;
                    }
                } else {
                    resume_after -= 1;
                }
            }
            visit.messages = visit.messages.saturating_sub(1);
            let next = tokio::time::timeout_at(until, visit.wired.next()).await;
            let Ok(Some(Ok(message))) = next else { return Over::Cut };
            if let Err(over) = self.hear(visit, message) {
                return over;
            }
            if self.acts && !self.board.is_quiet() && visit.early.is_none() && self.act(visit).await.is_err() {
                return Over::Cut;
            }
        }
        Over::Cut
    }

    async fn ask(&self, visit: &mut Visit, request: &Value) -> Result<(), Error> {
        visit.asked.push_back(request["id"].as_str().expect("an id").to_owned());
        visit.wired.send(Wire::text(request.to_string())).await
    }

    fn hear(&mut self, visit: &mut Visit, message: Wire) -> Result<(), Over> {
        let text = match message {
            Wire::Text(text) => text,
            Wire::Close(frame) => {
                let told = frame.map_or_else(|| "nothing".to_owned(), |f| format!("{} {}", f.code, f.reason));
                self.board.count(format!("closed: {}", told.split("retry").next().unwrap_or_default()));
                return Err(Over::Cut);
            }
            _ => return Ok(()),
        };
        match events::read(&text).map_err(Over::Wrong)? {
            Message::Greeting(pos) => {
                if self.cursor.is_none() {
                    self.cursor = pos;
                }
            }
            Message::Ephemeral => {}
            Message::Reply(id, frame) => {
                if visit.asked.pop_front().as_ref() != Some(&id) {
                    return Err(Over::Wrong(format!("a reply out of turn: {frame}")));
                }
                self.answered(visit, &id, &frame)?;
            }
            Message::Events(events, pos) => match &mut visit.early {
                Some(early) => early.extend(events),
                None => {
                    for event in events {
                        self.note(event).map_err(Over::Wrong)?;
                    }
                    self.cursor = Some(pos);
                }
            },
        }
        Ok(())
    }

    fn answered(&mut self, visit: &mut Visit, id: &str, frame: &Value) -> Result<(), Over> {
        match (id.split_once(' '), frame["type"].as_str()) {
            (None, Some("resumed")) if frame["recovered"] == true => {
                self.board.resumed();
                let early = visit.early.take();
                if early.as_ref().is_some_and(|early| !early.is_empty()) {
                    self.board.count("resumes after events had come");
                }
                self.keep_piece(early);
            }
            (None, Some("heartbeat_response")) => {}
            (None, _) => return Err(Over::Wrong(format!("a resume after {:?} was answered {frame}", self.cursor))),
            (Some(("read", id)), Some("notification_marked_read")) => {
                let id = id.parse().expect("a number");
                self.wanted.remove(&id);
                self.own.confirmed.insert(id);
            }
            (Some(("all", _)), Some("all_notifications_marked_read")) => self.own.confirmed_all += 1,
            // A server that is leaving may say that it doesn't know; then the event tells.
            (Some(_), Some("error")) => self.board.count(format!("changes refused: {}", frame["code"])),
            _ => return Err(Over::Wrong(format!("no reply to {id}: {frame}"))),
        }
        Ok(())
    }

    fn note(&mut self, event: Event) -> Result<(), String> {
        if !event.pos.is_empty() && !self.seen.insert(event.pos.clone()) {
            return Err(format!("twice: {event}"));
        }
        if let Some(phase) = event.end_of_phase() {
            self.board.reached(self.number, phase);
        }
        if self.acts {
            let id = event.data()["id"].as_u64().unwrap_or_default();
            match event.kind() {
                "new_notification" if event.data()["title"].as_str().is_some_and(|t| t.starts_with(FOR_A_TAB)) => {
                    self.wanted.insert(id);
                }
                "notification_read" => {
                    self.wanted.remove(&id);
                }
                _ => {}
            }
        }
        self.events.push(event);
        Ok(())
    }

    /// Marks what is to be marked, again if it isn't known whether it was.
    async fn act(&mut self, visit: &mut Visit) -> Result<(), Error> {
        let ids: Vec<u64> = self.wanted.iter().copied().collect();
        for id in ids {
            let name = format!("read {id}");
            if !visit.asked.contains(&name) {
                self.ask(visit, &json!({"type": "mark_as_read", "notification_id": id, "id": name})).await?;
                if self.random.one_in(READ_ALL_ONE_IN) {
                    self.own.asked_all += 1;
                    let name = format!("all {}", self.own.asked_all);
                    self.ask(visit, &json!({"type": "mark_all_as_read", "id": name})).await?;
                }
            }
        }
        Ok(())
    }

    fn keep_piece(&mut self, piece: Option<Vec<Event>>) {
        self.pieces.extend(piece.filter(|piece| !piece.is_empty()));
    }

    /// Holds what it saw against `truth`. It may lack what it did itself and had confirmed.
    pub fn check(&self, truth: &[Event]) -> Result<(), String> {
        let truth = self.of_others(truth);
        events::same(&truth, &self.of_others(&self.events), &self.own)
            .map_err(|what| format!("{}: {what}", self.name()))?;
        for piece in &self.pieces {
            events::piece(&truth, &self.of_others(piece), 0, false)
                .map_err(|what| format!("{}, before a late resume: {what}", self.name()))?;
        }
        Ok(())
    }

    /// Without one's own comings and goings, which the greeting tells of.
    pub fn of_others(&self, events: &[Event]) -> Vec<Event> {
        let is_own = |event: &Event| self.stream == Stream::Presence && event.frames[0]["user_id"] == WATCHER;
        events.iter().filter(|event| !is_own(event)).cloned().collect()
    }
}
