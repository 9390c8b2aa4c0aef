//! Subscribers over raw sockets: count frames, note how old they are, answer pings. Cheaper than the server, so
//! that the generator isn't what is measured.

use crate::{Result, http::find};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// In a payload: nanoseconds since [`Tallies::start`] when it was published.
pub(crate) const SENT_AT: &str = "\"sent_at\":";

/// The six endpoints.
pub(crate) const ENDPOINTS: [&str; 6] = [
    "/ws/dashboard/",
    "/ws/dashboard/admin/",
    "/ws/subscriptions/",
    "/ws/subscriptions/admin/",
    "/ws/notifications/",
    "/ws/presence/",
];

/// What all receivers count together.
pub(crate) struct Tallies {
    start: Instant,
    /// Text frames.
    pub(crate) frames: AtomicU64,
    /// Bytes, headers included.
    pub(crate) bytes: AtomicU64,
    /// Connections that ended.
    pub(crate) ended: AtomicU64,
    ages_ms: std::sync::Mutex<Vec<f64>>,
}

impl Tallies {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            frames: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            ages_ms: std::sync::Mutex::default(),
        })
    }

    /// What to write behind [`SENT_AT`].
    pub(crate) fn now(&self) -> u128 {
        self.start.elapsed().as_nanos()
    }

    /// The ages noted since the last call, in milliseconds.
    pub(crate) fn take_ages(&self) -> Vec<f64> {
        self.ages_ms.lock().map(|mut ages| std::mem::take(&mut *ages)).unwrap_or_default()
    }

    /// Waits until nothing has come for a while, at most ten seconds.
    pub(crate) async fn settle(&self) {
        let mut before = u64::MAX;
        for _ in 0..20 {
            let now = self.bytes.load(Relaxed);
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Opens a WebSocket and returns once its greeting has begun.
pub(crate) async fn open(at: SocketAddr, path: &str, token: &str) -> Result<TcpStream> {
    let stream = upgrade(at, path, token).await?;
    stream.readable().await?;
    Ok(stream)
}

/// Opens a WebSocket; nothing is read beyond the answer's head.
pub(crate) async fn upgrade(at: SocketAddr, path: &str, token: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(e) => return Err(format!("{path}: {e} after {}", String::from_utf8_lossy(&head)).into()),
        }
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(format!("{path}: {}", String::from_utf8_lossy(&head)).into());
    }
    Ok(stream)
}

/// Reads to the end. `timing`: notes the age of each frame; it costs, so only some receivers do.
pub(crate) async fn receive(mut stream: TcpStream, tallies: Arc<Tallies>, timing: bool) {
    // An incomplete frame; everything else is counted where it was read.
    let mut rest = Vec::new();
    loop {
        if stream.readable().await.is_err() {
            break;
        }
        let pong = match read_ready(&stream, &mut rest, (&tallies, timing)) {
            Ok(pong) => pong,
            Err(()) => break,
        };
        // Pongs from a client are masked; a mask of zeros is one.
        if pong && stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.is_err() {
            break;
        }
    }
    tallies.ended.fetch_add(1, Relaxed);
}

thread_local! {
    static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; 256 << 10]);
}

/// Reads once. True: there was a ping.
fn read_ready(stream: &TcpStream, rest: &mut Vec<u8>, at: (&Tallies, bool)) -> std::result::Result<bool, ()> {
    BUFFER.with_borrow_mut(|buffer| {
        let read = match stream.try_read(buffer) {
            Ok(0) => return Err(()),
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(_) => return Err(()),
        };
        at.0.bytes.fetch_add(read as u64, Relaxed);
        if rest.is_empty() {
            let (used, pinged) = count(&buffer[..read], at);
            rest.extend_from_slice(&buffer[used..read]);
            return Ok(pinged);
        }
        rest.extend_from_slice(&buffer[..read]);
        let (used, pinged) = count(rest, at);
        rest.drain(..used);
        if rest.is_empty() {
            *rest = Vec::new();
        }
        Ok(pinged)
    })
}

/// Counts whole frames. Returns the bytes that they were, and whether one was a ping.
fn count(bytes: &[u8], (tallies, timing): (&Tallies, bool)) -> (usize, bool) {
    let (mut at, mut frames, mut pinged) = (0, 0, false);
    while let Some((header, payload)) = header(&bytes[at..]) {
        let Some(frame) = bytes.get(at..at + header + payload) else { break };
        match frame[0] & 0x0f {
            1 => {
                frames += 1;
                if timing
                    && let Some(age) = age_ms(&frame[header..], tallies)
                    && let Ok(mut ages) = tallies.ages_ms.lock()
                {
                    ages.push(age);
                }
            }
            9 => pinged = true,
            _ => {}
        }
        at += header + payload;
    }
    tallies.frames.fetch_add(frames, Relaxed);
    (at, pinged)
}

/// Lengths of header and payload, once the header is complete.
pub(crate) fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        126 => Some((4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into())),
        127 => Some((10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?)),
        short => Some((2, short.into())),
    }
}

fn age_ms(payload: &[u8], tallies: &Tallies) -> Option<f64> {
    let at = find(payload, SENT_AT.as_bytes())? + SENT_AT.len();
    let digits = payload[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    let sent: u128 = std::str::from_utf8(&payload[at..at + digits]).ok()?.parse().ok()?;
    let age = Duration::from_nanos(u64::try_from(tallies.now().saturating_sub(sent)).ok()?);
    Some(age.as_secs_f64() * 1_000.0)
}
