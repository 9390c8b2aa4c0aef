//! Who is let in, and what the others are told.

use crate::harness::{handshake, start};
use carillon::config::Limits;
use tokio_tungstenite::tungstenite::Error;

async fn status(result: Result<crate::harness::Client, Error>) -> u16 {
    match result {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn refusals_before_the_upgrade_have_a_status_and_say_why() {
    let server = start(Limits::default()).await;
    let plain = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let table = [
        (plain("/ws/dashboard/?user=1"), "HTTP/1.1 426", "not_a_websocket"),
        (plain("/ws/nowhere/"), "HTTP/1.1 404", "not_found"),
        (plain("/ws"), "HTTP/1.1 404", "not_found"),
        (handshake("/ws/chat/?user=1"), "HTTP/1.1 404", "not_found"),
        (handshake("/ws/dashboard/"), "HTTP/1.1 403", "forbidden"),
        (handshake("/ws/dashboard/admin/?user=1"), "HTTP/1.1 403", "forbidden"),
        (handshake("/ws/dashboard/?user=1").replace("Version: 13", "Version: 8"), "HTTP/1.1 426", "not_a_websocket"),
        (handshake("/ws/dashboard/?user=1").replace("GET ", "POST "), "HTTP/1.1 405", "not_a_websocket"),
    ];
    for (request, status, code) in table {
        let response = server.http(&request).await;
        assert!(response.starts_with(status), "{request}\n{response}");
        assert!(response.contains(&format!(r#""code":"{code}""#)), "{response}");
        assert!(response.contains(r#""message":""#), "{response}");
    }
}

#[tokio::test]
async fn everything_else_goes_to_the_router_on_the_same_port() {
    let server = start(Limits::default()).await;
    let body = reqwest::get(format!("http://{}/healthz", server.at)).await.expect("a response").text().await;
    assert_eq!(body.expect("a body"), "ok");
}

#[tokio::test]
async fn caps_of_user_address_and_node_hold_and_are_given_back() {
    let per_user = start(Limits { connections_per_user: 2, ..Limits::default() }).await;
    let first = per_user.greeted("/ws/dashboard/?user=1").await;
    let _second = per_user.greeted("/ws/presence/?user=1").await;
    assert_eq!(status(per_user.connect("/ws/dashboard/?user=1").await).await, 429);
    assert_eq!(status(per_user.connect("/ws/dashboard/?user=2").await).await, 101);
    drop(first);
    per_user.sessions(1).await;
    while status(per_user.connect("/ws/dashboard/?user=1").await).await != 101 {}

    let per_address = start(Limits { connections_per_address: 1, ..Limits::default() }).await;
    let _first = per_address.greeted("/ws/dashboard/?user=1").await;
    assert_eq!(status(per_address.connect("/ws/dashboard/?user=2").await).await, 429);

    let total = start(Limits { connections_total: 1, ..Limits::default() }).await;
    let _first = total.greeted("/ws/dashboard/?user=1").await;
    let response = total.http(&handshake("/ws/dashboard/?user=2")).await.to_ascii_lowercase();
    assert!(response.starts_with("http/1.1 503") && response.contains("retry-after: "), "{response}");
}

#[tokio::test]
async fn more_silent_and_slow_clients_than_handshakes_keep_nobody_out() {
    use tokio::io::AsyncWriteExt;
    let server = start(Limits::default()).await;
    let mut idle = Vec::new();
    for n in 0..300 {
        let mut stream = tokio::net::TcpStream::connect(server.at).await.expect("a connection");
        if n % 2 == 0 {
            stream.write_all(b"GET /ws/dashb").await.expect("sent");
        }
        idle.push(stream);
    }
    server.greeted("/ws/dashboard/?user=1").await;
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_clients() {
    let server = start(Limits { connections_per_address: 1, ..Limits::default() }).await;
    let from = |address: &str| {
        let header = format!("Host: localhost\r\nX-Forwarded-For: {address}\r\n");
        handshake("/ws/dashboard/?user=1").replace("Host: localhost\r\n", &header)
    };
    let mut kept = Vec::new();
    for (address, status) in [("192.0.2.1", "101"), ("192.0.2.2", "101"), ("192.0.2.1", "429")] {
        let (head, stream) = server.open(&from(address)).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{address}: {head}");
        kept.push(stream);
    }
}

#[tokio::test]
async fn bytes_that_come_with_the_handshake_are_not_lost() {
    use tokio::io::AsyncWriteExt;
    let server = start(Limits::default()).await;
    let mut stream = tokio::net::TcpStream::connect(server.at).await.expect("a connection");
    let together = [handshake("/ws/dashboard/?user=1").as_bytes(), &crate::harness::frame(0x88, &[3, 232])].concat();
    stream.write_all(&together).await.expect("sent");
    assert_eq!(crate::harness::raw_close(&mut stream).await.0, 1000);
}
