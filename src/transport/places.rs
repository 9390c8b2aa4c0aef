//! Places for connections that are not, or not yet, WebSockets: so many in total, so many from one address.
//!
//! Counted before a byte is read, so what counts is the peer, and not who stands behind it: a trusted proxy may have
//! all of them.

use super::caps::{counted_as, down, up};
use crate::config::Live;
use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    Total,
    Address,
}

/// The places of one listener.
pub(super) struct Places {
    total: Arc<Semaphore>,
    per_address: usize,
    exempt: Live<Vec<IpAddr>>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Held while the connection is served.
#[derive(Debug)]
pub(super) struct HttpPlace {
    /// `None`: of a trusted proxy.
    address: Option<IpAddr>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _one_of_all: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new((total, per_address): (usize, usize), exempt: Live<Vec<IpAddr>>) -> Self {
        let total = Arc::new(Semaphore::new(total));
        Self { total, per_address, exempt, taken: Arc::default() }
    }

    pub(super) fn take(&self, peer: IpAddr) -> Result<HttpPlace, NoPlace> {
        let one_of_all = self.total.clone().try_acquire_owned().map_err(|_| NoPlace::Total)?;
        let address = (!self.exempt.get().contains(&peer.to_canonical())).then(|| counted_as(peer));
        if let Some(address) = address
            && !up(&mut self.taken.lock(), address, self.per_address)
        {
            return Err(NoPlace::Address);
        }
        Ok(HttpPlace { address, taken: self.taken.clone(), _one_of_all: one_of_all })
    }
}

impl Drop for HttpPlace {
    fn drop(&mut self) {
        if let Some(address) = &self.address {
            down(&mut self.taken.lock(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_its_share_and_a_trusted_proxy_all_there_are() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let places = Places::new((4_096, 2), Live::new(vec![ip("10.0.0.9")]));
        let held: Vec<_> = (0..2).map(|_| places.take(ip("10.0.0.1")).expect("a place")).collect();
        assert_eq!(places.take(ip("::ffff:10.0.0.1")).err(), Some(NoPlace::Address));
        assert!(places.take(ip("10.0.0.2")).is_ok());
        let of_proxy: Vec<_> = (2..4_096).map(|_| places.take(ip("::ffff:10.0.0.9"))).collect();
        assert!(of_proxy.iter().all(Result::is_ok));
        assert_eq!(places.take(ip("10.0.0.2")).err(), Some(NoPlace::Total));
        drop(held);
        assert!(places.take(ip("10.0.0.1")).is_ok());
        drop(of_proxy);
        assert!(places.taken.lock().is_empty());
    }
}
