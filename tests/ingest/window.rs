//! Bounds: what waits, how fast it may come, how much nonsense is borne.

use crate::{
    client::{Stream, brief, notify, tell},
    support::{Options, PATIENCE, Server, until},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio_tungstenite::tungstenite::Message;

/// Calls whose answers are long, so that few of them fill what a socket holds; then long ones, which would fill memory.
fn messages() -> Vec<String> {
    let filler = "x".repeat(40_000);
    let long_id = "i".repeat(200);
    let call = |nth: u64| {
        let mut call = tell(1, nth);
        call["id"] = json!([nth, long_id]);
        if nth >= 12_000 {
            call["args"]["event"]["message"] = json!(filler);
        }
        call.to_string()
    };
    (0..130)
        .map(|message| (message * 100..message * 100 + 100).map(call).collect::<Vec<_>>().join("\n"))
        .collect::<Vec<_>>()
}

#[tokio::test]
async fn a_stream_whose_answers_are_not_read_is_not_read_either_and_loses_nothing() {
    let server = Options::default()
        .set("LIMITS__API_CALLS_PER_SECOND", 1_000_000)
        .set("LIMITS__API_BODY_BYTES", 8 << 20)
        .start();
    let (mut out, mut back) = Stream::open_slow(&server).await.socket.split();
    let sent = Arc::new(AtomicUsize::new(0));
    let (counter, messages) = (sent.clone(), messages());
    let count = messages.len();
    let writer = tokio::spawn(async move {
        for message in messages {
            out.send(Message::text(message)).await.expect("sent");
            counter.fetch_add(1, Relaxed);
        }
        out
    });
    // It comes to a standstill: the same count many times in a row.
    let (mut last, mut same) = (0, 0);
    while same < 20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = sent.load(Relaxed);
        assert!(now < count, "all of it was taken, though nobody reads the answers");
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
    }
    assert_eq!(server.api().get_root("/readyz").await.status, 200, "others are served meanwhile");
    let mut next = 0;
    while next < count * 100 {
        let message =
            tokio::time::timeout(PATIENCE, back.next()).await.expect("in time").expect("open").expect("whole");
        for line in message.to_text().expect("text").lines() {
            let answer: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!((&answer["id"][0], &answer["status"]), (&json!(next), &json!(202)), "{answer}");
            next += 1;
        }
    }
    drop(writer.await.expect("written"));
}

#[tokio::test]
async fn a_stream_that_is_too_fast_is_slowed_down_and_refused_nothing() {
    let server = Options::default().set("LIMITS__API_CALLS_PER_SECOND", 100).start();
    let mut stream = Stream::open(&server).await;
    let calls: Vec<_> = (0..300).map(|nth| notify(1, nth)).collect();
    let begun = std::time::Instant::now();
    stream.send(&calls).await;
    for (nth, answer) in stream.answers(300).await.iter().enumerate() {
        assert_eq!((&answer["id"], &answer["status"]), (&json!(nth), &json!(201)), "{answer}");
    }
    // A lower bound, which no slow machine breaks: 100 at once, then 100 a second.
    assert!(begun.elapsed() >= Duration::from_millis(1_900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn bad_lines_are_answered_one_by_one_and_only_many_in_a_row_end_the_stream() {
    let server = Server::dev();
    let mut stream = Stream::open(&server).await;
    let bad = ["{", "nonsense", "[]", r#"{"call": 1}"#, r#"{"id": 1, "call": "nope"}"#, "\u{feff}{}"];
    for round in 0..3 {
        let lines: Vec<_> = (0..99).map(|nth| bad[nth % bad.len()]).collect();
        stream.send_text(&lines.join("\n")).await;
        for answer in stream.answers(99).await {
            assert!([400, 422].contains(&brief(&answer).0), "{answer}");
        }
        stream.send(&[notify(1, round)]).await;
        assert_eq!(stream.answer().await["status"], 201);
    }
    stream.socket.send(Message::binary(b"{\"id\": \"\xff\"}\n\n".to_vec())).await.expect("sent");
    assert_eq!(brief(&stream.answer().await), (400, "bad_json", ""));
    stream.send_text(&"{\n".repeat(150)).await;
    assert_eq!(stream.answers(99).await.len(), 99);
    let (code, reason) = stream.next().await.expect_err("closed").expect("with a code");
    assert_eq!((code, &reason["code"]), (1008, &json!("bad_frames")));
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_stream_and_what_came_before_it_stays() {
    let server = Server::dev();
    let mut stream = Stream::open(&server).await;
    stream.send(&[notify(1, 1)]).await;
    assert_eq!(stream.answer().await["status"], 201);
    let _ = stream.socket.send(Message::text("x".repeat((1 << 20) + 1))).await;
    match stream.next().await.expect_err("closed") {
        // The server may go before all of the message was sent.
        None => {}
        Some((code, _)) => assert_eq!(code, 1009),
    }
    until("the stream's place is free again", || async {
        server.api().text("/metrics").await.contains("carillon_ingest_streams 0").then_some(())
    })
    .await;
}
