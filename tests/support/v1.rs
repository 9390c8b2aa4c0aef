//! A socket that speaks `carillon.v1`: frames out of messages, and the cursor.

use super::{PATIENCE, Server, User, socket::request};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::VecDeque;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// An open socket.
pub struct V1Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    path: String,
    waiting: VecDeque<Value>,
    cursor: Option<String>,
}

impl V1Socket {
    /// Opens a socket that must be let in.
    pub async fn connect(server: &Server, path: &str, user: User<'_>) -> Self {
        Self::connect_with(server, path, &user.token()).await
    }

    /// Opens a socket with a token of one's own.
    pub async fn connect_with(server: &Server, path: &str, token: &str) -> Self {
        let mut request = request(server.address(), path, Some(token));
        request.headers_mut().insert("sec-websocket-protocol", "carillon.v1".parse().expect("ASCII"));
        let connected = tokio::time::timeout(PATIENCE, connect_async(request)).await.expect("an answer in time");
        let (stream, response) = connected.expect("let in");
        assert_eq!(response.headers()["sec-websocket-protocol"], "carillon.v1");
        Self { stream, path: path.to_owned(), waiting: VecDeque::new(), cursor: None }
    }

    /// A socket whose greeting has come.
    pub async fn greeted(server: &Server, path: &str, user: User<'_>) -> Self {
        let mut socket = Self::connect(server, path, user).await;
        socket.skip_greeting().await;
        socket
    }

    /// The frames of the greeting.
    pub async fn skip_greeting(&mut self) -> Vec<Value> {
        let last = match self.path.trim_end_matches('/').rsplit('/').next() {
            Some("notifications") => "unread_count",
            Some("presence") => "user_online",
            Some("admin") => "admin_connection_established",
            _ => "connection_established",
        };
        let mut frames = vec![self.next().await];
        while frames.last().is_some_and(|frame| frame["type"] != last) {
            frames.push(self.next().await);
        }
        frames
    }

    /// Where the socket stands: the last `pos`.
    pub fn cursor(&self) -> String {
        self.cursor.clone().expect("a frame with a position came")
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.expect("sent");
    }

    /// Sends a frame and gives what comes next.
    pub async fn ask(&mut self, frame: Value) -> Value {
        self.send(&frame).await;
        self.next().await
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        while self.waiting.is_empty() {
            let message = self.next_message().await;
            self.waiting.extend(message);
        }
        self.waiting.pop_front().expect("a frame")
    }

    /// The frames of the next message.
    pub async fn next_message(&mut self) -> Vec<Value> {
        loop {
            match self.raw().await {
                Message::Text(text) => {
                    let frames = match serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")) {
                        Value::Array(frames) => frames,
                        frame => vec![frame],
                    };
                    for frame in &frames {
                        if let Some(pos) = frame["pos"].as_str() {
                            self.cursor = Some(pos.to_owned());
                        }
                    }
                    return frames;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?} instead of a frame on {}", self.path),
            }
        }
    }

    /// Skips frames up to the server's close: the code and the reason.
    pub async fn closed(&mut self) -> (u16, Value) {
        loop {
            if let Message::Close(frame) = self.raw().await {
                let frame = frame.expect("a close code");
                return (frame.code.into(), serde_json::from_str(&frame.reason).unwrap_or(Value::Null));
            }
        }
    }

    /// Says goodbye and waits for the server's.
    pub async fn close(mut self) {
        let _ = self.stream.close(None).await;
        while let Some(Ok(_)) = self.stream.next().await {}
    }

    async fn raw(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let message = next.unwrap_or_else(|_| panic!("nothing came in time on {}", self.path));
        message.unwrap_or_else(|| panic!("{} has ended", self.path)).expect("a message")
    }
}
