//! The reading half of a session: tungstenite over a socket that is never waited for.
//!
//! tungstenite does fragmentation, UTF-8, masks, control frames and close codes. What it wants to write goes into
//! the outbox, whole frames only. Its context exists only while a message is under way (see [`super::boundary`]).

use super::{
    boundary::Boundary,
    handle::{Flushed, Session, Wire},
    metrics::End,
};
use crate::protocol::{Close, websocket};
use bytes::Bytes;
use std::{
    cell::RefCell,
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

/// What tungstenite reads at once while a message is incomplete; it zeroes that much before each read.
const READ_BYTES: usize = 4 << 10;
/// What is read at once when nothing is under way.
const FIRST_READ_BYTES: usize = 16 << 10;

/// What is read of one socket before others have their turn: a message can be cut into fragments without end.
const SLICE_BYTES: usize = 64 << 10;

thread_local! {
    static FIRST_READ: RefCell<Vec<u8>> = RefCell::new(vec![0; FIRST_READ_BYTES]);
}

/// The task's own part of the socket.
#[derive(Debug)]
pub(super) enum Socket {
    /// The stream stands in the handle.
    Plain,
    /// The stream is here: only the task reads and writes it.
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a client sent.
#[derive(Debug)]
pub(super) enum Inbound {
    Text(String),
    Binary,
    /// A ping or pong that has been dealt with; it counts towards the pace.
    Control,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    socket: Socket,
    context: Option<Box<WebSocketContext>>,
    boundary: Boundary,
    message_bytes: usize,
}

impl Reader {
    /// `early` came together with the handshake.
    pub(super) fn new(socket: Socket, message_bytes: usize, early: &[u8]) -> Self {
        let mut reader = Self { socket, context: None, boundary: Boundary::default(), message_bytes };
        if !early.is_empty() {
            reader.begin(early);
        }
        reader
    }

    /// The next message, or why there will be none. Nothing is consumed that isn't returned.
    pub(super) fn poll_next(&mut self, session: &Session, cx: &mut Context<'_>) -> Poll<Result<Inbound, End>> {
        let mut left = SLICE_BYTES;
        loop {
            if self.boundary.is_padded() {
                return Poll::Ready(Err(End::Ours(Close::BadFrames)));
            }
            let Some(context) = &mut self.context else {
                match ready!(self.poll_first_read(session, cx)) {
                    Ok(()) => continue,
                    Err(_) => return Poll::Ready(Err(End::Gone)),
                }
            };
            let (socket, boundary) = (&mut self.socket, &mut self.boundary);
            let mut pipe = Pipe { session, socket, boundary, cx, left: &mut left };
            match context.read(&mut pipe) {
                Ok(Message::Text(text)) => return Poll::Ready(Ok(Inbound::Text(text.as_str().to_owned()))),
                Ok(Message::Binary(_) | Message::Frame(_)) => return Poll::Ready(Ok(Inbound::Binary)),
                Ok(Message::Ping(_) | Message::Pong(_)) => return Poll::Ready(Ok(Inbound::Control)),
                Ok(Message::Close(_)) => {} // the next read queues the answer and says ConnectionClosed
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {
                    if self.boundary.is_clean() {
                        self.context = None;
                    } else if self.boundary.is_padded() {
                        // Said above.
                    } else if left == 0 {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    } else if let Wire::Plain(stream) = &session.wire {
                        // A TLS read has left its waker already.
                        match ready!(stream.poll_read_ready(cx)) {
                            Ok(()) => {}
                            Err(_) => return Poll::Ready(Err(End::Gone)),
                        }
                    } else {
                        return Poll::Pending;
                    }
                }
                Err(e) => return Poll::Ready(Err(end_of(&e))),
            }
        }
    }

    /// Frames that have come since the last call; a message may be made of many.
    pub(super) fn take_frames(&mut self) -> u32 {
        self.boundary.take_frames()
    }

    /// Writes what waits. Ready when nothing does.
    pub(super) fn poll_flush(&mut self, session: &Session, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let flushed = match (&session.wire, &mut self.socket) {
            (Wire::Plain(stream), _) => loop {
                match session.flush() {
                    Flushed::Blocked => {}
                    other => break other,
                }
                if ready!(stream.poll_write_ready(cx)).is_err() {
                    break Flushed::Broken;
                }
            },
            (Wire::Own, Socket::Tls(stream)) => poll_flush_tls(session, stream, cx),
            (Wire::Own, Socket::Plain) => Flushed::Broken,
        };
        match flushed {
            Flushed::Empty => Poll::Ready(Ok(())),
            Flushed::Blocked => Poll::Pending,
            Flushed::Broken => Poll::Ready(Err(End::Gone)),
        }
    }

    /// Says that nothing more will be written, so that the peer sees the end after the close frame.
    pub(super) fn poll_shutdown(&mut self, session: &Session, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match (&session.wire, &mut self.socket) {
            (Wire::Plain(stream), _) => {
                Poll::Ready(rustix::net::shutdown(stream, rustix::net::Shutdown::Write).map_err(Into::into))
            }
            (Wire::Own, Socket::Tls(stream)) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            (Wire::Own, Socket::Plain) => Poll::Ready(Ok(())),
        }
    }

    /// Reads and forgets until the peer has gone, or `left` bytes have come: closing with bytes unread would reset the
    /// connection, and the peer might never see the close frame.
    pub(super) fn poll_discard(&mut self, session: &Session, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        self.context = None;
        FIRST_READ.with_borrow_mut(|buffer| {
            loop {
                match ready!(poll_read(session, &mut self.socket, cx, buffer)) {
                    Ok(0) | Err(_) => return Poll::Ready(()),
                    Ok(read) if read >= *left => return Poll::Ready(()),
                    Ok(read) => *left -= read,
                }
            }
        })
    }

    fn poll_first_read(&mut self, session: &Session, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        FIRST_READ.with_borrow_mut(|buffer| {
            let read = ready!(poll_read(session, &mut self.socket, cx, buffer))?;
            if read == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            session.hear();
            self.begin(&buffer[..read]);
            Poll::Ready(Ok(()))
        })
    }

    fn begin(&mut self, bytes: &[u8]) {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(self.message_bytes))
            .max_frame_size(Some(self.message_bytes));
        self.boundary.follow(bytes);
        let context = WebSocketContext::from_partially_read(bytes.to_vec(), Role::Server, Some(config));
        self.context = Some(Box::new(context));
    }
}

fn poll_flush_tls(session: &Session, stream: &mut TlsStream<TcpStream>, cx: &mut Context<'_>) -> Flushed {
    let flushed = session.flush_with(|bytes| match Pin::new(&mut *stream).poll_write(cx, bytes) {
        Poll::Ready(written) => written,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    });
    // rustls holds encrypted bytes back until it is flushed.
    match (flushed, Pin::new(stream).poll_flush(cx)) {
        (Flushed::Broken, _) | (_, Poll::Ready(Err(_))) => Flushed::Broken,
        (Flushed::Empty, Poll::Ready(Ok(()))) => Flushed::Empty,
        _ => Flushed::Blocked,
    }
}

fn poll_read(
    session: &Session,
    socket: &mut Socket,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    match (&session.wire, socket) {
        (Wire::Plain(stream), _) => loop {
            ready!(stream.poll_read_ready(cx))?;
            match stream.try_read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        },
        (Wire::Own, Socket::Tls(stream)) => {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(stream.as_mut()).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(buffer.filled().len()))
        }
        (Wire::Own, Socket::Plain) => Poll::Ready(Ok(0)),
    }
}

/// What a failure of tungstenite means for the peer.
pub(crate) fn end_of(error: &Error) -> End {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => End::Peer,
        Error::Capacity(_) => End::Ours(Close::TooLarge),
        Error::Utf8(_) => End::Ours(Close::NotUtf8),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => End::Gone,
        _ => End::Ours(Close::ProtocolError),
    }
}

/// The socket as tungstenite sees it: reads don't wait, writes go into the outbox.
struct Pipe<'a, 'b> {
    session: &'a Session,
    socket: &'a mut Socket,
    boundary: &'a mut Boundary,
    cx: &'a mut Context<'b>,
    /// What may be read before others have their turn.
    left: &'a mut usize,
}

impl Read for Pipe<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Between two messages the context is dropped first and the next read is made without it.
        if self.boundary.is_clean() || self.boundary.is_padded() || *self.left == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = match &self.session.wire {
            Wire::Plain(stream) => stream.try_read(buffer)?,
            Wire::Own => match poll_read(self.session, self.socket, self.cx, buffer) {
                Poll::Ready(read) => read?,
                Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            },
        };
        self.session.hear();
        *self.left = self.left.saturating_sub(read);
        self.boundary.follow(&buffer[..read]);
        Ok(read)
    }
}

impl Write for Pipe<'_, '_> {
    // With a write buffer of 0 tungstenite hands over whole frames: a pong, or the answer to a close.
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        let bytes = Bytes::copy_from_slice(frame);
        if frame.first().is_some_and(|first| first & 0x0f == websocket::CLOSE) {
            self.session.close_answered(bytes);
        } else {
            self.session.pong(bytes);
        }
        Ok(frame.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
