//! A port that stays while the server moves: forwards bytes both ways, and cuts connections off where they are.

use super::Random;
use parking_lot::Mutex;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// Ends when it is dropped.
pub struct Forwarder {
    /// Where it listens.
    pub address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    cuts: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Forwarder {
    /// Forwards to `to`, and cuts each connection after some bytes to the client: mostly few, at most 128 KiB.
    pub async fn start(to: SocketAddr, mut random: Random) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (to, cuts) = (Arc::new(Mutex::new(to)), Arc::new(AtomicU64::new(0)));
        let (target, count) = (to.clone(), cuts.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, count) = (*target.lock(), count.clone());
                let bits = 9 + random.below(9);
                let budget = random.below(1 << bits);
                tokio::spawn(async move {
                    // Nobody listens: the client's connection ends, as it would there.
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::select! {
                        () = copy(from_client, to_server, u64::MAX) => {}
                        () = copy(from_server, to_client, budget) => { count.fetch_add(1, Ordering::AcqRel); }
                    }
                });
            }
        });
        Self { address, to, cuts, accepting }
    }

    /// The server has moved.
    pub fn set_target(&self, to: SocketAddr) {
        *self.to.lock() = to;
    }

    /// Connections that ended on the way to the client.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Acquire)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut budget: u64) {
    let mut buffer = [0; 4_096];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let takes = usize::try_from(budget).unwrap_or(usize::MAX).min(read);
        if to.write_all(&buffer[..takes]).await.is_err() || takes < read {
            return;
        }
        budget -= takes as u64;
    }
}
