//! A WebSocket as a page has it, with ways to prove that something did not come.

use super::{Api, PATIENCE, User};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, error::ProtocolError, handshake::client::Request},
};

static MARKERS: AtomicU64 = AtomicU64::new(0);

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The group that it is a member of, for markers.
    group: String,
    path: String,
}

/// A handshake with a token.
pub fn request(address: SocketAddr, path: &str, token: Option<&str>) -> Request {
    let mut request = format!("ws://{address}{path}").into_client_request().expect("a URL");
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("ASCII");
        request.headers_mut().insert("authorization", value);
    }
    request
}

/// The HTTP status that a handshake is answered; 101 for one that is let in.
pub async fn status(request: Request) -> u16 {
    match connect_async(request).await {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("neither a socket nor an answer: {other}"),
    }
}

impl Socket {
    /// Opens a socket that must be let in.
    pub async fn connect(address: SocketAddr, path: &str, user: User<'_>) -> Self {
        let request = request(address, path, Some(&user.token()));
        let socket = Self::open(request, path, user).await;
        socket.unwrap_or_else(|error| panic!("{path} as {}: {error}", user.username))
    }

    /// Opens a socket with a handshake of one's own.
    pub async fn open(request: Request, path: &str, user: User<'_>) -> Result<Self, Error> {
        let connected = tokio::time::timeout(PATIENCE, connect_async(request)).await.expect("an answer in time");
        let (stream, _) = connected?;
        Ok(Self { stream, group: group_of(path, user.id), path: path.to_owned() })
    }

    /// The same from an address of this machine.
    pub async fn open_from(source: IpAddr, request: Request, path: &str, user: User<'_>) -> Result<Self, Error> {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.bind(SocketAddr::new(source, 0)).expect("an address of this machine");
        let to = request.uri().authority().expect("an address").as_str().parse().expect("an address");
        let opened = async { client_async(request, MaybeTlsStream::Plain(tcp.connect(to).await?)).await };
        let (stream, _) = tokio::time::timeout(PATIENCE, opened).await.expect("an answer in time")?;
        Ok(Self { stream, group: group_of(path, user.id), path: path.to_owned() })
    }

    /// A socket with a small buffer that reads its greeting, and then only when it is asked.
    pub async fn connect_slow(address: SocketAddr, path: &str, user: User<'_>) -> Self {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.set_recv_buffer_size(4_096).expect("a size");
        let stream = MaybeTlsStream::Plain(tcp.connect(address).await.expect("a connection"));
        let (stream, _) = client_async(request(address, path, Some(&user.token())), stream).await.expect("let in");
        let mut socket = Self { stream, group: group_of(path, user.id), path: path.to_owned() };
        socket.skip_greeting().await;
        socket
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    /// Sends whatever message.
    pub async fn send_message(&mut self, message: Message) {
        self.stream.send(message).await.expect("sent");
    }

    /// The next text frame. Markers of other sockets in the group are none.
    pub async fn next(&mut self) -> Value {
        loop {
            let frame = self.next_or_marker().await;
            if !is_marker(&frame) {
                return frame;
            }
        }
    }

    async fn next_or_marker(&mut self) -> Value {
        match self.next_message().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")),
            other => panic!("{other:?} instead of a frame on {}", self.path),
        }
    }

    /// The next frame, which must be this one. `"@time"` stands for any timestamp.
    #[track_caller]
    pub fn expect(&mut self, frame: Value) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let got = super::frames::masked(self.next().await);
            assert_eq!(got, super::frames::masked(frame), "on {}, asked at {at}", self.path);
        }
    }

    /// Sends a frame and gives its answer.
    pub async fn ask(&mut self, kind: &str) -> Value {
        self.send(&json!({"type": kind})).await;
        self.next().await
    }

    /// The greeting: as many frames as this endpoint greets with.
    pub async fn skip_greeting(&mut self) -> Vec<Value> {
        let count = if self.path.contains("notifications") || self.path.contains("presence") { 2 } else { 1 };
        let mut frames = Vec::new();
        for _ in 0..count {
            frames.push(self.next().await);
        }
        frames
    }

    /// Every frame that was on its way: sends an event to the socket's own group, which comes after everything that
    /// was published or committed before, then a ping, which is answered after every request. A silence is proven by
    /// this order, not by waiting.
    pub async fn until_marker(&mut self, api: &Api) -> Vec<Value> {
        let marker = format!("marker {}", MARKERS.fetch_add(1, Ordering::Relaxed));
        let event = marker_event(&self.group, &marker);
        let reached = api.group_send(&self.group, &event).await;
        assert!(reached > 0, "the marker reached nobody in {}", self.group);
        let mut frames = Vec::new();
        loop {
            let frame = self.next_or_marker().await;
            if frame.to_string().contains(&format!("\"{marker}\"")) {
                break;
            }
            if !is_marker(&frame) {
                frames.push(frame);
            }
        }
        frames.extend(self.until_pong().await);
        frames
    }

    /// Frames up to the pong of a ping that is sent now: the answers to everything that this socket asked before.
    pub async fn until_pong(&mut self) -> Vec<Value> {
        let payload = format!("ping {}", MARKERS.fetch_add(1, Ordering::Relaxed));
        self.stream.send(Message::Ping(payload.clone().into())).await.expect("sent");
        let mut frames = Vec::new();
        loop {
            match self.message_or_pong().await {
                Message::Pong(of) if of == payload.as_bytes() => return frames,
                Message::Pong(_) | Message::Ping(_) => {}
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text).expect("JSON");
                    if !is_marker(&frame) {
                        frames.push(frame);
                    }
                }
                other => panic!("{other:?} instead of a pong on {}", self.path),
            }
        }
    }

    /// Asserts that nothing was on its way.
    #[track_caller]
    pub fn expect_nothing<'a>(&'a mut self, api: &'a Api) -> impl Future<Output = ()> + 'a {
        let at = std::panic::Location::caller();
        async move {
            let frames = self.until_marker(api).await;
            assert!(frames.is_empty(), "{frames:?} instead of silence on {}, asked at {at}", self.path);
        }
    }

    /// Skips frames up to the server's close, says goodbye in turn: the code and the reason. As in a browser, 1006 stands for
    /// an end without a close frame.
    pub async fn closed(&mut self) -> (u16, Value) {
        loop {
            let message = match tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("an end in time") {
                Some(Ok(message)) => message,
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
                    return (1006, Value::Null);
                }
                Some(Err(error)) => panic!("neither a message nor an end: {error}"),
            };
            if let Message::Close(frame) = message {
                let frame = frame.expect("a close code");
                while let Some(Ok(_)) = self.stream.next().await {}
                // As a browser does; the server waits for it.
                let _ = self.stream.get_mut().shutdown().await;
                return (frame.code.into(), serde_json::from_str(&frame.reason).unwrap_or(Value::Null));
            }
        }
    }

    /// The next frame; `None` once the connection has ended, however it ended.
    pub async fn next_or_end(&mut self) -> Option<Value> {
        loop {
            match tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("something in time")?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).expect("JSON")),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Sends a frame; that the server is gone is no matter.
    pub async fn send_if_open(&mut self, frame: &Value) {
        let _ = self.stream.send(Message::text(frame.to_string())).await;
    }

    /// Frames until the connection ends, however it ends.
    pub async fn until_the_end(mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        while let Some(Ok(message)) = self.stream.next().await {
            if let Message::Text(text) = message {
                frames.push(serde_json::from_str(&text).expect("JSON"));
            }
        }
        frames
    }

    /// Says goodbye and waits for the server's.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
        while let Some(Ok(_)) = self.stream.next().await {}
    }

    async fn next_message(&mut self) -> Message {
        let path = self.path.clone();
        let message = async {
            loop {
                match self.message_or_pong().await {
                    Message::Ping(_) | Message::Pong(_) => {}
                    message => return message,
                }
            }
        };
        // The server's pings are no sign that anything else comes.
        tokio::time::timeout(PATIENCE, message).await.unwrap_or_else(|_| panic!("nothing but pings came on {path}"))
    }

    async fn message_or_pong(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let message = next.unwrap_or_else(|_| panic!("nothing came in time on {}", self.path));
        message.unwrap_or_else(|| panic!("{} has ended", self.path)).expect("a message")
    }
}

fn group_of(path: &str, user: &str) -> String {
    match path.trim_end_matches('/').trim_start_matches("/ws/") {
        "dashboard" => format!("dashboard_user_{user}"),
        "dashboard/admin" => "admin_dashboard".into(),
        "subscriptions" => format!("subscriptions_user_{user}"),
        "subscriptions/admin" => "subscription_admin".into(),
        "notifications" => format!("notifications_user_{user}"),
        _ => "presence".into(),
    }
}

fn is_marker(frame: &Value) -> bool {
    frame.to_string().contains("\"marker ")
}

/// An event that every member of the group shows, and that no test sends otherwise.
fn marker_event(group: &str, marker: &str) -> Value {
    match group {
        "presence" => json!({"type": "user_offline", "user_id": marker, "username": ""}),
        "admin_dashboard" => json!({"type": "system_update", "data": marker}),
        "subscription_admin" => json!({"type": "new_subscription_alert", "data": marker}),
        user if user.starts_with("dashboard_user_") => json!({"type": "dashboard_update", "data": marker}),
        user if user.starts_with("subscriptions_user_") => json!({"type": "payment_confirmation", "data": marker}),
        _ => json!({"type": "notification_read", "data": marker}),
    }
}
