//! Places among the handshakes that are worked on at once: so many in all, and a share of them for each address.
//!
//! A place is held while the server works, not while it waits for the peer: it is taken when a whole request (or a whole
//! TLS `ClientHello`) is there. An address that has its share waits in a queue of its own.

use crate::config::limits::{HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS};
use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one listener.
pub(super) struct Handshakes {
    all: Arc<Semaphore>,
    shares: Shares,
}

type Shares = Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>;

/// One place.
pub(super) struct HandshakePlace {
    _one_of_all: OwnedSemaphorePermit,
    _one_of_share: Option<OwnedSemaphorePermit>,
    // Dropped last: it forgets an address that has no place and waits for none.
    _share: Option<Share>,
}

/// An address that has a place or waits for one.
struct Share {
    shares: Shares,
    address: IpAddr,
    places: Option<Arc<Semaphore>>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(HANDSHAKES_MAX)), shares: Arc::default() }
    }
}

impl Handshakes {
    /// Waits for a place. `None` as the address: a trusted proxy, which has no share but all of them.
    pub(super) async fn take(&self, address: Option<IpAddr>) -> Option<HandshakePlace> {
        let share = address.map(|address| Share::of(&self.shares, address));
        let one_of_share = match share.as_ref().and_then(|share| share.places.clone()) {
            // The semaphores are never closed.
            Some(places) => Some(places.acquire_owned().await.ok()?),
            None => None,
        };
        let one_of_all = self.all.clone().acquire_owned().await.ok()?;
        Some(HandshakePlace { _one_of_all: one_of_all, _one_of_share: one_of_share, _share: share })
    }
}

impl Share {
    fn of(shares: &Shares, address: IpAddr) -> Self {
        let fresh = || Arc::new(Semaphore::new(HANDSHAKES_PER_ADDRESS));
        let places = shares.lock().entry(address).or_insert_with(fresh).clone();
        Self { shares: shares.clone(), address, places: Some(places) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.shares.lock();
        self.places = None;
        if shares.get(&self.address).is_some_and(|places| Arc::strong_count(places) == 1) {
            shares.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn an_address_has_its_share_and_leaves_the_rest_to_others() {
        let handshakes = Handshakes::default();
        let ip = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
        let mut held: Vec<_> = (0..HANDSHAKES_PER_ADDRESS)
            .map(|_| handshakes.take(ip("10.0.0.1")).now_or_never().expect("at once"))
            .collect();
        let mut waits = Box::pin(handshakes.take(ip("10.0.0.1")));
        assert!(waits.as_mut().now_or_never().is_none(), "more than its share");
        let other = handshakes.take(ip("10.0.0.2")).now_or_never().expect("another address");
        let of_proxy: Vec<_> = (0..HANDSHAKES_MAX - HANDSHAKES_PER_ADDRESS - 1)
            .map(|_| handshakes.take(None).now_or_never().expect("a trusted proxy has no share"))
            .collect();
        assert!(handshakes.take(None).now_or_never().is_none(), "all are taken");
        held.pop();
        assert!(waits.as_mut().now_or_never().is_some(), "a place of its share is free again");
        drop((waits, held, other, of_proxy));
        assert!(handshakes.shares.lock().is_empty());
        assert_eq!(handshakes.all.available_permits(), HANDSHAKES_MAX);
    }
}
