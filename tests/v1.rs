//! `carillon.v1`: positions, resume, correlation, errors, presence changes, a new token. PROTOCOL.md, line by line.

mod support;

use serde_json::{Value, json};
use support::{ALICE, BOB, Options, ROOT, Server, V1Socket};

const NOTIFICATIONS: &str = "/ws/notifications/";

async fn send(server: &Server, title: &str) {
    server.api().notify(ALICE.id, title).await;
}

#[tokio::test]
async fn every_endpoint_begins_at_a_position_and_durable_events_have_one_but_replies_and_ephemeral_events_do_not() {
    let server = Server::dev();
    for path in support::PATHS {
        let mut socket = V1Socket::connect(&server, path, ROOT).await;
        let greeting = socket.skip_greeting().await;
        assert!(greeting.iter().all(|frame| frame["pos"].is_string()), "{path}: {greeting:?}");
        socket.send(&json!({"type": "heartbeat", "id": 1})).await;
        let reply = socket.next().await;
        assert_eq!(reply, json!({"type": "heartbeat_response", "timestamp": null, "id": 1}), "{path}");
    }
    let mut alice = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await;
    send(&server, "durable").await;
    let event = alice.next_message().await;
    assert_eq!(event[0]["type"], "new_notification");
    assert_eq!(event[1]["type"], "unread_count");
    assert!(event[0]["pos"].is_string() && event[0]["pos"] == event[1]["pos"], "{event:?}");
    server.api().group_send("notifications_user_1", &json!({"type": "notification_message", "message": "m"})).await;
    assert_eq!(alice.next().await, json!({"type": "notification", "message": "m", "level": "info"}));
}

#[tokio::test]
async fn what_was_missed_comes_once_and_in_order_and_then_what_happens() {
    let mut server = Server::dev();
    let mut alice = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await;
    send(&server, "1").await;
    alice.next_message().await;
    let cursor = alice.cursor();
    alice.close().await;
    send(&server, "2").await;
    server.kill_and_restart();
    send(&server, "3").await;
    let mut alice = V1Socket::connect(&server, NOTIFICATIONS, ALICE).await;
    alice.send(&json!({"type": "resume", "after": cursor, "id": "r"})).await;
    send(&server, "4").await;
    alice.skip_greeting().await;
    let resumed = alice.next().await;
    assert_eq!(resumed, json!({"type": "resumed", "recovered": true, "pos": cursor, "id": "r"}));
    assert_eq!(titles(&mut alice, 3).await, ["2", "3", "4"]);
    send(&server, "5").await;
    assert_eq!(titles(&mut alice, 1).await, ["5"]);
    // The same again, late and on an open socket: what is after the cursor comes again.
    alice.send(&json!({"type": "resume", "after": cursor})).await;
    assert_eq!(alice.next().await["recovered"], true);
    assert_eq!(titles(&mut alice, 4).await, ["2", "3", "4", "5"]);
}

/// The titles of the next `count` notifications, each with the count that comes in its message.
async fn titles(socket: &mut V1Socket, count: usize) -> Vec<String> {
    let mut titles = Vec::new();
    while titles.len() < count {
        for frame in socket.next_message().await {
            match frame["type"].as_str() {
                Some("new_notification") => titles.push(frame["data"]["title"].as_str().expect("a title").to_owned()),
                other => assert_eq!(other, Some("unread_count"), "{frame}"),
            }
        }
    }
    titles
}

#[tokio::test]
async fn a_cursor_of_nowhere_is_told_so_and_the_socket_goes_on() {
    let server = Server::dev();
    let elsewhere = Server::dev();
    let foreign = V1Socket::greeted(&elsewhere, NOTIFICATIONS, ALICE).await.cursor();
    let own = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await.cursor();
    let future = format!("{}-ffffffffffff", own.split('-').next().expect("a history"));
    let past = format!("{}-1", own.split('-').next().expect("a history"));
    for after in [foreign, future, past, "nonsense".into(), String::new()] {
        let mut alice = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await;
        alice.send(&json!({"type": "resume", "after": after})).await;
        let resumed = alice.next().await;
        assert_eq!((&resumed["type"], &resumed["recovered"]), (&json!("resumed"), &json!(false)), "{after}");
        send(&server, "live").await;
        assert_eq!(titles(&mut alice, 1).await, ["live"], "{after}");
        assert_ne!(alice.cursor(), resumed["pos"]);
    }
}

/// A cursor some entries ahead of this one, as a node has given it out that has applied more.
fn ahead(cursor: &str, entries: u64) -> String {
    let (history, pos) = cursor.split_once('-').expect("a history and a position");
    let pos = u64::from_str_radix(pos, 16).expect("hexadecimal");
    format!("{history}-{:x}", pos + (entries << 16))
}

#[tokio::test]
async fn a_cursor_that_this_node_has_not_come_to_yet_is_waited_for() {
    let server = Server::dev();
    let here = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await.cursor();
    let mut alice = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await;
    alice.send(&json!({"type": "resume", "after": ahead(&here, 3), "id": "r"})).await;
    for title in ["1", "2", "3", "4", "5"] {
        send(&server, title).await;
    }
    let resumed = alice.next().await;
    assert_eq!((&resumed["id"], &resumed["recovered"]), (&json!("r"), &json!(true)), "{resumed}");
    assert_eq!(titles(&mut alice, 2).await, ["4", "5"]);
    // One that never comes up to it must not turn the client back: elsewhere the way is known.
    let mut alice = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await;
    alice.send(&json!({"type": "resume", "after": ahead(&here, 100)})).await;
    assert_eq!(alice.closed().await, (4410, json!({"code": "lost_place"})));
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_with_its_id_and_ten_in_a_row_close() {
    let server = Server::dev();
    let mut alice = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await;
    let table = [
        (json!({"type": "zzz", "id": 7}), "unknown_type", json!(7)),
        (json!({"id": "x"}), "unknown_type", json!("x")),
        (json!({"type": "mark_as_read", "notification_id": 1.5, "id": 8}), "bad_notification_id", json!(8)),
        (json!({"type": "resume", "id": 9}), "bad_pos", json!(9)),
        (json!({"type": "refresh", "token": "x", "id": 10}), "bad_token", json!(10)),
        (json!({"type": "heartbeat", "id": {}}), "bad_id", Value::Null),
    ];
    for (request, code, id) in table {
        alice.send(&request).await;
        let reply = alice.next().await;
        assert_eq!((&reply["type"], &reply["code"], &reply["id"]), (&json!("error"), &json!(code), &id), "{request}");
    }
    alice.ask(json!({"type": "heartbeat"})).await;
    for _ in 0..10 {
        alice.send(&json!({"type": "zzz"})).await;
    }
    assert_eq!(alice.closed().await, (1008, json!({"code": "bad_frames"})));
}

#[tokio::test]
async fn deleted_and_unread_again_are_events_of_their_own() {
    let server = Server::dev();
    send(&server, "one").await;
    let mut v1 = V1Socket::greeted(&server, NOTIFICATIONS, ALICE).await;
    let mut v0 = server.greeted(NOTIFICATIONS, ALICE).await;
    let api = server.api();
    api.post("/users/1/notifications/1/read", &json!({})).await;
    api.post("/users/1/notifications/1/unread", &json!({})).await;
    api.delete("/users/1/notifications/1").await;
    let seen = [
        (json!("notification_read"), json!({"id": 1})),
        (json!("notification_unread"), json!({"id": 1})),
        (json!("notification_deleted"), json!({"id": 1})),
    ];
    for ((kind, data), count) in seen.iter().zip([0, 1, 0]) {
        let event = v1.next_message().await;
        assert_eq!((&event[0]["type"], &event[0]["data"]), (kind, data));
        assert_eq!((&event[1]["type"], &event[1]["count"]), (&json!("unread_count"), &json!(count)));
    }
    v0.expect(json!({"type": "notification_read", "data": {"id": 1}})).await;
    for count in [0, 1, 0] {
        v0.expect(json!({"type": "unread_count", "count": count})).await;
    }
    v0.expect_nothing(&api).await;
}

#[tokio::test]
async fn presence_changes_come_together_with_when_each_was_seen() {
    let server = Options::default().set("PRESENCE__GRACE_SECONDS", 0).start();
    let mut alice = V1Socket::connect(&server, "/ws/presence/", ALICE).await;
    let greeting = alice.skip_greeting().await;
    assert_eq!((&greeting[0]["data"], &greeting[0]["more"]), (&json!([]), &json!(false)));
    assert_eq!(greeting[1]["type"], "user_online");
    assert!(greeting[1]["data"]["last_seen"].is_string(), "{greeting:?}");
    let bob = server.greeted("/ws/presence/", BOB).await;
    bob.close().await;
    let mut changes = Vec::new();
    while changes.len() < 2 {
        let frame = alice.next().await;
        assert_eq!(frame["type"], "presence_changes");
        changes.extend(frame["data"].as_array().expect("a list").clone());
    }
    for (change, online) in changes.iter().zip([true, false]) {
        assert_eq!((&change["user_id"], &change["username"]), (&json!(2), &json!("bob")));
        assert_eq!(change["online"], online);
        assert!(change["last_seen"].is_string(), "{change}");
    }
    // Who resumes is told the same.
    let mut late = V1Socket::connect(&server, "/ws/presence/", ROOT).await;
    late.send(&json!({"type": "resume", "after": greeting[1]["pos"]})).await;
    late.skip_greeting().await;
    assert_eq!(late.next().await["recovered"], true);
    let replayed = [late.next().await, late.next().await];
    assert_eq!(replayed.map(|frame| frame["data"][0].clone()).to_vec(), changes);
}

#[tokio::test]
async fn a_new_token_of_the_same_user_prolongs_the_socket_and_no_other_does() {
    let server = Server::dev();
    let path = "/ws/dashboard/";
    let mut alice = V1Socket::connect_with(&server, path, &ALICE.token_for(4)).await;
    alice.next().await;
    alice.send(&json!({"type": "refresh", "token": BOB.token(), "id": 1})).await;
    assert_eq!(alice.next().await["code"], "bad_token");
    alice.send(&json!({"type": "refresh", "token": ALICE.token(), "id": 2})).await;
    let refreshed = alice.next().await;
    assert_eq!((&refreshed["type"], &refreshed["id"]), (&json!("refreshed"), &json!(2)));
    let mut short = V1Socket::connect_with(&server, path, &ALICE.token_for(4)).await;
    assert_eq!(short.closed().await, (4401, json!({"code": "token_expired"})));
    // The one with the new token is past its old end, and there.
    alice.ask(json!({"type": "heartbeat"})).await;
}

#[tokio::test]
async fn when_the_way_is_too_far_back_it_is_said() {
    let server = Options::default().set("RETENTION__RESUME_BYTES", 0).start();
    let mut alice = V1Socket::greeted(&server, "/ws/dashboard/", ALICE).await;
    let cursor = alice.cursor();
    let big = "x".repeat(40_000);
    // More than one full bucket.
    for _ in 0..30 {
        server.api().post("/users/1/dashboard", &json!({"data": {"big": big}})).await;
        alice.next().await;
    }
    let recovered = async {
        loop {
            let mut late = V1Socket::greeted(&server, "/ws/dashboard/", ALICE).await;
            let resumed = late.ask(json!({"type": "resume", "after": cursor})).await;
            if resumed["recovered"] == false {
                return;
            }
        }
    };
    tokio::time::timeout(support::PATIENCE, recovered).await.expect("the journal is cut");
}
