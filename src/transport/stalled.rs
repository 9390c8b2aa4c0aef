//! A stream whose writes fail when the peer takes nothing for a while.
//!
//! Who asks and never reads the answers would otherwise keep a place among the connections for as long as it likes.
//! Once a connection is a session its outbox sees to that; then this is taken off.

use crate::config::limits::HTTP_WRITE_TIMEOUT;
use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// See the module.
pub(super) struct Stalling<S> {
    stream: S,
    /// Runs while the peer takes nothing.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> Stalling<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, until: None }
    }

    /// The stream without its bound.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// What a write came to, or that it has waited too long.
    fn within<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let until = self.until.get_or_insert_with(|| Box::pin(sleep(HTTP_WRITE_TIMEOUT)));
        until.as_mut().poll(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalling<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalling<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.within(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.within(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.within(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_once_nothing_was_taken_for_as_long_as_the_bound_and_not_before() {
        let (stream, mut peer) = duplex(8);
        let mut stream = Stalling::new(stream);
        stream.write_all(&[0; 8]).await.expect("room");
        // Slow, but it reads: longer in all than the bound.
        let slow = async {
            for _ in 0..8 {
                tokio::time::sleep(HTTP_WRITE_TIMEOUT / 2).await;
                peer.read_exact(&mut [0]).await.expect("a byte");
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[0; 8]), slow);
        written.expect("taken byte by byte");
        let begun = tokio::time::Instant::now();
        let error = stream.write_all(&[0]).await.expect_err("no room");
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, HTTP_WRITE_TIMEOUT));
    }
}
