//! A stream that hands on the head of a request only when all of it has come.
//!
//! Until then the head is kept here, byte by byte as it came, within bounds: of its size, of the time it takes, and of
//! what all unfinished heads hold together ([`Budget`](super::budget)). So a peer that says nothing, or never ends what
//! it says, costs no buffer of HTTP. Between two requests the stream waits for the next one, and gives way when places
//! are short. While a request is answered, bytes pass through.

use super::{
    at_once::AtOnce,
    budget::{Hold, Spent},
    places::{HttpPlace, Waiting},
    turn::Turn,
};
use crate::config::limits::{HEAD_BYTES_MAX, HEAD_LINES_MAX, HEADER_TIMEOUT, LINGER_BYTES_MAX, LINGER_TIMEOUT};
use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Bytes of a head that are read at once.
const PIECE: usize = 4 << 10;
/// What an HTTP/2 client that does not ask first begins with; no blank line ends it.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// See the module.
pub(super) struct Heads<S> {
    stream: S,
    place: HttpPlace,
    hold: Hold,
    turn: Arc<Turn>,
    /// Read and not handed on.
    held: Vec<u8>,
    /// Bytes of the present head that were read.
    read: usize,
    /// Whether a head was handed on, or may be.
    is_whole: bool,
    /// Requests whose answers are done with.
    seen: u64,
    idle: Duration,
    until: Pin<Box<Sleep>>,
    end: End,
}

/// How far the end of the connection has come.
enum End {
    NotYet,
    Refusing { answer: Vec<u8>, sent: usize },
    Lingering { left: usize },
    Over,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Heads<S> {
    /// `idle`: how long the peer may say nothing between two requests.
    pub(super) fn new(stream: S, (place, hold): (HttpPlace, Hold), (turn, idle): (Arc<Turn>, Duration)) -> Self {
        let until = Box::pin(sleep(HEADER_TIMEOUT));
        let (held, end) = (Vec::new(), End::NotYet);
        Self { stream, place, hold, turn, held, read: 0, is_whole: false, seen: 0, idle, until, end }
    }

    /// Waits for the first head. `false`: the connection is over; why was said to the peer.
    pub(super) async fn first(&mut self) -> bool {
        std::future::poll_fn(|context| loop {
            if !matches!(self.end, End::NotYet) {
                return self.poll_end(context).map(|()| false);
            }
            ready!(self.poll_head(context));
            if self.is_whole {
                return Poll::Ready(true);
            }
        })
        .await
    }

    /// The head, once it is whole, and what came with it.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// The address that shares are counted by; `None` for a trusted proxy.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.place.address()
    }

    /// The stream, and what was read and not handed on.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.held)
    }

    /// Ready when a head is whole, or the connection ends.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.is_whole && !self.held.is_empty() {
                return Poll::Ready(());
            }
            self.is_whole = false;
            if self.place.poll_gone(context).is_ready() {
                return self.over();
            }
            if self.read >= HEAD_BYTES_MAX {
                return self.refuse(AtOnce::HeadTooLarge);
            }
            if self.until.as_mut().poll(context).is_ready() {
                return if self.read == 0 { self.over() } else { self.refuse(AtOnce::HeadTooSlow) };
            }
            let mut piece = [MaybeUninit::uninit(); PIECE];
            let mut piece = ReadBuf::uninit(&mut piece[..PIECE.min(HEAD_BYTES_MAX - self.read)]);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece)) {
                Ok(()) if !piece.filled().is_empty() => {}
                _ => return self.over(),
            }
            if self.read == 0 && self.seen > 0 {
                self.until.as_mut().reset(Instant::now() + HEADER_TIMEOUT);
            }
            if let Err(why) = self.take_in(piece.filled()) {
                return self.refuse(why);
            }
        }
    }

    fn take_in(&mut self, piece: &[u8]) -> Result<(), AtOnce> {
        self.read += piece.len();
        let searched = self.held.len().saturating_sub(3);
        // Blank lines before a request are passed over (RFC 9112, section 2.2).
        let skipped = if self.held.is_empty() { piece.iter().take_while(|byte| is_newline(**byte)).count() } else { 0 };
        self.held.extend_from_slice(&piece[skipped..]);
        if self.held.starts_with(HTTP2_PREFACE) {
            return Err(AtOnce::Http2);
        }
        let Some(end) = end_of_head(&self.held, searched) else {
            self.place.waits_for(Some(Waiting::ForRest));
            return self.hold.set(self.held.capacity()).map_err(|spent| match spent {
                Spent::All => AtOnce::HeadsFull,
                Spent::Address => AtOnce::AddressHeadsFull,
            });
        };
        self.is_whole = true;
        self.hold.clear();
        self.place.waits_for(None);
        // The request line is one, too.
        if self.held[..end].iter().filter(|byte| **byte == b'\n').count() > HEAD_LINES_MAX + 1 {
            return Err(AtOnce::HeadLines);
        }
        Ok(())
    }

    /// Whether a request is being answered, or its answer has not left yet.
    fn is_answering(&self, context: &mut Context<'_>) -> bool {
        self.turn.is_busy(context) || self.turn.begun() != self.seen
    }

    /// After an answer has left: the next request begins.
    fn settle(&mut self, context: &mut Context<'_>) {
        let begun = self.turn.begun();
        if begun == self.seen || self.turn.is_busy(context) {
            return;
        }
        self.seen = begun;
        (self.read, self.is_whole) = (self.held.len(), !self.held.is_empty());
        self.until.as_mut().reset(Instant::now() + self.idle);
        self.place.waits_for(Some(Waiting::ForRequest));
        // Nobody else sees to it that this is polled when the time is over, or when the place is wanted.
        context.waker().wake_by_ref();
    }

    fn over(&mut self) -> Poll<()> {
        self.end = End::Over;
        self.hold.clear();
        self.held = Vec::new();
        Poll::Ready(())
    }

    fn refuse(&mut self, why: AtOnce) -> Poll<()> {
        self.hold.clear();
        self.held = Vec::new();
        self.until.as_mut().reset(Instant::now() + LINGER_TIMEOUT);
        self.end = End::Refusing { answer: why.answer(), sent: 0 };
        Poll::Ready(())
    }

    /// Writes the refusal, then takes in for a moment what is still under way: else it would reset the connection, and
    /// the peer would not get to read why.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if matches!(self.end, End::Over | End::NotYet) || self.until.as_mut().poll(context).is_ready() {
                self.end = End::Over;
                return Poll::Ready(());
            }
            let stream = Pin::new(&mut self.stream);
            self.end = match &mut self.end {
                End::Refusing { answer, sent } if *sent < answer.len() => {
                    match ready!(stream.poll_write(context, &answer[*sent..])) {
                        Ok(0) | Err(_) => End::Over,
                        Ok(written) => {
                            *sent += written;
                            continue;
                        }
                    }
                }
                End::Refusing { .. } => match ready!(stream.poll_shutdown(context)) {
                    Ok(()) => End::Lingering { left: LINGER_BYTES_MAX },
                    Err(_) => End::Over,
                },
                End::Lingering { left } => {
                    let mut piece = [MaybeUninit::uninit(); PIECE];
                    let mut piece = ReadBuf::uninit(&mut piece);
                    match ready!(stream.poll_read(context, &mut piece)) {
                        Ok(()) if !piece.filled().is_empty() && *left > piece.filled().len() => {
                            *left -= piece.filled().len();
                            continue;
                        }
                        _ => End::Over,
                    }
                }
                End::NotYet | End::Over => End::Over,
            };
        }
    }
}

/// Where the last header line ends, if a blank line follows it. What lies before `searched` was looked at.
fn end_of_head(bytes: &[u8], searched: usize) -> Option<usize> {
    let ends = |at: &usize| bytes[*at..].starts_with(b"\n\n") || bytes[*at..].starts_with(b"\n\r\n");
    (searched..bytes.len()).find(ends).map(|at| at + 1)
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !matches!(this.end, End::NotYet) {
                // An end of what is read: whoever reads says goodbye to nobody then.
                return this.poll_end(context).map(Ok);
            }
            if this.is_answering(context) && this.held.is_empty() {
                if this.turn.is_upgraded() {
                    this.place.release();
                }
                return Pin::new(&mut this.stream).poll_read(context, buffer);
            }
            if !this.held.is_empty() && (this.is_whole || this.is_answering(context)) {
                let fits = this.held.len().min(buffer.remaining());
                buffer.put_slice(&this.held[..fits]);
                this.held.drain(..fits);
                if this.held.is_empty() {
                    this.held = Vec::new();
                }
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_head(context));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = ready!(Pin::new(&mut this.stream).poll_flush(context));
        this.settle(context);
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Live,
        transport::{budget::Budget, places::Places},
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const IDLE: Duration = Duration::from_secs(75);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    struct Fixture {
        places: Places,
        budget: Arc<Budget>,
        turn: Arc<Turn>,
    }

    impl Fixture {
        fn new() -> Self {
            Self { places: Places::new((100, 1), Live::default()), budget: Arc::default(), turn: Arc::default() }
        }

        fn connect(&self) -> (Heads<DuplexStream>, DuplexStream) {
            let (stream, peer) = duplex(64 << 10);
            let place = self.places.take(IpAddr::from([10, 0, 0, 1])).expect("a place");
            let hold = Hold::new(self.budget.clone(), place.address());
            (Heads::new(stream, (place, hold), (self.turn.clone(), IDLE)), peer)
        }
    }

    /// A request is read, answered, and the answer leaves.
    async fn exchange(fixture: &Fixture, (heads, peer): (&mut Heads<DuplexStream>, &mut DuplexStream)) {
        peer.write_all(REQUEST).await.expect("sent");
        let mut head = vec![0; REQUEST.len()];
        heads.read_exact(&mut head).await.expect("a whole head");
        assert_eq!(head, REQUEST);
        drop(fixture.turn.begin());
        heads.flush().await.expect("flushed");
    }

    /// Nothing comes, and then the end.
    async fn end(heads: &mut Heads<DuplexStream>) -> Duration {
        let begun = Instant::now();
        assert_eq!(heads.read(&mut [0; 64]).await.expect("an end"), 0);
        begun.elapsed()
    }

    async fn said(peer: &mut DuplexStream) -> String {
        let mut said = Vec::new();
        let mut piece = [0; 1_024];
        while let Ok(read @ 1..) = peer.read(&mut piece).await {
            said.extend_from_slice(&piece[..read]);
        }
        String::from_utf8(said).expect("text")
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_head_has_ten_seconds_and_a_connection_between_requests_has_its_own_time() {
        let fixture = Fixture::new();
        let (mut silent, _peer) = fixture.connect();
        assert!(!silent.first().await, "nothing was said");
        drop(silent);
        let (mut heads, mut peer) = fixture.connect();
        let begun = Instant::now();
        exchange(&fixture, (&mut heads, &mut peer)).await;
        for _ in 0..2 {
            // Longer than a first head may take.
            let mut nothing = [0; 64];
            let silent = tokio::time::timeout(IDLE - Duration::from_secs(1), heads.read(&mut nothing));
            assert!(silent.await.is_err(), "closed although it may be idle");
            exchange(&fixture, (&mut heads, &mut peer)).await;
        }
        assert!(begun.elapsed() > IDLE);
        assert_eq!(end(&mut heads).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_that_was_begun_has_ten_seconds_and_is_told_so() {
        let fixture = Fixture::new();
        let (mut heads, mut peer) = fixture.connect();
        exchange(&fixture, (&mut heads, &mut peer)).await;
        peer.write_all(b"GET /").await.expect("sent");
        let (took, said) = tokio::join!(end(&mut heads), async {
            let said = said(&mut peer).await;
            drop(peer);
            said
        });
        assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("head_too_slow"), "{said}");
        assert_eq!(took, HEADER_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_ends_in_time_is_handed_on_whole_however_it_is_cut() {
        for size in [1, 2, 3, 7, 4_096, HEAD_BYTES_MAX] {
            let fixture = Fixture::new();
            let (mut heads, mut peer) = fixture.connect();
            let padding = "x".repeat(HEAD_BYTES_MAX - REQUEST.len() - "X: \r\n".len());
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {padding}\r\n\r\n");
            assert_eq!(request.len(), HEAD_BYTES_MAX);
            let sending = async {
                for piece in request.as_bytes().chunks(size) {
                    peer.write_all(piece).await.expect("sent");
                    tokio::task::yield_now().await;
                }
            };
            assert!(tokio::join!(heads.first(), sending).0);
            assert_eq!(heads.held(), request.as_bytes());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_too_large_is_refused_with_a_sentence() {
        for (bytes, code) in [
            (vec![b'x'; HEAD_BYTES_MAX], "431 "),
            (vec![b'x'; 64 << 10], "431 "),
            (b"\r\n".repeat(HEAD_BYTES_MAX), "431 "),
            ([&b"GET / HTTP/1.1\r\n"[..], &b"a: b\r\n".repeat(HEAD_LINES_MAX + 1), b"\r\n"].concat(), "431 "),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "505 "),
        ] {
            let fixture = Fixture::new();
            let (mut heads, mut peer) = fixture.connect();
            let (has_asked, said) = tokio::join!(heads.first(), async {
                // The rest is taken in, so that this is read.
                peer.write_all(&bytes).await.expect("all of it");
                let said = said(&mut peer).await;
                drop(peer);
                said
            });
            assert!(!has_asked);
            assert!(said.starts_with(&format!("HTTP/1.1 {code}")) && said.contains(r#""message":""#), "{said}");
        }
        let fixture = Fixture::new();
        let (mut heads, mut peer) = fixture.connect();
        let most = [&b"GET / HTTP/1.1\r\n"[..], &b"a: b\r\n".repeat(HEAD_LINES_MAX), b"\r\n"].concat();
        peer.write_all(&most).await.expect("sent");
        assert!(heads.first().await, "as many lines as there may be");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_passes_through_and_the_next_head_is_counted_anew() {
        let fixture = Fixture::new();
        let (mut heads, mut peer) = fixture.connect();
        let body = vec![b'b'; 3 * HEAD_BYTES_MAX];
        for _ in 0..3 {
            peer.write_all(REQUEST).await.expect("sent");
            heads.read_exact(&mut vec![0; REQUEST.len()]).await.expect("a head");
            let busy = fixture.turn.begin();
            let mut got = vec![0; body.len()];
            let (sent, read) = tokio::join!(peer.write_all(&body), heads.read_exact(&mut got));
            assert_eq!((sent.is_ok(), read.is_ok(), got == body), (true, true, true));
            drop(busy);
            heads.flush().await.expect("flushed");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_gives_way_and_one_that_is_answered_does_not() {
        let fixture = Fixture::new();
        let (mut heads, mut peer) = fixture.connect();
        peer.write_all(REQUEST).await.expect("sent");
        assert!(heads.first().await);
        heads.read_exact(&mut vec![0; REQUEST.len()]).await.expect("a head");
        let busy = fixture.turn.begin();
        assert!(fixture.places.take(IpAddr::from([10, 0, 0, 1])).is_err(), "it is being answered");
        drop(busy);
        heads.flush().await.expect("flushed");
        let (took, other) = tokio::join!(end(&mut heads), async { fixture.places.take(IpAddr::from([10, 0, 0, 1])) });
        assert!(other.is_ok());
        assert_eq!(took, Duration::ZERO);
    }
}
