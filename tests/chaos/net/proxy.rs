//! Where one node finds another: accepts, dials on, and carries bytes both ways along the lanes of the two.

use super::lane::Lane;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// For connections that one node makes to another. Ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    resets: watch::Sender<u64>,
    broken: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

struct Way {
    target: SocketAddr,
    there: Arc<Lane>,
    back: Arc<Lane>,
    resets: watch::Receiver<u64>,
    broken: Arc<AtomicU64>,
}

impl Proxy {
    pub async fn start((at, target): (IpAddr, SocketAddr), (there, back): (Arc<Lane>, Arc<Lane>)) -> Self {
        let listener = TcpListener::bind((at, 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (resets, broken) = (watch::Sender::new(0), Arc::new(AtomicU64::new(0)));
        let (sender, count) = (resets.clone(), broken.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (there, back, broken) = (there.clone(), back.clone(), count.clone());
                tokio::spawn(Way { target, there, back, resets: sender.subscribe(), broken }.run(stream));
            }
        });
        Self { address, resets, broken, accepting }
    }

    /// Ends every connection at once, with an RST to both ends.
    pub fn reset(&self) {
        self.resets.send_modify(|count| *count += 1);
    }

    /// Connections that were ended by [`Self::reset`].
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Way {
    async fn run(mut self, mut dialler: TcpStream) {
        // It takes both directions to connect. The dialler believes that it is: the kernel has accepted for us.
        self.there.opened().await;
        self.back.opened().await;
        let Ok(mut target) = TcpStream::connect(self.target).await else { return };
        for stream in [&dialler, &target] {
            // A connection that has ended already says so when it is read.
            let _ = stream.set_nodelay(true);
        }
        let is_reset = {
            let (from_dialler, to_dialler) = dialler.split();
            let (from_target, to_target) = target.split();
            tokio::select! {
                () = self.there.carry(from_dialler, to_target, &self.back) => false,
                () = self.back.carry(from_target, to_dialler, &self.there) => false,
                reset = self.resets.changed() => reset.is_ok(),
            }
        };
        if is_reset {
            self.broken.fetch_add(1, Ordering::AcqRel);
            for stream in [&dialler, &target] {
                let _ = stream.set_zero_linger();
            }
        }
    }
}
