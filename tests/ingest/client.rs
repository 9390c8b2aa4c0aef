//! A backend's end of a stream: lines out, lines in.

use crate::support::{PATIENCE, Server, socket};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{collections::VecDeque, net::SocketAddr};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async,
    tungstenite::{Error, Message},
};

/// An open stream.
pub struct Stream {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    lines: VecDeque<Value>,
}

/// A notification with an id, which is also its title, and its idempotency key.
pub fn notify(user: u64, nth: u64) -> Value {
    json!({
        "id": nth,
        "call": "send_notification",
        "args": {"user_id": user, "title": nth.to_string(), "message": "m"},
        "idempotency_key": format!("{user}-{nth}"),
    })
}

/// A message to the notification windows of a user.
pub fn tell(user: u64, nth: u64) -> Value {
    let event = json!({"type": "notification_message", "message": nth.to_string()});
    json!({"id": nth, "call": "group_send", "args": {"group": format!("notifications_user_{user}"), "event": event}})
}

impl Stream {
    pub async fn try_open(address: SocketAddr, key: &str) -> Result<Self, Error> {
        let request = socket::request(address, "/api/v1/ingest", Some(key).filter(|key| !key.is_empty()));
        let (socket, _) = connect_async(request).await?;
        Ok(Self { socket, lines: VecDeque::new() })
    }

    /// With a small buffer for answers.
    pub async fn open_slow(server: &Server) -> Self {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.set_recv_buffer_size(4_096).expect("a size");
        let tcp = MaybeTlsStream::Plain(tcp.connect(server.address()).await.expect("a connection"));
        let request = socket::request(server.address(), "/api/v1/ingest", Some("dev"));
        let (socket, _) = client_async(request, tcp).await.expect("let in");
        Self { socket, lines: VecDeque::new() }
    }

    pub async fn open(server: &Server) -> Self {
        Self::try_open(server.address(), "dev").await.expect("let in")
    }

    /// One message of these lines.
    pub async fn send(&mut self, lines: &[Value]) {
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        self.send_text(&text.join("\n")).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    /// The next answer; the close code and reason if there will be none; nothing if the connection just ended.
    pub async fn next(&mut self) -> Result<Value, Option<(u16, Value)>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(line);
            }
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something in time");
            match next {
                Some(Ok(Message::Text(text))) => {
                    self.lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame
                        .map(|frame| (frame.code.into(), serde_json::from_str(&frame.reason).unwrap_or(Value::Null))));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    pub async fn answer(&mut self) -> Value {
        self.next().await.expect("an answer")
    }

    pub async fn answers(&mut self, count: usize) -> Vec<Value> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(self.answer().await);
        }
        all
    }
}

/// Status, code and field of an answer.
pub fn brief(answer: &Value) -> (u64, &str, &str) {
    let error = &answer["body"]["error"];
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    (answer["status"].as_u64().expect("a status"), text("code"), text("field"))
}
