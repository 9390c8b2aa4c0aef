//! Events as clients saw them, and how two views of them are held against each other.

use crate::support::User;
use serde_json::Value;
use std::{collections::BTreeSet, fmt};

/// Who watches the comings and goings of others.
pub const WATCHER: &str = "watcher";

/// What one endpoint tells one user, or everybody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    Notifications(String),
    Dashboard(String),
    Subscriptions(String),
    Presence,
    AdminDashboard,
    Alerts,
}

impl Stream {
    pub fn path(&self) -> &'static str {
        match self {
            Self::Notifications(_) => "/ws/notifications/",
            Self::Dashboard(_) => "/ws/dashboard/",
            Self::Subscriptions(_) => "/ws/subscriptions/",
            Self::Presence => "/ws/presence/",
            Self::AdminDashboard => "/ws/dashboard/admin/",
            Self::Alerts => "/ws/subscriptions/admin/",
        }
    }

    /// A token for somebody who may listen.
    pub fn token(&self) -> String {
        let (id, is_staff) = match self {
            Self::Notifications(user) | Self::Dashboard(user) | Self::Subscriptions(user) => (user.as_str(), false),
            Self::Presence => (WATCHER, false),
            Self::AdminDashboard | Self::Alerts => ("boss", true),
        };
        User { is_staff, ..User::named(id) }.token()
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notifications(user) | Self::Dashboard(user) | Self::Subscriptions(user) => {
                write!(f, "{} of user {user}", self.path())
            }
            _ => f.write_str(self.path()),
        }
    }
}

/// One durable event: the frames that came together, and their position.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Empty for presence: how entries were gathered into frames may differ from socket to socket.
    pub pos: String,
    pub frames: Vec<Value>,
}

impl Event {
    pub fn kind(&self) -> &str {
        self.frames[0]["type"].as_str().unwrap_or_default()
    }

    pub fn data(&self) -> &Value {
        &self.frames[0]["data"]
    }

    /// The phase whose end this event marks.
    pub fn end_of_phase(&self) -> Option<u64> {
        let text = self.frames[0].to_string();
        let (_, rest) = text.split_once(END_OF_PHASE)?;
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Value::Array(self.frames.clone()).to_string().replace(&filling(), "m…");
        let short: String = text.chars().take(300).collect();
        write!(f, "[{}] {short}", self.pos)
    }
}

/// What fills notifications, so that the log grows and snapshots are cut.
pub fn filling() -> String {
    "m".repeat(4 << 10)
}

/// Stands, with the phase's number after it, in the last event of a phase on every stream.
pub const END_OF_PHASE: &str = "end-of-phase-";

/// A message from the server.
pub enum Message {
    /// Part of a greeting, at this position if it has one.
    Greeting(Option<String>),
    /// The reply to the request with this id.
    Reply(String, Value),
    /// Durable events, and the position that the client has come to with them.
    Events(Vec<Event>, String),
    /// At most once; none of it is counted here.
    Ephemeral,
}

/// Reads a message after PROTOCOL.md.
pub fn read(text: &str) -> Result<Message, String> {
    let message: Value = serde_json::from_str(text).map_err(|_| format!("no JSON: {text}"))?;
    let frames = match message {
        Value::Array(frames) => frames,
        frame => vec![frame],
    };
    let first = frames.first().ok_or("an empty array")?;
    let kind = first["type"].as_str().ok_or_else(|| format!("no type: {text}"))?.to_owned();
    if let Some(id) = first["id"].as_str() {
        return if frames.len() == 1 {
            Ok(Message::Reply(id.to_owned(), first.clone()))
        } else {
            Err(format!("a reply in an array: {text}"))
        };
    }
    let pos = first["pos"].as_str().map(str::to_owned);
    let is_greeting = kind.ends_with("connection_established")
        || kind == "online_users"
        || (frames.len() == 1 && (kind == "unread_count" || kind == "user_online"));
    match pos {
        _ if is_greeting => Ok(Message::Greeting(pos)),
        None if kind == "error" => Err(format!("an error that answers nothing: {text}")),
        None => Ok(Message::Ephemeral),
        Some(_) => events(frames),
    }
}

/// Neighbours of one position are one event.
pub fn events(frames: Vec<Value>) -> Result<Message, String> {
    let (mut events, mut last): (Vec<Event>, Option<String>) = (Vec::new(), None);
    for mut frame in frames {
        let pos = frame.as_object_mut().and_then(|fields| fields.remove("pos"));
        let pos = pos.as_ref().and_then(Value::as_str).filter(|pos| is_position(pos));
        let Some(pos) = pos.map(str::to_owned) else { return Err(format!("a frame without its position: {frame}")) };
        if frame["type"] == "presence_changes" {
            let entries = frame["data"].as_array().ok_or_else(|| format!("no list: {frame}"))?;
            events.extend(entries.iter().map(|entry| Event { pos: String::new(), frames: vec![entry.clone()] }));
        } else if let Some(event) = events.last_mut().filter(|event| event.pos == pos) {
            event.frames.push(frame);
        } else {
            events.push(Event { pos: pos.clone(), frames: vec![frame] });
        }
        last = Some(pos);
    }
    Ok(Message::Events(events, last.unwrap_or_default()))
}

fn is_position(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// What a client did itself. It was told of it by replies, so that it may lack the events.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Notifications that were confirmed to be read.
    pub confirmed: BTreeSet<u64>,
    /// How often reading all was confirmed.
    pub confirmed_all: u64,
    /// How often it was asked for.
    pub asked_all: u64,
}

/// `got` must be `truth`, but for what was its `own` doing.
pub fn same(truth: &[Event], got: &[Event], own: &Own) -> Result<(), String> {
    let mut all_left = own.confirmed_all;
    let mut may_lack = |event: &Event| {
        if event.kind() != "notification_read" {
            return false;
        }
        if event.data()["all"] == true {
            let mine = all_left > 0;
            all_left -= u64::from(mine);
            return mine;
        }
        event.data()["id"].as_u64().is_some_and(|id| own.confirmed.contains(&id))
    };
    let mut at = 0;
    for (nth, event) in got.iter().enumerate() {
        let from = at;
        while truth.get(at).is_some_and(|expected| expected != event && may_lack(expected)) {
            at += 1;
        }
        if truth.get(at) != Some(event) {
            return Err(difference(truth, (from, event), nth));
        }
        at += 1;
    }
    match truth[at..].iter().find(|event| !may_lack(event)) {
        None => Ok(()),
        Some(missing) => Err(format!("missing at the end, after {} events: {missing}", got.len())),
    }
}

fn difference(truth: &[Event], (at, event): (usize, &Event), nth: usize) -> String {
    let expected = truth.get(at).map_or_else(|| "the end".to_owned(), ToString::to_string);
    let what = match truth.iter().position(|known| known == event) {
        Some(place) if place >= at => format!("{} missing", place - at),
        Some(_) => "twice or out of order".to_owned(),
        None if truth.iter().any(|known| known.pos == event.pos) => "different at this position".to_owned(),
        None => "one too many".to_owned(),
    };
    format!("{what}: event {nth} is {event}\n  instead of {expected}")
}

/// `segment` must stand in `truth` as one piece, not before `from`: the place after it. Right at `from` if `joined`.
pub fn piece(truth: &[Event], segment: &[Event], from: usize, joined: bool) -> Result<usize, String> {
    let Some(first) = segment.first() else { return Ok(from) };
    let starts = (from..truth.len()).filter(|at| truth[*at] == *first && (!joined || *at == from));
    let mut longest = 0;
    for start in starts {
        let common = truth[start..].iter().zip(segment).take_while(|(known, seen)| known == seen).count();
        if common == segment.len() {
            return Ok(start + common);
        }
        longest = longest.max(common);
    }
    let place = truth.get(from).map_or_else(|| "the end".to_owned(), ToString::to_string);
    Err(format!(
        "of {} events that an undisturbed client saw, only {longest} stand together here from event {from} on, which is \
         {place}\n  first {first}\n  then {}",
        segment.len(),
        segment.get(longest).map_or_else(String::new, ToString::to_string)
    ))
}
