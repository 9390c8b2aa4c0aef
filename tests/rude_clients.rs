//! HTTP clients that announce too much, read nothing, or come in crowds: answered or cut off, and in nobody's way.

mod support;

use serde_json::Value;
use std::net::SocketAddr;
use support::{ALICE, Options, PATIENCE, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("a connection")
}

/// One response: its status, and its body; nothing if the connection ended before.
async fn try_response(stream: &mut TcpStream) -> Option<(u16, Value)> {
    let mut bytes = Vec::new();
    loop {
        let mut more = [0; 4_096];
        let read = timeout(PATIENCE, stream.read(&mut more)).await.expect("in time").ok()?;
        bytes.extend_from_slice(more.get(..read).filter(|more| !more.is_empty())?);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let status = head.split(' ').nth(1).expect("a status").parse().expect("digits");
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.expect("a length") {
            return Some((status, serde_json::from_str(body).unwrap_or_default()));
        }
    }
}

async fn response(stream: &mut TcpStream) -> (u16, Value) {
    try_response(stream).await.expect("a response, not an end")
}

fn post(length: usize, more: &str) -> String {
    format!(
        "POST /api/v1/notifications HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dev\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let server = Server::dev();
    for more in ["", "Expect: 100-continue\r\n"] {
        let mut stream = connect(server.address()).await;
        stream.write_all(post(4 << 30, more).as_bytes()).await.expect("sent");
        let (status, body) = response(&mut stream).await;
        assert_eq!((status, &body["error"]["code"]), (413, &Value::from("too_large")), "{more}");
        // It promised four gigabytes: nothing else can come on this connection.
        let closed = timeout(PATIENCE, stream.read(&mut [0; 16])).await.expect("in time");
        assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    }
}

#[tokio::test]
async fn whoever_sends_all_of_a_body_that_is_refused_reads_why_and_may_go_on() {
    let server = Server::dev();
    let mut stream = connect(server.address()).await;
    for (key, status) in [("Bearer dev", 413), ("Bearer wrong", 401)] {
        let (mut head, body) = (post(6 << 20, ""), vec![b'x'; 6 << 20]);
        head = head.replace("Bearer dev", key);
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&body).await.expect("all of it");
        assert_eq!(response(&mut stream).await.0, status);
    }
    let hello = r#"{"user_id":1,"title":"t","message":"m"}"#;
    stream.write_all(format!("{}{hello}", post(hello.len(), "")).as_bytes()).await.expect("sent");
    assert_eq!(response(&mut stream).await.0, 201, "on the same connection");
}

#[tokio::test]
async fn who_asks_and_never_reads_loses_the_connection() {
    let server = Server::dev();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a size");
    let mut stream = socket.connect(server.address()).await.expect("a connection");
    let asked = "GET /static/js/websocket-client.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64);
    let until_cut_off = async { while stream.write_all(asked.as_bytes()).await.is_ok() {} };
    timeout(PATIENCE, until_cut_off).await.expect("cut off in time");
    assert_eq!(server.api().get_root("/readyz").await.status, 200);
}

#[tokio::test]
async fn one_address_has_a_share_of_the_places_and_sockets_do_not_count() {
    let server = Options::default().set("LIMITS__HTTP_CONNECTIONS_PER_ADDRESS", 4).start();
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(server.greeted("/ws/dashboard/", ALICE).await);
    }
    let idle: Vec<_> = futures_util::future::join_all((0..4).map(|_| connect(server.address()))).await;
    let mut fifth = connect(server.address()).await;
    let (status, body) = response(&mut fifth).await;
    assert_eq!((status, &body["error"]["code"]), (429, &Value::from("address_full")));
    drop(idle);
    support::until("a place again", async || {
        let mut stream = connect(server.address()).await;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ok()?;
        (try_response(&mut stream).await?.0 == 200).then_some(())
    })
    .await;
    drop(sockets);
}

#[tokio::test]
async fn a_trusted_proxy_may_have_more_than_one_address_may() {
    let mut options = Options::default().set("LIMITS__HTTP_CONNECTIONS_PER_ADDRESS", 1);
    options = options.set("SERVER__TRUSTED_PROXIES", "127.0.0.1");
    let server = options.start();
    let _idle = futures_util::future::join_all((0..4).map(|_| connect(server.address()))).await;
    assert_eq!(server.api().get_root("/readyz").await.status, 200);
}
