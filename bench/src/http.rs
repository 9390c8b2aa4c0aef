//! A keep-alive HTTP/1.1 caller that costs little: one request at a time, bodies with a length.

use crate::{Result, child::API_KEY};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One connection.
pub(crate) struct Caller {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Caller {
    pub(crate) async fn connect(at: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<(u16, String)> {
        self.call(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    /// As [`Self::get`], with the development key.
    pub(crate) async fn get_with_key(&mut self, path: &str) -> Result<(u16, String)> {
        self.call(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\n\r\n")).await
    }

    /// Posts JSON with the development key.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        self.call(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// As [`Self::post`], and anything but 2xx is an error.
    pub(crate) async fn post_ok(&mut self, path: &str, body: &str) -> Result<String> {
        match self.post(path, body).await? {
            (200..300, answer) => Ok(answer),
            (status, answer) => Err(format!("POST {path}: {status} {answer}").into()),
        }
    }

    async fn call(&mut self, request: &str) -> Result<(u16, String)> {
        self.stream.write_all(request.as_bytes()).await?;
        self.received.clear();
        let head = loop {
            if let Some(at) = find(&self.received, b"\r\n\r\n") {
                break at + 4;
            }
            self.read().await?;
        };
        let text = String::from_utf8_lossy(&self.received[..head]).to_ascii_lowercase();
        let status = text.get(9..12).and_then(|s| s.parse().ok()).ok_or("no status")?;
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length:")).map_or(Ok(0), |n| n.trim().parse())?;
        while self.received.len() < head + length {
            self.read().await?;
        }
        Ok((status, String::from_utf8_lossy(&self.received[head..head + length]).into_owned()))
    }

    async fn read(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }
}

/// Where `needle` begins.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
