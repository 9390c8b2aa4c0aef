//! The frames that the old stack was recorded with (`tests/data/transcripts.json`), replayed against the real server.
//!
//! Each scenario runs in a fresh store whose directory has the three recorded users. After each step, everything that
//! every open socket got is compared with the recording: order, ids and fields exactly, timestamps by their form.
//! Where PROTOCOL.md mends the old stack, [`mended`] says which step differs, why, and what comes instead; an entry
//! that is not used, or no longer differs from the recording, fails.

mod mended;
#[path = "../support/mod.rs"]
mod support;

use mended::MENDED;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use support::{Options, Server, Socket, User, frames, socket};

/// Frames by socket.
type Frames = BTreeMap<String, Vec<Value>>;

fn recording() -> Value {
    serde_json::from_str(include_str!("../data/transcripts.json")).expect("JSON")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is no string in {value}"))
}

fn user<'a>(recording: &'a Value, name: &str, id: &'a str) -> User<'a> {
    let user = &recording["users"][name];
    assert_eq!(user["user_id"].to_string(), id);
    User {
        id,
        username: text(user, "username"),
        first_name: text(user, "first_name"),
        last_name: text(user, "last_name"),
        is_staff: user["is_staff"] == true,
    }
}

fn users(recording: &Value) -> BTreeMap<&str, User<'_>> {
    [("alice", "1"), ("bob", "2"), ("root", "3")].map(|(name, id)| (name, user(recording, name, id))).into()
}

/// A scenario at work.
struct Replay<'a> {
    server: Server,
    users: &'a BTreeMap<&'a str, User<'a>>,
    sockets: BTreeMap<String, Socket>,
}

impl Replay<'_> {
    /// Does a step; its answer if it is a call.
    async fn act(&mut self, step: &Value) {
        let api = self.server.api();
        match text(step, "do") {
            "connect" => self.connect(step).await,
            "send" => {
                let socket = self.sockets.get_mut(text(step, "socket")).expect("open");
                socket.send(&step["frame"]).await;
            }
            "close" => self.sockets.remove(text(step, "socket")).expect("open").close().await,
            "group_send" => {
                api.group_send(text(step, "group"), &step["event"]).await;
            }
            "send_notification" => {
                let answer = api.post("/notifications", &step["args"]).await;
                assert_eq!(answer.status, 201, "{answer:?}");
                assert_eq!(answer.body["id"], step["returns"]["id"], "{answer:?}");
            }
            other => panic!("nobody knows how to {other}"),
        }
    }

    async fn connect(&mut self, step: &Value) {
        let path = text(step, "path");
        let user = step.get("as").map(|name| self.users[name.as_str().expect("a name")]);
        let token = user.map(User::token);
        if step["accepted"] == false {
            let handshake = socket::request(self.server.address(), path, token.as_deref());
            assert_eq!(socket::status(handshake).await, step["http_status"], "{path}");
            return;
        }
        let socket = self.server.connect(path, user.expect("somebody")).await;
        self.sockets.insert(text(step, "socket").to_owned(), socket);
    }

    /// What each socket got, at least as many frames as wanted, and whatever else was on its way.
    async fn received(&mut self, wanted: &Frames) -> Frames {
        let api = self.server.api();
        let mut received = Frames::new();
        for (name, socket) in &mut self.sockets {
            let mut frames = Vec::new();
            // Some come by themselves, after a grace time: the marker must not overtake them.
            for _ in wanted.get(name).map_or(&[][..], Vec::as_slice) {
                frames.push(socket.next().await);
            }
            frames.extend(socket.until_marker(&api).await);
            if !frames.is_empty() {
                received.insert(name.clone(), frames.into_iter().map(frames::masked).collect());
            }
        }
        received
    }
}

async fn replay(recording: &Value, scenario: &Value) -> BTreeSet<usize> {
    let users = users(recording);
    let name = text(scenario, "name");
    // Goings are announced after the grace time; a short one is a grace time, too.
    let server = Options::default().set("PRESENCE__GRACE_SECONDS", 1).start();
    for user in users.values() {
        server.api().put(&format!("/users/{}", user.id), &user.profile()).await.ok();
    }
    let mut replay = Replay { server, users: &users, sockets: BTreeMap::new() };
    let mut used = BTreeSet::new();
    for (nth, step) in scenario["steps"].as_array().expect("steps").iter().enumerate() {
        let mut wanted: Frames = serde_json::from_value(frames::masked(step["received"].clone())).expect("frames");
        if let Some(entry) = MENDED.iter().position(|entry| entry.scenario == name && entry.step == nth) {
            let mended: Frames = serde_json::from_str(MENDED[entry].received).expect(name);
            assert_ne!(mended, wanted, "{name}, step {nth}: the table says what the recording says");
            wanted = mended;
            used.insert(entry);
        }
        replay.act(step).await;
        let received = replay.received(&wanted).await;
        assert_eq!(received, wanted, "{name}, step {nth}: {step:#}");
    }
    used
}

/// The scenarios whose names pass, one after the other; which entries of the table they used.
async fn replay_all(only: impl Fn(&str) -> bool) -> (usize, BTreeSet<usize>) {
    let recording = recording();
    let (mut count, mut used) = (0, BTreeSet::new());
    for scenario in recording["scenarios"].as_array().expect("scenarios") {
        if only(text(scenario, "name")) {
            count += 1;
            used.extend(replay(&recording, scenario).await);
        }
    }
    (count, used)
}

fn is_door(name: &str) -> bool {
    name.starts_with("connect ")
}

#[tokio::test]
async fn who_was_let_in_and_greeted_is_let_in_and_greeted_alike() {
    let (count, used) = replay_all(is_door).await;
    assert_eq!((count, used.len()), (18, 0));
}

#[tokio::test]
async fn every_recorded_conversation_goes_as_recorded_but_for_what_is_mended() {
    let (count, used) = replay_all(|name| !is_door(name)).await;
    assert_eq!(count, 7);
    let unused: Vec<_> = (0..MENDED.len()).filter(|entry| !used.contains(entry)).collect();
    assert!(unused.is_empty(), "entries of the table that no step uses: {unused:?}");
}

#[test]
fn the_recording_is_complete() {
    let recording = recording();
    let scenarios = recording["scenarios"].as_array().expect("scenarios");
    let steps: usize = scenarios.iter().map(|scenario| scenario["steps"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!((scenarios.len(), steps), (25, 59));
    assert_eq!(
        recording["users"]["root"],
        json!({"user_id": 3, "username": "root", "first_name": "", "last_name": "", "is_staff": true})
    );
}
