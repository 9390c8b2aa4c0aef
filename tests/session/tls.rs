//! The same sessions behind TLS.

use crate::harness::{PATIENCE, dashboard, request, start_with};
use carillon::{config, protocol::Close, transport::acceptor};
use futures_util::{SinkExt, StreamExt};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/session/fixtures").join(name)
}

fn files() -> config::Tls {
    config::Tls { cert: fixture("cert.pem"), key: fixture("key.pem") }
}

async fn connect(at: std::net::SocketAddr) -> WebSocketStream<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("cert.pem")).expect("PEM")).expect("a certificate");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(at).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
    let request = request("wss://localhost", "/ws/dashboard/?user=1").expect("a request");
    client_async(request, stream).await.expect("a socket").0
}

async fn next(client: &mut WebSocketStream<TlsStream<TcpStream>>) -> Message {
    tokio::time::timeout(PATIENCE, client.next()).await.expect("in time").expect("not the end").expect("a message")
}

#[tokio::test]
async fn a_session_behind_tls_is_greeted_hears_answers_and_says_goodbye() {
    let tls = acceptor(&files()).expect("sound files");
    let server = start_with(config::Limits::default(), Some(tls)).await;
    let mut client = connect(server.at).await;
    assert!(next(&mut client).await.to_text().expect("text").contains("connection_established"));
    // Large ones fill the socket, so that writing has to go on when there is room again.
    let filler = "x".repeat(40 << 10);
    for n in 0..100 {
        server.publish_durable(dashboard("1"), &format!("{n:03}{filler}"), n + 1).await;
        if n % 20 == 19 {
            for n in n - 19..=n {
                assert_eq!(next(&mut client).await.to_text().expect("text")[..3], format!("{n:03}"));
            }
        }
    }
    client.send(Message::text(format!("{{}}{}", " ".repeat(60_000)))).await.expect("sent");
    client.send(Message::Ping("p".into())).await.expect("sent");
    assert_eq!(next(&mut client).await, Message::Pong("p".into()));
    let tally = server.broker.close(carillon::broker::CloseTarget::All, Close::Disconnected).await;
    assert_eq!(tally.wait(Duration::from_secs(10)).await.count, 1);
    let Message::Close(Some(frame)) = next(&mut client).await else { panic!("no close") };
    assert_eq!(u16::from(frame.code), 4403);
    server.sessions(0).await;
}

#[test]
fn files_that_are_no_pem_are_named() {
    let missing = config::Tls { cert: fixture("nothing.pem"), ..files() };
    let error = acceptor(&missing).err().expect("no such file").to_string();
    assert!(error.starts_with("server.tls_cert ") && error.contains("nothing.pem"), "{error}");
    let swapped = config::Tls { key: fixture("cert.pem"), ..files() };
    let error = acceptor(&swapped).err().expect("no key").to_string();
    assert!(error.starts_with("server.tls_key "), "{error}");
}
