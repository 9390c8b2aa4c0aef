//! An app as the webhook sees it: a small HTTP server over real sockets that answers as it is told, cookie by cookie.

use super::support::{Options, User};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// How the app answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status and a JSON body, on a connection that stays open.
    Json(u16, Value),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// The connection is reset in the middle of the body.
    Cut,
    /// Nothing at all.
    Silence,
}

impl Reply {
    /// Yes, it is this user, for so many seconds.
    pub fn user(user: User<'_>, expires_in: u32) -> Self {
        let mut body = user.profile();
        body["user_id"] = user.wire_id();
        body["expires_in"] = expires_in.into();
        Self::Json(200, body)
    }

    /// Nobody is signed in.
    pub fn nobody() -> Self {
        Self::Json(403, json!({"detail": "sign in"}))
    }

    /// Something is broken.
    pub fn broken() -> Self {
        Self::Json(500, json!({}))
    }
}

#[derive(Default)]
struct State {
    /// By cookie; others are nobody.
    replies: HashMap<String, Reply>,
    heads: Vec<String>,
}

/// See the module. Stops when dropped.
pub struct App {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    held: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl App {
    /// An app that knows nobody yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (held, hold) = watch::channel(false);
        let state: Arc<Mutex<State>> = Arc::default();
        let serving = state.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, serving.clone(), hold.clone()));
            }
        });
        Self { address, state, held, task }
    }

    /// From now on this cookie is answered so.
    pub fn answer(&self, cookie: &str, reply: Reply) {
        self.state.lock().replies.insert(cookie.to_owned(), reply);
    }

    /// How often it was asked about this cookie.
    pub fn asked(&self, cookie: &str) -> usize {
        let line = format!("cookie: {cookie}\r\n");
        self.heads().iter().filter(|head| head.contains(&line)).count()
    }

    /// Every request head that came, names in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.state.lock().heads.clone()
    }

    /// While held, requests are read and not answered.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A server's options with this app as its webhook.
    pub fn options(&self) -> Options {
        Options::default().set("AUTH__WEBHOOK_URL", format!("http://{}/who/", self.address))
    }

    /// The app is gone: its port is closed, and so are its connections.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, mut hold: watch::Receiver<bool>) {
    while let Some(head) = head(&mut stream).await {
        let reply = {
            let mut state = state.lock();
            let cookie = head.lines().find_map(|line| line.strip_prefix("cookie: ")).unwrap_or_default();
            let reply = state.replies.get(cookie).cloned().unwrap_or_else(Reply::nobody);
            state.heads.push(head);
            reply
        };
        if hold.wait_for(|held| !held).await.is_err() {
            return;
        }
        let bytes = match reply {
            Reply::Json(status, body) => {
                let body = body.to_string();
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
            }
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Reply::Cut => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"user_id\": 1").await;
                return;
            }
            Reply::Silence => return std::future::pending().await,
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8(head).expect("UTF-8");
    // Only names are lowered: values are compared as they came.
    let lines = text.split("\r\n").map(|line| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    });
    Some(lines.collect::<Vec<_>>().join("\r\n"))
}
