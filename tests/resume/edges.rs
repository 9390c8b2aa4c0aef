//! One case at a time, each of which the random run meets rarely or not at all.

use crate::{
    client::{Wired, connect, connect_slow},
    events::{self, Event, Message, Own, Stream},
    oracle,
    support::{Options, PATIENCE, Server, until},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio_tungstenite::tungstenite::Message as Wire;

/// A socket of carillon.v1 that does what it is told.
struct Tab {
    wired: Wired,
    events: Vec<Event>,
    /// Replies, by the id of the request.
    replies: VecDeque<(String, Value)>,
    cursor: Option<String>,
}

impl Tab {
    async fn open(server: &Server, stream: &Stream) -> Self {
        Self::over(connect(server.address(), stream.path(), &stream.token()).await.expect("let in"))
    }

    /// A socket with a small buffer: the server notices when it isn't read.
    async fn open_slow(server: &Server, stream: &Stream) -> Self {
        Self::over(connect_slow(server.address(), stream.path(), &stream.token()).await)
    }

    fn over(wired: Wired) -> Self {
        Self { wired, events: Vec::new(), replies: VecDeque::new(), cursor: None }
    }

    /// Where a new socket begins.
    async fn place(server: &Server, stream: &Stream) -> String {
        let mut tab = Self::open(server, stream).await;
        while tab.cursor.is_none() {
            tab.hear().await.expect("a greeting");
        }
        tab.cursor.expect("a position")
    }

    /// A socket that has resumed after `cursor`.
    async fn resumed(server: &Server, stream: &Stream, cursor: &str) -> Self {
        let mut tab = Self::open(server, stream).await;
        let reply = tab.resume(cursor).await;
        assert_eq!(reply["recovered"], true, "after {cursor}: {reply}");
        tab
    }

    async fn ask(&mut self, request: Value) {
        self.wired.send(Wire::text(request.to_string())).await.expect("sent");
    }

    /// Asks to resume; events that came before the reply came in vain, if the way is known.
    async fn resume(&mut self, after: &str) -> Value {
        self.ask(json!({"type": "resume", "after": after, "id": "resume"})).await;
        let reply = self.reply("resume").await;
        if reply["recovered"] == true {
            self.cursor = Some(after.to_owned());
        }
        reply
    }

    async fn reply(&mut self, id: &str) -> Value {
        loop {
            if let Some((of, reply)) = self.replies.pop_front() {
                assert_eq!(of, id, "{reply}");
                return reply;
            }
            self.hear().await.expect("a reply");
        }
    }

    /// Takes one message in; the code of a close.
    async fn hear(&mut self) -> Result<(), u16> {
        let next = tokio::time::timeout(PATIENCE, self.wired.next()).await.expect("something comes");
        let text = match next.expect("a message").expect("a message") {
            Wire::Text(text) => text,
            Wire::Close(frame) => return Err(frame.map_or(1005, |frame| frame.code.into())),
            _ => return Ok(()),
        };
        match events::read(&text).expect("as the protocol says") {
            Message::Greeting(pos) => self.cursor = pos,
            Message::Reply(id, reply) => {
                if reply["recovered"] == true {
                    self.events.clear();
                }
                self.replies.push_back((id, reply));
            }
            Message::Events(events, pos) => {
                self.events.extend(events);
                self.cursor = Some(pos);
            }
            Message::Ephemeral => {}
        }
        Ok(())
    }

    /// Hears on until the end of a phase is among the events.
    async fn until_end(&mut self, phase: u64) {
        while !self.events.iter().any(|event| event.end_of_phase() == Some(phase)) {
            self.hear().await.expect("not closed");
        }
    }

    fn numbers(&self) -> Vec<u64> {
        self.events.iter().filter_map(|event| event.data()["n"].as_u64()).collect()
    }
}

fn dashboard() -> Stream {
    Stream::Dashboard("1".into())
}

fn notifications() -> Stream {
    Stream::Notifications("1".into())
}

/// Updates of user 1's dashboard with these numbers in them, many in one call.
async fn update(server: &Server, numbers: std::ops::Range<u64>, filling: &str) {
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(if filling.is_empty() { 500 } else { 16 }) {
        let args = |n: &u64| json!({"user_id": 1, "data": {"n": n, "filling": filling}});
        let calls: Vec<Value> =
            some.iter().map(|n| json!({"call": "send_dashboard_update", "args": args(n)})).collect();
        let answer = server.api().post("/batch", &json!({"calls": calls})).await.ok();
        assert!(answer["results"].as_array().expect("results").iter().all(|one| one["status"] == 202), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_missed_events_are_made_up_for_in_one_go_and_nobody_is_kept_waiting() {
    const MISSED: u64 = 10_000;
    let server = Options::default().start();
    let cursor = Tab::place(&server, &dashboard()).await;
    update(&server, 0..MISSED, "").await;
    let mut slow = Tab::open_slow(&server, &dashboard()).await;
    slow.ask(json!({"type": "resume", "after": cursor, "id": "resume"})).await;
    assert_eq!(slow.reply("resume").await["recovered"], true);
    // It does not read now. Another client of the same user, and one that resumes the same way, do.
    let mut live = Tab::open(&server, &dashboard()).await;
    let mut quick = Tab::resumed(&server, &dashboard(), &cursor).await;
    update(&server, MISSED..MISSED + 100, "").await;
    while live.numbers().last() != Some(&(MISSED + 99)) {
        live.hear().await.expect("not closed");
    }
    assert_eq!(live.numbers(), (MISSED..MISSED + 100).collect::<Vec<_>>());
    while quick.numbers().last() != Some(&(MISSED + 99)) {
        quick.hear().await.expect("not closed");
    }
    let waiting = outbox_bytes(&server).await;
    assert!(waiting < 256 << 10, "{waiting} bytes wait for one slow reader");
    while slow.numbers().last() != Some(&(MISSED + 99)) {
        slow.hear().await.expect("not closed");
    }
    for tab in [&quick, &slow] {
        assert_eq!(tab.numbers(), (0..MISSED + 100).collect::<Vec<_>>());
    }
}

async fn outbox_bytes(server: &Server) -> u64 {
    let text = server.api().text("/metrics").await;
    let line = text.lines().find(|line| line.starts_with("carillon_outbox_bytes ")).expect("the metric");
    line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok()).expect("a number") as u64
}

#[tokio::test]
async fn a_resume_that_is_cut_anywhere_goes_on_from_there() {
    let server = Options::default().start();
    let (api, stream) = (server.api(), notifications());
    let cursor = Tab::place(&server, &stream).await;
    // Events of one frame and of two, so that messages begin and end at all places.
    for n in 0..150 {
        let id = api.notify("1", &n.to_string()).await;
        if n % 3 == 0 {
            api.post(&format!("/users/1/notifications/{id}/read"), &Value::Null).await.ok();
            api.delete(&format!("/users/1/notifications/{id}")).await.ok();
        }
    }
    oracle::mark_end(&api, &["1"], 0).await;
    let mut whole = Tab::resumed(&server, &stream, &cursor).await;
    whole.until_end(0).await;
    let (mut pieces, mut at, mut connections) = (Vec::new(), cursor, 0);
    while pieces.len() < whole.events.len() {
        let mut tab = Tab::resumed(&server, &stream, &at).await;
        assert!(tab.events.is_empty(), "{:?} came before the reply was read", tab.events);
        tab.hear().await.expect("not closed");
        pieces.append(&mut tab.events);
        at = tab.cursor.expect("a position");
        connections += 1;
    }
    assert!(connections > 2, "it was not cut");
    events::same(&whole.events, &pieces, &Own::default()).expect("the same");
}

#[tokio::test]
async fn two_tabs_resume_from_the_same_cursor_and_each_gets_everything() {
    let server = Options::default().start();
    let cursor = Tab::place(&server, &dashboard()).await;
    update(&server, 0..300, "").await;
    let mut tabs = [Tab::open(&server, &dashboard()).await, Tab::open(&server, &dashboard()).await];
    for tab in &mut tabs {
        tab.ask(json!({"type": "resume", "after": cursor, "id": "resume"})).await;
    }
    update(&server, 300..310, "").await;
    for tab in &mut tabs {
        assert_eq!(tab.reply("resume").await["recovered"], true);
        while tab.events.len() < 310 {
            tab.hear().await.expect("not closed");
        }
        assert_eq!(tab.numbers(), (0..310).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_cursor_of_another_endpoint_is_good_and_one_of_another_user_shows_nothing_of_theirs() {
    let server = Options::default().start();
    let api = server.api();
    let cursors = [
        Tab::place(&server, &notifications()).await,
        Tab::place(&server, &Stream::Notifications("2".into())).await,
        Tab::place(&server, &Stream::Presence).await,
    ];
    api.notify("1", "hers").await;
    api.notify("2", "his").await;
    update(&server, 0..3, "").await;
    for cursor in &cursors[..1] {
        let mut tab = Tab::resumed(&server, &dashboard(), cursor).await;
        while tab.events.len() < 3 {
            tab.hear().await.expect("not closed");
        }
        assert_eq!(tab.numbers(), [0, 1, 2]);
    }
    for (n, cursor) in cursors[1..].iter().enumerate() {
        let phase = n as u64;
        let mut tab = Tab::open(&server, &notifications()).await;
        tab.resume(cursor).await;
        oracle::mark_end(&api, &["1", "2"], phase).await;
        tab.until_end(phase).await;
        assert!(tab.events.iter().all(|event| !event.to_string().contains("his")), "{:?}", tab.events);
    }
}

#[tokio::test]
async fn a_cursor_that_is_none_is_answered_and_the_socket_goes_on() {
    let server = Options::default().start();
    let none = [json!(null), json!(1), json!([]), json!({}), json!(true), json!("x".repeat(65))];
    let strange = [json!(""), json!("x".repeat(64)), json!("ä\u{0}"), json!("0000000000000000-0")];
    let table =
        none.iter().map(|after| (after, json!("error"))).chain(strange.iter().map(|after| (after, json!("resumed"))));
    for (n, (after, expected)) in table.enumerate() {
        let mut tab = Tab::open(&server, &dashboard()).await;
        tab.ask(json!({"type": "resume", "after": after, "id": "r"})).await;
        let reply = tab.reply("r").await;
        assert_eq!(reply["type"], expected, "{after} was answered {reply}");
        match expected == "error" {
            true => assert_eq!(reply["code"], "bad_pos", "{after}"),
            false => assert_eq!(reply["recovered"], false, "{after}"),
        }
        let n = n as u64;
        update(&server, n..n + 1, "").await;
        while tab.numbers().last() != Some(&n) {
            tab.hear().await.expect("not closed");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resuming_again_and_again_while_much_is_written_has_no_seam() {
    const EVENTS: u64 = 6_000;
    let server = std::sync::Arc::new(Options::default().start());
    let mut at = Tab::place(&server, &dashboard()).await;
    let writing = tokio::spawn({
        let server = server.clone();
        async move {
            for n in (0..EVENTS).step_by(40) {
                update(&server, n..n + 40, "").await;
            }
        }
    });
    let (mut numbers, mut resumes) = (Vec::new(), 0);
    while numbers.last() != Some(&(EVENTS - 1)) {
        let mut tab = Tab::resumed(&server, &dashboard(), &at).await;
        // Into what happens live, and a bit further each time.
        let until = tab.events.len() + 60 + resumes % 50;
        while tab.events.len() < until && tab.numbers().last() != Some(&(EVENTS - 1)) {
            tab.hear().await.expect("not closed");
        }
        numbers.append(&mut tab.numbers());
        at = tab.cursor.expect("a position");
        resumes += 1;
    }
    writing.await.expect("written");
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>(), "after {resumes} resumes");
}

#[tokio::test]
async fn a_resume_that_comes_late_brings_everything_once_more() {
    let server = Options::default().start();
    let cursor = Tab::place(&server, &dashboard()).await;
    update(&server, 0..5, "").await;
    let mut tab = Tab::open(&server, &dashboard()).await;
    update(&server, 5..10, "").await;
    while tab.events.len() < 5 {
        tab.hear().await.expect("not closed");
    }
    assert_eq!(tab.numbers(), [5, 6, 7, 8, 9], "it did not resume");
    for round in 1..3 {
        assert_eq!(tab.resume(&cursor).await["recovered"], true);
        update(&server, 10 * round..10 * round + 10, "").await;
        let all = 10 * round + 10;
        while tab.numbers().last() != Some(&(all - 1)) {
            tab.hear().await.expect("not closed");
        }
        assert_eq!(tab.numbers(), (0..all).collect::<Vec<_>>(), "resume {round}");
    }
}

#[tokio::test]
async fn what_one_did_oneself_comes_with_a_resume_and_not_before() {
    let server = Options::default().start();
    let (api, stream) = (server.api(), notifications());
    let id = api.notify("1", "t").await;
    let mut tab = Tab::open(&server, &stream).await;
    tab.ask(json!({"type": "mark_as_read", "notification_id": id, "id": "m"})).await;
    assert_eq!(tab.reply("m").await["type"], "notification_marked_read");
    let before = tab.cursor.clone().expect("a position");
    oracle::mark_end(&api, &["1"], 0).await;
    tab.until_end(0).await;
    assert_eq!(tab.events.len(), 1, "{:?}", tab.events);
    // As if the reply had not arrived.
    let mut again = Tab::resumed(&server, &stream, &before).await;
    again.until_end(0).await;
    assert_eq!((again.events.len(), again.events[0].kind()), (2, "notification_read"), "{:?}", again.events);
    assert_eq!(again.events[0].data()["id"], id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_is_forgotten_while_somebody_walks_it_ends_and_leaves_no_gap() {
    // More than the kernel keeps for a reader that does not read.
    const EVENTS: u64 = 120;
    let server = Options::default().set("RETENTION__RESUME_BYTES", 6 << 20).start();
    let cursor = Tab::place(&server, &dashboard()).await;
    let filling = "x".repeat(44_000);
    update(&server, 0..EVENTS, &filling).await;
    let mut slow = Tab::open_slow(&server, &dashboard()).await;
    slow.ask(json!({"type": "resume", "after": cursor, "id": "resume"})).await;
    assert_eq!(slow.reply("resume").await["recovered"], true);
    update(&server, EVENTS..3 * EVENTS, &filling).await;
    until("the way is forgotten", || async {
        let mut late = Tab::open(&server, &dashboard()).await;
        (late.resume(&cursor).await["recovered"] == false).then_some(())
    })
    .await;
    let closed = loop {
        if slow.numbers().last() == Some(&(3 * EVENTS - 1)) {
            break None;
        }
        if let Err(code) = slow.hear().await {
            break Some(code);
        }
    };
    let numbers = slow.numbers();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "a gap, and nothing was said");
    assert_eq!(closed, Some(4408), "it has {} events", numbers.len());
    let mut back = Tab::open(&server, &dashboard()).await;
    let reply = back.resume(&slow.cursor.expect("a position")).await;
    assert_eq!(reply["recovered"], false, "{reply}");
    // From where it stands now, it goes on.
    let mut on = Tab::resumed(&server, &dashboard(), reply["pos"].as_str().expect("a position")).await;
    update(&server, 3 * EVENTS..3 * EVENTS + 1, "").await;
    on.hear().await.expect("not closed");
    assert_eq!(on.numbers(), [3 * EVENTS]);
}
