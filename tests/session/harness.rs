//! A server on a port of its own, and clients: tungstenite's, and one that writes raw bytes.

use carillon::{
    auth::{Door, Grant, sign},
    broker::{Broker, Publication},
    cluster::{Node, Surroundings},
    config::{Config, JwtKey, Limits, Live, limits},
    endpoints::{Endpoints, PresenceDesk},
    jwks::{Entrance, Jwks},
    protocol::{Group, GroupName, InV1, Pos, Tenant, UserId},
    session::House,
    transport::{Caps, Gate, Serving, serve},
};
use futures_util::{SinkExt, StreamExt};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Longer than anything here takes; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) broker: Broker,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tracker: TaskTracker,
    _data: tempfile::TempDir,
}

pub(crate) async fn start(limits: Limits) -> Server {
    start_with(limits, None).await
}

pub(crate) async fn start_with(limits: Limits, tls: Option<TlsAcceptor>) -> Server {
    let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
    let broker = Broker::start(&limits, 2, &shutdown, &tracker);
    let data = tempfile::tempdir().expect("a directory");
    let mut config = Config { limits: limits.clone(), ..Config::default() };
    config.server.data_dir = data.path().join("data");
    config.server.dev = true;
    let around = Surroundings { config: &config, broker: broker.clone(), tracker: &tracker, shutdown: &shutdown };
    let records = Node::start(around).await.expect("a node").records().clone();
    let desk = PresenceDesk::start(records.clone(), Duration::from_secs(15), (&tracker, &shutdown));
    let entrance = Entrance::new(Door::new(&config.auth, true), Jwks::default());
    let endpoints = Arc::new(Endpoints::new(records, desk));
    let house = Arc::new(House::new(endpoints, broker.clone(), (entrance.clone(), &limits)));
    let gate = Gate::new(entrance, house, (Caps::new(&limits), 1));
    let serving = Serving {
        gate: Some(Arc::new(gate)),
        router: axum::Router::new().route("/healthz", axum::routing::get(|| async { "ok" })),
        tls: Live::new(tls),
        trusted_proxies: Live::new(vec![IpAddr::from([127, 0, 0, 1])]),
        http_connections: limits::HTTP_CONNECTIONS_MAX,
        http_per_address: 4_096,
        http_idle: Duration::from_secs(75),
        tracker: tracker.clone(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address");
    tracker.spawn(serve(listener, serving, shutdown.clone()));
    Server { at, broker, shutdown, tracker, _data: data }
}

impl Server {
    pub(crate) async fn connect(&self, path: &str) -> Result<Client, Error> {
        Ok(connect_async(request(&format!("ws://{}", self.at), path)?).await?.0)
    }

    /// A client that has seen its greeting.
    pub(crate) async fn greeted(&self, path: &str) -> Client {
        let mut client = self.connect(path).await.expect("a socket");
        let greeting = text(&mut client).await;
        assert!(greeting.contains("connection_established") || greeting.contains("online_users"), "{greeting}");
        client
    }

    /// A greeted client that speaks bytes. `receive_buffer`: how much the kernel takes in for it.
    pub(crate) async fn raw(&self, path: &str, receive_buffer: Option<u32>) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).expect("a size");
        }
        let mut stream = socket.connect(self.at).await.expect("a connection");
        stream.write_all(handshake(path).as_bytes()).await.expect("sent");
        let head = read_until(&mut stream, b"\"user_id\":1}").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        stream
    }

    /// The status line, headers and body of a request that is not upgraded.
    pub(crate) async fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.at).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        read_until(&mut stream, b"}}").await
    }

    /// The head of the answer to a handshake, and the connection.
    pub(crate) async fn open(&self, request: &str) -> (String, TcpStream) {
        let mut stream = TcpStream::connect(self.at).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        (read_until(&mut stream, b"\r\n\r\n").await, stream)
    }

    pub(crate) fn publish(&self, group: GroupName, text: &str) -> bool {
        self.broker.publish(publication(group, text, None)).is_ok()
    }

    /// Publishes as soon as there is room.
    pub(crate) async fn publish_soon(&self, group: &GroupName, text: &str) {
        while !self.publish(group.clone(), text) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn publish_durable(&self, group: GroupName, text: &str, pos: u64) {
        let _ = self.broker.publish_durable(publication(group, text, Some(Pos(pos)))).await;
    }

    /// Waits until so many sessions are open.
    pub(crate) async fn sessions(&self, count: usize) {
        let reached = async {
            while self.broker.sessions() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the count of sessions");
    }
}

pub(crate) fn publication(name: GroupName, text: &str, pos: Option<Pos>) -> Publication {
    let group = Group { tenant: Tenant::default(), name };
    Publication { group, frames: vec![text.to_owned().into()], v1: InV1::Same, pos, except: None }
}

pub(crate) fn dashboard(user: &str) -> GroupName {
    GroupName::DashboardUser(UserId::new(user).expect("an id"))
}

pub(crate) fn handshake(path: &str) -> String {
    let (path, token) = identify(path);
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{authorization}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The upgrade request for such a path.
pub(crate) fn request(origin: &str, path: &str) -> Result<Request, Error> {
    let (path, token) = identify(path);
    let mut request = format!("{origin}{path}").into_client_request()?;
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", value);
    }
    Ok(request)
}

/// `/ws/…?user=1&staff=1&ttl=2`, shorthand of these tests: the path, and a token that says so.
fn identify(path: &str) -> (&str, Option<String>) {
    let Some((path, query)) = path.split_once('?') else { return (path, None) };
    let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let user = of("user").expect("a user");
    let now = carillon::wall_clock::now();
    let grant = Grant {
        user: UserId::new(user).expect("an id"),
        username: format!("user{user}"),
        first_name: String::new(),
        last_name: String::new(),
        is_staff: of("staff").is_some(),
        tenant: Tenant::default(),
        issuer: None,
        audience: None,
        issued_at: now,
        ttl_seconds: of("ttl").map_or(3_600, |ttl| ttl.parse().expect("seconds")),
    };
    (path, Some(sign(&JwtKey::development(), &grant).expect("a token")))
}

/// A masked frame, as clients must send it.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..126 => out.push(0x80 | u8::try_from(n).expect("small")),
        n @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(n).expect("medium").to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let mask = [7, 77, 177, 99];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

pub(crate) async fn next(client: &mut Client) -> Message {
    let next = tokio::time::timeout(PATIENCE, client.next()).await;
    next.expect("a message in time").expect("not the end").expect("a message")
}

pub(crate) async fn text(client: &mut Client) -> String {
    loop {
        match next(client).await {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?} instead of a text"),
        }
    }
}

/// Skips what comes until the close: its code and reason.
pub(crate) async fn closed(client: &mut Client) -> (u16, String) {
    loop {
        if let Message::Close(frame) = next(client).await {
            let frame = frame.expect("a code");
            return (frame.code.into(), frame.reason.to_string());
        }
    }
}

/// Reads to the end of the connection; the close frame stands at the end of what came.
pub(crate) async fn raw_close(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("in time").expect("no reset");
    let at = bytes.windows(1).rposition(|w| w[0] == 0x88).expect("a close frame");
    let code = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]);
    (code, String::from_utf8_lossy(&bytes[at + 4..]).into_owned())
}

async fn read_until(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while !bytes.ends_with(end) {
            match stream.read_u8().await {
                Ok(byte) => bytes.push(byte),
                Err(_) => break,
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) async fn say(client: &mut Client, message: Message) {
    client.send(message).await.expect("sent");
}
