//! One direction between two nodes: whether, when and how fast bytes get through.
//!
//! A closed lane is a network that loses every packet: what was sent waits, as in a sender's kernel, and arrives when the
//! lane opens again, if the connection still lives; its end is not heard of before, either.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::tcp::{ReadHalf, WriteHalf},
    sync::{mpsc, watch},
    time::Instant,
};

/// Pieces that wait on one connection, at most; beyond that nothing is read, and TCP slows the sender down.
const PIECES_MAX: usize = 64;
const PIECE_BYTES: usize = 16 << 10;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    pub is_open: bool,
    pub delay: Duration,
    pub bytes_per_second: Option<u64>,
}

impl Default for Flow {
    fn default() -> Self {
        Self { is_open: true, delay: Duration::ZERO, bytes_per_second: None }
    }
}

/// All connections share it, whoever of the two has dialled.
#[derive(Debug, Default)]
pub struct Lane {
    flow: watch::Sender<Flow>,
    held: AtomicU64,
    slowed: AtomicU64,
}

impl Lane {
    pub fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// Pieces, and attempts to connect, that came to a closed lane.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Acquire)
    }

    /// Pieces that were delayed or throttled.
    pub fn slowed(&self) -> u64 {
        self.slowed.load(Ordering::Acquire)
    }

    /// Waits until bytes get through.
    pub async fn opened(&self) {
        if !self.flow.borrow().is_open {
            self.held.fetch_add(1, Ordering::AcqRel);
            let mut flow = self.flow.subscribe();
            // The lane outlives whoever waits.
            let _ = flow.wait_for(|flow| flow.is_open).await;
        }
    }

    /// Carries what one end sends to the other until there is no more, or nobody takes it; `back` is the other direction.
    pub async fn carry(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, back: &Self) {
        let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
        let reading = async move {
            let mut buffer = vec![0; PIECE_BYTES];
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                if queue.send((Instant::now(), buffer[..read].to_vec())).await.is_err() {
                    break;
                }
            }
            drop(queue);
            std::future::pending::<()>().await;
        };
        let writing = async move {
            while let Some((came, bytes)) = queued.recv().await {
                self.let_through(came, bytes.len()).await;
                if to.write_all(&bytes).await.is_err() {
                    // That nobody takes it is heard of only by way of the other direction.
                    return back.opened().await;
                }
            }
            self.opened().await;
            let _ = to.shutdown().await;
        };
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
    }

    async fn let_through(&self, came: Instant, bytes: usize) {
        self.opened().await;
        let flow = *self.flow.borrow();
        if flow == Flow::default() {
            return;
        }
        self.slowed.fetch_add(1, Ordering::AcqRel);
        tokio::time::sleep_until(came + flow.delay).await;
        if let Some(rate) = flow.bytes_per_second {
            tokio::time::sleep(Duration::from_secs(bytes as u64) / u32::try_from(rate).expect("a rate")).await;
        }
        self.opened().await;
    }
}
