//! Frames on a link: a length, a tag, a number, a body. Reading can be given up and taken up again.
//!
//! ```text
//! length u32 LE (of what follows) · tag u8 · number u64 LE · body
//! ```

use super::kind::Kind;
use crate::config::limits::LINK_WRITE_TIMEOUT;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// Any stream between two nodes.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// A stream, TLS or not.
pub(crate) type Stream = Box<dyn Io>;

const LENGTH_BYTES: usize = 4;
const HEADER_BYTES: usize = 9;
/// Read at once.
const READ_BYTES: usize = 64 << 10;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// A question, with its number.
    Request,
    /// The answer to the question of that number.
    Answer,
    /// To be answered by a pong with the same number.
    Ping,
    Pong,
    /// Needs no answer.
    Message,
    /// The sender has applied the log up to the number.
    Applied,
}

const TAGS: [Tag; 6] = [Tag::Request, Tag::Answer, Tag::Ping, Tag::Pong, Tag::Message, Tag::Applied];

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) tag: Tag,
    pub(crate) number: u64,
    pub(crate) body: Bytes,
}

impl Frame {
    pub(crate) fn new(tag: Tag, number: u64, body: impl Into<Bytes>) -> Self {
        Self { tag, number, body: body.into() }
    }
}

/// Takes a whole frame off the front of what has been read; `None` if there is none yet.
fn take(read: &mut BytesMut, bytes_max: usize) -> io::Result<Option<Frame>> {
    let Some(length) = read.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize) else { return Ok(None) };
    if length < HEADER_BYTES || length > bytes_max {
        let what = format!("a peer's frame has {length} bytes; {HEADER_BYTES} to {bytes_max} are taken here");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    if read.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    read.advance(LENGTH_BYTES);
    let mut frame = read.split_to(length);
    let tag = usize::from(frame.get_u8());
    let tag =
        *TAGS.get(tag).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a peer's frame has no known tag"))?;
    let number = frame.get_u64_le();
    Ok(Some(Frame { tag, number, body: frame.freeze() }))
}

/// The reading end.
pub(crate) struct Reader {
    stream: ReadHalf<Stream>,
    read: BytesMut,
    bytes_max: usize,
    meter: metrics::Counter,
}

impl Reader {
    /// The next frame; `None` at the end. May be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = take(&mut self.read, self.bytes_max)? {
                return Ok(Some(frame));
            }
            // A large frame's buffer is not kept for the small ones after it.
            if self.read.is_empty() && self.read.capacity() > 4 * READ_BYTES {
                self.read = BytesMut::new();
            }
            self.read.reserve(READ_BYTES);
            let n = self.stream.read_buf(&mut self.read).await?;
            self.meter.increment(n as u64);
            if n == 0 {
                return if self.read.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}

/// The writing end.
pub(crate) struct Writer {
    stream: WriteHalf<Stream>,
    bytes_max: usize,
    meter: metrics::Counter,
}

impl Writer {
    /// Writes a frame, within [`LINK_WRITE_TIMEOUT`].
    pub(crate) async fn send(&mut self, frame: Frame) -> io::Result<()> {
        let length = HEADER_BYTES + frame.body.len();
        if length > self.bytes_max {
            let what = format!("a frame of {length} bytes is larger than {}", self.bytes_max);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut header = [0; LENGTH_BYTES + HEADER_BYTES];
        header[..LENGTH_BYTES].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        header[LENGTH_BYTES] = frame.tag as u8;
        header[LENGTH_BYTES + 1..].copy_from_slice(&frame.number.to_le_bytes());
        let write = async {
            let mut all = Buf::chain(header.as_slice(), frame.body);
            while all.has_remaining() {
                self.stream.write_buf(&mut all).await?;
            }
            self.stream.flush().await
        };
        tokio::time::timeout(LINK_WRITE_TIMEOUT, write)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        self.meter.increment((LENGTH_BYTES + length) as u64);
        Ok(())
    }
}

/// Both ends of a stream on which the handshake is done.
pub(crate) fn frames(stream: Stream, kind: Kind) -> (Reader, Writer) {
    let (reading, writing) = tokio::io::split(stream);
    let meter = |direction: &'static str| metrics::counter!(crate::telemetry::names::LINK_BYTES, "kind" => kind.name(), "direction" => direction);
    let bytes_max = kind.frame_bytes_max();
    let reader = Reader { stream: reading, read: BytesMut::new(), bytes_max, meter: meter("in") };
    (reader, Writer { stream: writing, bytes_max, meter: meter("out") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_as_they_were_sent_however_the_bytes_are_cut() {
        for buffer in [1, 3, 16, 1 << 16] {
            let (one, other) = tokio::io::duplex(buffer);
            let (_, mut writer) = frames(Box::new(one), Kind::Raft);
            let (mut reader, _) = frames(Box::new(other), Kind::Raft);
            let sent: Vec<_> =
                TAGS.iter().zip(0_u64..).map(|(tag, n)| Frame::new(*tag, n << 33, vec![7; 50])).collect();
            let copy = sent.clone();
            let sending = async move {
                for frame in copy {
                    writer.send(frame).await.expect("sent");
                }
            };
            let reading = async {
                let mut seen = Vec::new();
                while seen.len() < TAGS.len() {
                    seen.push(reader.next().await.expect("read").expect("a frame"));
                }
                seen
            };
            assert_eq!(tokio::join!(sending, reading).1, sent);
        }
    }

    #[test]
    fn lengths_that_are_too_large_or_too_small_are_refused_before_anything_is_kept() {
        for length in [0_u32, 8, 101, u32::MAX] {
            let mut read = BytesMut::from(&length.to_le_bytes()[..]);
            assert!(take(&mut read, 100).is_err(), "{length}");
        }
        let mut read = BytesMut::from(&[9, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0][..]);
        assert!(take(&mut read, 100).is_err(), "an unknown tag");
    }
}
