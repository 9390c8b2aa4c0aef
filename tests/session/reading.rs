//! What clients may send: fragments, pings, large and broken frames, and what each leads to.

use crate::harness::{closed, dashboard, frame, next, raw_close, say, start, text};
use carillon::config::Limits;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn pings_are_answered_with_their_payload() {
    let server = start(Limits::default()).await;
    let mut client = server.greeted("/ws/dashboard/?user=1").await;
    for payload in ["", "here", &"x".repeat(125)] {
        say(&mut client, Message::Ping(payload.to_owned().into())).await;
        assert_eq!(next(&mut client).await, Message::Pong(payload.to_owned().into()));
    }
}

#[tokio::test]
async fn each_broken_frame_closes_with_the_code_for_it() {
    let server = start(Limits { message_bytes: 1_000, ..Limits::default() }).await;
    let unmasked = vec![0x81, 2, b'h', b'i'];
    let half = |first, rest| [frame(first, &[b'x'; 600]), frame(rest, &[b'x'; 600])].concat();
    let table = [
        ("unmasked", unmasked, 1002),
        ("a reserved bit", frame(0xc1, b"hi"), 1002),
        ("an unknown opcode", frame(0x83, b"hi"), 1002),
        ("an orphaned continuation", frame(0x80, b"hi"), 1002),
        ("a text within a fragmented text", half(0x01, 0x81), 1002),
        ("a fragmented ping", frame(0x09, b"hi"), 1002),
        ("a ping that is too long", frame(0x89, &[0; 126]), 1002),
        ("a close of one byte", frame(0x88, &[3]), 1002),
        ("not UTF-8", frame(0x81, &[0xc3, 0x28]), 1007),
        ("half a character at the end", frame(0x81, &[b'a', 0xc3]), 1007),
        ("a frame too large", frame(0x81, &[b'x'; 1_001]), 1009),
        ("a frame much too large", frame(0x81, &vec![b'x'; 1 << 20]), 1009),
        ("a message too large", half(0x01, 0x80), 1009),
    ];
    for (what, bytes, code) in table {
        let mut stream = server.raw("/ws/dashboard/?user=1", None).await;
        // The server may close before all of it is sent.
        let _ = stream.write_all(&bytes).await;
        let (got, reason) = raw_close(&mut stream).await;
        assert_eq!(got, code, "{what}: {reason}");
        assert!(reason.starts_with(r#"{"code":""#), "{what}: {reason}");
    }
    server.sessions(0).await;
}

#[tokio::test]
async fn a_message_in_pieces_with_a_ping_between_is_one_message_however_it_is_cut() {
    let server = start(Limits::default()).await;
    let mut stream = server.raw("/ws/dashboard/?user=1", None).await;
    let euro = "€".as_bytes();
    let bytes =
        [frame(0x01, &euro[..1]), frame(0x89, b"p"), frame(0x00, &euro[1..2]), frame(0x80, &euro[2..])].concat();
    for byte in bytes {
        stream.write_all(&[byte]).await.expect("sent");
        stream.flush().await.expect("sent");
        tokio::task::yield_now().await;
    }
    stream.write_all(&frame(0x88, &[3, 232])).await.expect("sent");
    // The pong, then the echo of the close: 1000, so nothing was wrong.
    let (code, _) = raw_close(&mut stream).await;
    assert_eq!(code, 1000);
}

#[tokio::test]
async fn ten_bad_frames_in_a_row_close_with_1008_and_each_is_answered() {
    let server = start(Limits::default()).await;
    let mut client = server.greeted("/ws/dashboard/?user=1").await;
    for _ in 0..9 {
        say(&mut client, Message::binary(vec![1])).await;
        assert!(text(&mut client).await.contains(r#""type":"error""#));
    }
    say(&mut client, Message::text("{}")).await;
    for _ in 0..10 {
        say(&mut client, Message::binary(vec![1])).await;
        assert!(text(&mut client).await.contains(r#""type":"error""#));
    }
    assert_eq!(closed(&mut client).await, (1008, r#"{"code":"bad_frames"}"#.to_owned()));
}

#[tokio::test]
async fn a_flood_is_told_to_slow_down_and_then_closed() {
    let server = start(Limits { messages_per_second: 1, messages_burst: 5, ..Limits::default() }).await;
    let mut client = server.greeted("/ws/dashboard/?user=1").await;
    for _ in 0..16 {
        say(&mut client, Message::text("{}")).await;
    }
    assert!(text(&mut client).await.contains(r#""code":"rate_limited""#));
    assert_eq!(closed(&mut client).await, (1008, r#"{"code":"too_fast"}"#.to_owned()));
}

#[tokio::test]
async fn large_messages_and_many_in_one_segment_are_all_read() {
    let server = start(Limits { messages_burst: 10_000, ..Limits::default() }).await;
    let mut stream = server.raw("/ws/dashboard/?user=1", None).await;
    let mut bytes = Vec::new();
    for n in 0..50 {
        bytes.extend(frame(0x81, "y".repeat(n * 1_300).as_bytes()));
        bytes.extend(frame(0x82, b"bad"));
        bytes.extend(frame(0x81, b"{}"));
    }
    bytes.extend(frame(0x88, &[3, 232]));
    stream.write_all(&bytes).await.expect("sent");
    assert_eq!(raw_close(&mut stream).await.0, 1000);
    // And a session of its own still hears what is published.
    let mut client = server.greeted("/ws/dashboard/?user=1").await;
    assert!(server.publish(dashboard("1"), "x"));
    assert_eq!(text(&mut client).await, "x");
}
