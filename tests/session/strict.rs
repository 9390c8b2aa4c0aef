//! RFC 6455 to the letter, beyond the frames that `reading` has: what Autobahn's cases 3 to 7 ask, over raw bytes.

use crate::harness::{PATIENCE, Server, frame, raw_close, start};
use carillon::config::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// Taken off a first byte, the message goes on in another frame.
const FINAL: u8 = 0x80;
const GOODBYE: [u8; 2] = [3, 232];

/// A header that announces so many bytes, and none of them.
fn announced(first: u8, bytes: u64) -> Vec<u8> {
    [&[first, 0xff][..], &bytes.to_be_bytes(), &[0; 4]].concat()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason].concat())
}

async fn assert_closes_with(server: &Server, code: u16, (what, bytes): (&str, &[u8])) {
    let mut stream = server.raw("/ws/dashboard/?user=1", None).await;
    // The server may close before all of it is sent.
    let _ = stream.write_all(bytes).await;
    let (got, reason) = raw_close(&mut stream).await;
    assert_eq!(got, code, "{what}: {reason}");
    server.sessions(0).await;
}

#[tokio::test]
async fn reserved_bits_and_opcodes_close_with_1002_on_every_kind_of_frame() {
    let server = start(Limits::default()).await;
    for opcode in [TEXT, BINARY, CLOSE, PING, PONG] {
        for bit in [0x40, 0x20, 0x10, 0x70] {
            assert_closes_with(&server, 1002, (&format!("{opcode:x} with {bit:x}"), &frame(opcode | bit, &GOODBYE)))
                .await;
        }
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        assert_closes_with(&server, 1002, (&format!("opcode {opcode}"), &frame(FINAL | opcode, b""))).await;
        // In the middle of a message, too.
        let within = [frame(TEXT ^ FINAL, b"a"), frame(FINAL | opcode, b"")].concat();
        assert_closes_with(&server, 1002, (&format!("opcode {opcode} within a message"), &within)).await;
    }
}

#[tokio::test]
async fn control_frames_that_are_too_long_or_in_pieces_or_not_masked_close_with_1002() {
    let server = start(Limits::default()).await;
    for opcode in [CLOSE, PING, PONG] {
        let long = [&GOODBYE[..], &[b'x'; 124]].concat();
        assert_closes_with(&server, 1002, (&format!("{opcode:x} of 126 bytes"), &frame(opcode, &long))).await;
        assert_closes_with(&server, 1002, (&format!("{opcode:x} in pieces"), &frame(opcode ^ FINAL, &GOODBYE))).await;
        assert_closes_with(&server, 1002, (&format!("{opcode:x}, no mask"), &[opcode, 2, 3, 232])).await;
    }
    for unmasked in [vec![BINARY, 1, 0], vec![TEXT ^ FINAL, 1, b'a'], vec![TEXT, 0]] {
        assert_closes_with(&server, 1002, (&format!("{unmasked:x?}"), &unmasked)).await;
    }
}

#[tokio::test]
async fn messages_that_begin_or_go_on_at_the_wrong_time_close_with_1002() {
    let server = start(Limits::default()).await;
    let table = [
        ("a binary within a text", [frame(TEXT ^ FINAL, b"a"), frame(BINARY, b"b")].concat()),
        ("a text within a binary", [frame(BINARY ^ FINAL, b"a"), frame(TEXT ^ FINAL, b"b")].concat()),
        ("a continuation that nothing began", frame(0x00, b"a")),
        ("one more after the last", [frame(TEXT ^ FINAL, b"{"), frame(0x80, b"}"), frame(0x80, b"")].concat()),
        ("one after a whole message", [frame(TEXT, b"{}"), frame(0x80, b"")].concat()),
    ];
    for (what, bytes) in table {
        assert_closes_with(&server, 1002, (what, &bytes)).await;
    }
}

#[tokio::test]
async fn lengths_that_nobody_can_mean_close_at_once() {
    let server = start(Limits::default()).await;
    for bytes in [(64 << 10) + 1, 1 << 31, 1 << 32, (1 << 63) - 1] {
        for first in [TEXT, BINARY, TEXT ^ FINAL, PING] {
            assert_closes_with(&server, 1009, (&format!("{first:x} of {bytes} bytes"), &announced(first, bytes))).await;
        }
    }
    // The first bit must be 0 (section 5.2); too large in any case.
    for bytes in [1 << 63, u64::MAX] {
        assert_closes_with(&server, 1009, (&format!("{bytes} bytes"), &announced(TEXT, bytes))).await;
    }
    let beyond = [frame(TEXT ^ FINAL, b"a"), announced(0x80, (1 << 63) - 1)].concat();
    assert_closes_with(&server, 1009, ("a continuation", &beyond)).await;
}

#[tokio::test]
async fn what_is_not_utf8_closes_with_1007_wherever_it_is_cut() {
    let server = start(Limits::default()).await;
    let table: [(&str, &[u8]); 8] = [
        ("a lone continuation byte", b"\x80"),
        ("an overlong slash", b"\xc0\xaf"),
        ("an overlong NUL of four bytes", b"\xf0\x80\x80\x80"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond U+10FFFF", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("no byte of UTF-8", b"\xfe"),
        ("an end too early", "\u{3ba}".as_bytes().split_at(1).0),
    ];
    for (what, bad) in table {
        let whole = [b"{\"type\":\"", bad, b"\"}"].concat();
        assert_closes_with(&server, 1007, (what, &frame(TEXT, &whole))).await;
        for cut in [8, 9, 10] {
            let (one, two) = whole.split_at(cut);
            let pieces = [frame(TEXT ^ FINAL, one), frame(PING, b"p"), frame(0x80, two)].concat();
            assert_closes_with(&server, 1007, (&format!("{what}, cut at {cut}"), &pieces)).await;
        }
        assert_closes_with(&server, 1007, (&format!("{what} as a reason"), &close(1000, bad))).await;
    }
}

#[tokio::test]
async fn close_codes_are_echoed_when_a_client_may_send_them_and_1002_otherwise() {
    let server = start(Limits::default()).await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        assert_closes_with(&server, code, ("a good code", &close(code, b""))).await;
        assert_closes_with(&server, code, ("a good code with the longest reason", &close(code, &[b'r'; 123]))).await;
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, u16::MAX] {
        assert_closes_with(&server, 1002, (&format!("code {code}"), &close(code, b""))).await;
    }
    assert_closes_with(&server, 1002, ("half a code", &frame(CLOSE, &[3]))).await;
}

/// Everything until the server ends the connection.
async fn to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("in time").expect("no reset");
    bytes
}

#[tokio::test]
async fn frames_that_are_right_are_answered_exactly_and_nothing_follows_a_close() {
    let heartbeat = |text: &str| frame(TEXT, format!(r#"{{"type":"heartbeat","timestamp":{text}}}"#).as_bytes());
    let response = |text: &str| {
        let body = format!(r#"{{"type":"heartbeat_response","timestamp":{text}}}"#);
        [&[TEXT, u8::try_from(body.len()).expect("short")], body.as_bytes()].concat()
    };
    let goodbye = frame(CLOSE, &GOODBYE);
    let farewell: &[u8] = &[CLOSE, 2, 3, 232];
    let longest = [b'p'; 125];
    let table = [
        ("a close that says nothing", vec![frame(CLOSE, b"")], vec![CLOSE, 0]),
        (
            "pongs that nobody asked for",
            vec![frame(PONG, b""), frame(PONG, &longest), goodbye.clone()],
            farewell.to_vec(),
        ),
        (
            "pings of every size, in order",
            vec![frame(PING, b""), frame(PING, b"\x00\xff"), frame(PING, &longest), goodbye.clone()],
            [&[PONG, 0, PONG, 2, 0, 0xff, PONG, 125][..], &longest, farewell].concat(),
        ),
        (
            "control frames between empty fragments",
            vec![
                frame(TEXT ^ FINAL, b""),
                frame(PING, b"1"),
                frame(0x00, br#"{"type":"heartb"#),
                frame(PONG, b"x"),
                frame(0x00, b""),
                frame(PING, b"2"),
                frame(0x80, br#"eat","timestamp":1}"#),
                goodbye.clone(),
            ],
            [&[PONG, 1, b'1', PONG, 1, b'2'][..], &response("1"), farewell].concat(),
        ),
        (
            "the edges of UTF-8",
            vec![
                heartbeat("\"\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffd}\u{ffff}\u{10000}\u{10ffff}\""),
                goodbye.clone(),
            ],
            [
                &response("\"\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{fffd}\u{ffff}\u{10000}\u{10ffff}\"")[..],
                farewell,
            ]
            .concat(),
        ),
        ("nothing after a close", vec![goodbye, heartbeat("2"), frame(PING, b"p")], farewell.to_vec()),
    ];
    let server = start(Limits::default()).await;
    for (what, frames, answer) in table {
        for size in [usize::MAX, 1] {
            let mut stream = server.raw("/ws/dashboard/?user=1", None).await;
            let bytes = frames.concat();
            for piece in bytes.chunks(size.min(bytes.len())) {
                // After the close the server may have gone.
                let _ = stream.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            stream.shutdown().await.expect("said that nothing more comes");
            assert_eq!(to_the_end(&mut stream).await, answer, "{what}, pieces of {size}");
        }
    }
}

#[tokio::test]
async fn empty_fragments_without_end_are_a_violation_and_a_few_are_none() {
    let server = start(Limits::default()).await;
    let heartbeat = br#"{"type":"heartbeat","timestamp":1}"#;
    let (begin, end) = heartbeat.split_at(9);
    let cut = |empties: usize| {
        let mut bytes = frame(TEXT & !FINAL, begin);
        for _ in 0..empties {
            bytes.extend(frame(0x00, b""));
        }
        bytes
    };
    // The flood goes on for as long as the server takes it in: it must not wait for the end of the message.
    let mut stream = server.raw("/ws/dashboard/?user=1", None).await;
    let (mut reading, mut writing) = stream.split();
    let flood = async { while writing.write_all(&cut(1_000)).await.is_ok() {} };
    let mut came = Vec::new();
    let end_of_it = async { tokio::time::timeout(PATIENCE, reading.read_to_end(&mut came)).await };
    tokio::select! {
        ended = end_of_it => drop(ended.expect("the flood was not ended")),
        () = flood => {}
    }
    server.sessions(0).await;
    assert_closes_with(&server, 1008, ("empty fragments", &cut(129))).await;

    let mut stream = server.raw("/ws/dashboard/?user=1", None).await;
    let whole = [cut(128), frame(FINAL, end)].concat();
    stream.write_all(&whole).await.expect("sent");
    let answer = crate::harness::read_until(&mut stream, b"}").await;
    assert!(answer.contains("heartbeat_response"), "{answer}");
}
