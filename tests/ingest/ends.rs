//! How streams end, and what becomes of what was taken.

use crate::{
    client::{Stream, notify},
    support::{Options, Server, inbox, until},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_leaving_server_answers_what_it_took_and_says_when_to_come_back() {
    let mut server = Options::default().set("DRAIN__SECONDS", 5).start();
    let mut streams = Vec::new();
    for user in 0..3 {
        let mut stream = Stream::open(&server).await;
        let calls: Vec<Value> = (0..300).map(|nth| notify(user, nth)).collect();
        for calls in calls.chunks(50) {
            stream.send(calls).await;
        }
        assert_eq!(stream.answer().await["status"], 201);
        streams.push(stream);
    }
    let mut idle = Stream::open(&server).await;
    server.terminate();
    assert_eq!(idle.next().await.expect_err("closed").expect("with a code").0, 1012);
    let mut answered = Vec::new();
    for stream in &mut streams {
        let mut count = 1_u64;
        let (code, reason) = loop {
            match stream.next().await {
                Ok(answer) => {
                    assert_eq!((&answer["id"], &answer["status"]), (&json!(count), &json!(201)), "{answer}");
                    count += 1;
                }
                Err(end) => break end.expect("a close code"),
            }
        };
        assert_eq!((code, &reason["code"]), (1012, &json!("drain")));
        assert!(reason["retry_after_ms"].as_u64().is_some_and(|ms| (250..3_000).contains(&ms)), "{reason}");
        answered.push(count);
    }
    drop(streams);
    let ended = server.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!ended.said.contains("did not"), "{ended:#?}");
    server.start();
    for (user, answered) in answered.into_iter().enumerate() {
        let kept = inbox::of(&server.api(), &user.to_string()).await;
        assert_eq!(kept.len() as u64, answered, "what was taken is what was answered");
    }
}

#[tokio::test]
async fn what_was_taken_from_a_stream_that_breaks_is_carried_out_in_order() {
    let server = Server::dev();
    let mut stream = Stream::open(&server).await;
    for calls in (0..3_000).map(|nth| notify(1, nth)).collect::<Vec<_>>().chunks(50) {
        stream.send(calls).await;
    }
    stream.answer().await;
    // No goodbye: the socket is dropped with answers unread, so the peer is told that it is gone.
    drop(stream);
    until("the stream has ended", || async {
        server.api().text("/metrics").await.contains("carillon_ingest_streams 0").then_some(())
    })
    .await;
    // A change that comes after everything that was taken.
    server.api().notify("2", "after").await;
    let titles: Vec<String> = inbox::of(&server.api(), "1").await.values().map(|n| n["title"].to_string()).collect();
    assert!(!titles.is_empty());
    let expected: Vec<String> = (0..titles.len()).map(|nth| format!("\"{nth}\"")).collect();
    assert_eq!(titles, expected, "a beginning of what was sent, whole and in order");
}

#[tokio::test]
async fn a_goodbye_is_answered() {
    let server = Server::dev();
    let mut stream = Stream::open(&server).await;
    stream.send(&[notify(1, 1)]).await;
    stream.answer().await;
    stream.socket.close(None).await.expect("closed");
    assert!(stream.next().await.is_err());
}
