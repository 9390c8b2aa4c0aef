//! An identity provider of the tests: serves a key set over HTTP, can be changed, can fall silent, and counts.

use carillon::config::Tls;
use parking_lot::Mutex;
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// See the module. Ends when it is dropped.
pub struct Issuer {
    address: SocketAddr,
    is_tls: bool,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Issuer {
    /// Serves `keys` on a free port.
    pub async fn start(keys: Value) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), None, keys).await
    }

    /// The same over TLS, as `localhost`.
    pub async fn start_tls(keys: Value) -> Self {
        let tls = Tls { cert: Self::certificate(), key: Self::certificate().with_file_name("key.pem") };
        let acceptor = carillon::transport::acceptor(&tls).expect("sound files");
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Some(acceptor), keys).await
    }

    /// What it shows over TLS.
    pub fn certificate() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/session/fixtures/cert.pem")
    }

    /// Serves `keys` there.
    pub async fn start_at(at: SocketAddr, tls: Option<TlsAcceptor>, keys: Value) -> Self {
        let listener = TcpListener::bind(at).await.expect("a port");
        let is_tls = tls.is_some();
        let address = listener.local_addr().expect("bound");
        let (answer, asked) = (Arc::new(Mutex::new(ok(&keys))), Arc::new(AtomicUsize::new(0)));
        let of_task = (answer.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let (answer, asked) = of_task;
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                asked.fetch_add(1, SeqCst);
                let answer = answer.lock().clone();
                match tls.clone() {
                    None => {
                        tokio::spawn(serve(stream, answer));
                    }
                    Some(tls) => {
                        tokio::spawn(async move {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer).await;
                            }
                        });
                    }
                }
            }
        });
        Self { address, is_tls, answer, asked, task }
    }

    /// Where the key set is.
    pub fn url(&self) -> String {
        match self.is_tls {
            true => format!("https://localhost:{}/jwks.json", self.address.port()),
            false => format!("http://{}/jwks.json", self.address),
        }
    }

    /// Other keys from now on.
    pub fn publish(&self, keys: &Value) {
        *self.answer.lock() = ok(keys);
    }

    /// Another answer from now on, whole.
    pub fn answer(&self, answer: &str) {
        *self.answer.lock() = answer.to_owned();
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// Nobody listens any more; the port, to come back on it.
    pub async fn stop(mut self) -> SocketAddr {
        self.task.abort();
        // The listener goes with its task.
        let _ = (&mut self.task).await;
        self.address
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ok(keys: &Value) -> String {
    let body = keys.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    // The other side may hang up first.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
