//! Certificates: new handshakes show the new one, sockets of the old one live on.

use crate::{Settled, settled, support::ALICE};
use futures_util::{SinkExt, StreamExt};
use std::{fs, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

const OLD: (&str, &str) = ("tests/session/fixtures/cert.pem", "tests/session/fixtures/key.pem");
const NEW: (&str, &str) = ("tests/reload/fixtures/other-cert.pem", "tests/reload/fixtures/other-key.pem");

fn certificate(pair: (&str, &str)) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(Path::new(env!("CARGO_MANIFEST_DIR")).join(pair.0)).expect("PEM")
}

fn put(dir: &Path, pair: (&str, &str)) {
    for (from, to) in [(pair.0, "cert.pem"), (pair.1, "key.pem")] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(from), dir.join(to)).expect("copied");
    }
}

/// A connection that trusts both, and the certificate that it was shown. Another client each time: nothing is resumed.
async fn connect(settled: &Settled) -> (TlsStream<TcpStream>, CertificateDer<'static>) {
    let mut roots = RootCertStore::empty();
    for pair in [OLD, NEW] {
        roots.add(certificate(pair)).expect("a certificate");
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(settled.server.address()).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
    let shown = stream.get_ref().1.peer_certificates().expect("shown")[0].clone().into_owned();
    (stream, shown)
}

async fn socket(settled: &Settled) -> WebSocketStream<TlsStream<TcpStream>> {
    let mut request = "wss://localhost/ws/dashboard/".into_client_request().expect("a URL");
    let value = format!("Bearer {}", ALICE.token()).parse().expect("ASCII");
    request.headers_mut().insert("authorization", value);
    let mut socket = client_async(request, connect(settled).await.0).await.expect("let in").0;
    let greeting = socket.next().await.expect("a frame").expect("a frame");
    assert!(greeting.to_text().expect("text").contains("connection_established"));
    socket
}

async fn answers(socket: &mut WebSocketStream<TlsStream<TcpStream>>) {
    socket.send(Message::text(r#"{"type": "heartbeat", "timestamp": "now"}"#)).await.expect("sent");
    let answer = socket.next().await.expect("a frame").expect("a frame");
    assert!(answer.to_text().expect("text").contains("heartbeat"), "{answer}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_the_old_sockets_live_on() {
    let dir = tempfile::tempdir().expect("a directory");
    put(dir.path(), OLD);
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let settled = settled(&format!("[server]\ntls_cert = {cert:?}\ntls_key = {key:?}\n"));
    let mut old = socket(&settled).await;
    assert_eq!(connect(&settled).await.1, certificate(OLD));

    // Half of a renewal is refused as a whole.
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(NEW.0), &cert).expect("copied");
    let said = settled.server.reload().await;
    assert!(said.contains("can't be used together") && said.contains("were not reloaded"), "{said}");
    assert_eq!(connect(&settled).await.1, certificate(OLD));

    put(dir.path(), NEW);
    settled.server.reload().await;
    assert_eq!(connect(&settled).await.1, certificate(NEW));
    answers(&mut old).await;
    answers(&mut socket(&settled).await).await;
}
