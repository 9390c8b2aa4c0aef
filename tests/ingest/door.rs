//! Who gets a stream.

use crate::{
    client::{Stream, notify},
    support::{Options, socket},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn keys() -> String {
    let row = |key: &str, scope: &str, tenant: &str| {
        let hash: String = carillon::auth::hash_api_key(key).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{id = \"{key}\", hash = \"{hash}\", scopes = [\"{scope}\"], tenant = \"{tenant}\"}}")
    };
    format!("[{}, {}]", row("looks", "read", "default"), row("theirs", "publish", "other"))
}

#[tokio::test]
async fn a_stream_needs_a_key_that_may_publish_and_acts_for_the_keys_tenant() {
    let server = Options::default().set("AUTH__API_KEYS", keys()).start();
    let status = async |key: &str| {
        let key = Some(key).filter(|key| !key.is_empty());
        socket::status(socket::request(server.address(), "/api/v1/ingest", key)).await
    };
    assert_eq!(status("").await, 401);
    assert_eq!(status("nobody's").await, 401);
    assert_eq!(status("looks").await, 403);
    let mut theirs = Stream::try_open(server.address(), "theirs").await.expect("let in");
    theirs.send(&[notify(1, 1)]).await;
    assert_eq!(theirs.answer().await["status"], 201);
    assert_eq!(server.api().get("/users/1/notifications/unread-count").await.ok()["count"], 0, "another tenant's");
    let plain = server.api().get("/ingest").await;
    assert_eq!((plain.status, plain.code()), (426, "upgrade_required"));
    assert_eq!(server.api().post("/ingest", &serde_json::Value::Null).await.status, 405);
}

#[tokio::test]
async fn who_answers_no_ping_loses_the_stream() {
    let server =
        Options::default().set("LIMITS__PING_INTERVAL_SECONDS", 2).set("LIMITS__PING_TIMEOUT_SECONDS", 1).start();
    let mut mute = TcpStream::connect(server.address()).await.expect("connected");
    let request = "GET /api/v1/ingest HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    mute.write_all(request.as_bytes()).await.expect("asked");
    let mut got = Vec::new();
    // To the end, which comes by itself.
    tokio::time::timeout(Duration::from_secs(60), mute.read_to_end(&mut got)).await.expect("ended").expect("whole");
    let text = String::from_utf8_lossy(&got);
    assert!(text.starts_with("HTTP/1.1 101 ") && text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{text}");
    assert_eq!(&got[got.len() - 2..], b"\x89\x00", "a ping");
}
