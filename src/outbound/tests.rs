//! The client against small servers over real sockets: what an answer must not do, and what is kept for the next call.

use super::{Answer, Bounds, CallError, Client, TrustError};
use crate::config::Target;
use hyper::{HeaderMap, StatusCode, header::HeaderValue};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Longer than any answer here takes.
const BOUNDS: Bounds = Bounds { timeout: Duration::from_secs(30), body_bytes: 64 };

fn client(address: SocketAddr, bounds: Bounds) -> Client {
    let target: Target = format!("http://{address}/who?app=1").parse().expect("an address");
    Client::new(target, None, bounds).expect("a client")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// Reads one request head; `None` when the client has closed.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).expect("ASCII"))
}

/// Answers one request with `answer`, then closes.
async fn answered_with(answer: &str, bounds: Bounds) -> Result<Answer, CallError> {
    let (listener, address) = listen().await;
    let answer = answer.to_owned();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        request(&mut stream).await.expect("a request");
        stream.write_all(answer.as_bytes()).await.expect("written");
        stream.shutdown().await.expect("closed");
        // Until the client is gone.
        let _ = request(&mut stream).await;
    });
    let answered = client(address, bounds).get(&HeaderMap::new()).await;
    server.await.expect("served");
    answered
}

#[tokio::test]
async fn the_request_is_a_plain_get_with_what_it_was_given_and_no_more() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let head = request(&mut stream).await.expect("a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nok").await.expect("written");
        head
    });
    let mut headers = HeaderMap::new();
    headers.insert("cookie", HeaderValue::from_static("sessionid=s"));
    headers.insert("host", HeaderValue::from_static("evil.example.org"));
    let answer = client(address, BOUNDS).get(&headers).await.expect("answered");
    assert_eq!(
        (answer.status, &answer.body[..], answer.headers["x-a"].as_bytes()),
        (StatusCode::OK, &b"ok"[..], &b"b"[..])
    );
    let head = server.await.expect("served").to_ascii_lowercase();
    let mut lines: Vec<_> = head.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let agent = format!("user-agent: carillon/{}", env!("CARGO_PKG_VERSION"));
    let host = format!("host: {address}");
    assert_eq!(lines, ["cookie: sessionid=s", "get /who?app=1 http/1.1", &host, &agent]);
    assert_eq!(format!("{answer:?}"), "Answer(200 OK, 2 bytes)");
}

#[tokio::test]
async fn every_status_is_an_answer_and_a_redirect_is_not_followed() {
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let answer = answered_with(redirect, BOUNDS).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.ok().err(), Some(CallError::Status(302)));
    let refusal = answered_with("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", BOUNDS).await;
    assert_eq!(refusal.expect("an answer").status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_breaks_off_is_none() {
    let filler = "a".repeat(64);
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 65\r\n\r\n{filler}a");
    let chunk = format!("40\r\n{filler}\r\n1\r\na\r\n0\r\n\r\n");
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
    let table = [
        (long.as_str(), CallError::TooLarge(64)),
        (chunked.as_str(), CallError::TooLarge(64)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\ncut", CallError::Broken),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ncut", CallError::Broken),
        ("", CallError::Broken),
        ("SSH-2.0-OpenSSH_9.6\r\n", CallError::Broken),
        ("HTTP/1.1 200", CallError::Broken),
    ];
    for (answer, why) in table {
        assert_eq!(answered_with(answer, BOUNDS).await.err(), Some(why), "{answer:?}");
    }
}

#[tokio::test]
async fn nobody_listening_and_silence_are_told_apart() {
    let (listener, address) = listen().await;
    let bounds = Bounds { timeout: Duration::from_millis(50), ..BOUNDS };
    let silent = client(address, bounds).get(&HeaderMap::new()).await;
    assert_eq!(silent.err(), Some(CallError::Timeout(bounds.timeout)));
    drop(listener);
    let refused = client(address, BOUNDS).get(&HeaderMap::new()).await;
    assert_eq!(refused.err(), Some(CallError::Connect(std::io::ErrorKind::ConnectionRefused)));
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_was_closed_meanwhile_is_replaced() {
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answers in [2, 1] {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            for _ in 0..answers {
                request(&mut stream).await.expect("a request");
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("written");
            }
            // The first connection takes one more request and closes without an answer, as a server does whose
            // patience ended just then.
            requests.push(answers + usize::from(answers == 2 && request(&mut stream).await.is_some()));
        }
        requests
    });
    let client = client(address, BOUNDS);
    for _ in 0..3 {
        assert_eq!(client.get(&HeaderMap::new()).await.expect("answered").body, "ok");
    }
    assert_eq!(server.await.expect("served"), [3, 1]);
}

#[tokio::test]
async fn over_tls_only_whom_the_file_names_is_believed() {
    let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/session/fixtures").join(name);
    let tls = crate::config::Tls { cert: fixture("cert.pem"), key: fixture("key.pem") };
    let acceptor = crate::transport::acceptor(&tls).expect("sound files");
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.expect("written");
            }
        }
    });
    let ask = |host: &str, ca: Option<&Path>| {
        let target: Target = format!("https://{host}:{}/", address.port()).parse().expect("an address");
        let client = Client::new(target, ca, BOUNDS).expect("a client");
        async move { client.get(&HeaderMap::new()).await }
    };
    let cert = fixture("cert.pem");
    assert_eq!(ask("localhost", Some(&cert)).await.expect("answered").body, "ok");
    for (host, ca) in [("localhost", None), ("127.0.0.1", Some(cert.as_path()))] {
        let refused = ask(host, ca).await;
        assert!(matches!(refused, Err(CallError::Tls(_))), "{host}: {refused:?}");
    }
    let target = || "https://localhost/".parse::<Target>().expect("an address");
    for wrong in [fixture("key.pem"), fixture("none.pem")] {
        let error = Client::new(target(), Some(&wrong), BOUNDS).err();
        assert!(matches!(error, Some(TrustError::File { .. })), "{wrong:?}: {error:?}");
    }
}
