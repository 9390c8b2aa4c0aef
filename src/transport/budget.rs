//! What unfinished request heads hold together: bounded in all and for each address, and counted.

use super::{caps::down_by, metrics::Meters};
use crate::config::limits::{HEAD_BYTES_FREE, HEADS_BYTES_MAX, HEADS_BYTES_PER_ADDRESS};
use parking_lot::Mutex;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// The bytes of one listener.
#[derive(Default)]
pub(super) struct Budget {
    taken: Mutex<Taken>,
    meters: Meters,
}

#[derive(Default)]
struct Taken {
    total: usize,
    addresses: HashMap<IpAddr, usize>,
}

/// Which bound was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    All,
    Address,
}

/// What one connection holds.
pub(super) struct Hold {
    budget: Arc<Budget>,
    /// `None`: a trusted proxy.
    address: Option<IpAddr>,
    /// Counted for the metric.
    bytes: usize,
    /// Taken from the budget: all but the first [`HEAD_BYTES_FREE`], which every connection may have.
    charged: usize,
}

impl Hold {
    pub(super) fn new(budget: Arc<Budget>, address: Option<IpAddr>) -> Self {
        Self { budget, address, bytes: 0, charged: 0 }
    }

    /// So many bytes are held from now on.
    pub(super) fn set(&mut self, bytes: usize) -> Result<(), Spent> {
        let charge = bytes.saturating_sub(HEAD_BYTES_FREE);
        if charge > self.charged {
            self.budget.taken.lock().take(charge - self.charged, self.address)?;
        } else if charge < self.charged {
            self.budget.taken.lock().give_back(self.charged - charge, self.address);
        }
        self.charged = charge;
        if bytes != self.bytes {
            self.budget.meters.head_bytes.increment(bytes as f64 - self.bytes as f64);
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Nothing is held any more.
    pub(super) fn clear(&mut self) {
        // Giving back never fails.
        let _ = self.set(0);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Taken {
    fn take(&mut self, bytes: usize, address: Option<IpAddr>) -> Result<(), Spent> {
        if self.total + bytes > HEADS_BYTES_MAX {
            return Err(Spent::All);
        }
        if let Some(address) = address {
            let of_address = self.addresses.entry(address).or_default();
            if *of_address + bytes > HEADS_BYTES_PER_ADDRESS {
                return Err(Spent::Address);
            }
            *of_address += bytes;
        }
        self.total += bytes;
        Ok(())
    }

    fn give_back(&mut self, bytes: usize, address: Option<IpAddr>) {
        self.total -= bytes;
        if let Some(address) = address {
            down_by(&mut self.addresses, &address, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::limits::HEAD_BYTES_MAX;

    #[test]
    fn all_heads_and_those_of_one_address_are_bounded_and_the_first_bytes_are_free() {
        let budget = Arc::new(Budget::default());
        let hold = |last: u8| Hold::new(budget.clone(), (last > 0).then(|| IpAddr::from([10, 0, 0, last])));
        let fill = |last: u8| {
            let mut holds = Vec::new();
            let spent = loop {
                let mut next = hold(last);
                match next.set(HEAD_BYTES_MAX) {
                    Ok(()) => holds.push(next),
                    Err(spent) => break spent,
                }
            };
            (holds, spent)
        };
        let (first, spent) = fill(1);
        let charge = HEAD_BYTES_MAX - HEAD_BYTES_FREE;
        assert_eq!((first.len(), spent), (HEADS_BYTES_PER_ADDRESS / charge, Spent::Address));
        hold(1).set(HEAD_BYTES_FREE).expect("free");
        let (proxy, spent) = fill(0);
        assert_eq!((proxy.len() + first.len(), spent), (HEADS_BYTES_MAX / charge, Spent::All));
        hold(2).set(HEAD_BYTES_FREE).expect("free");
        drop((first, proxy));
        let taken = budget.taken.lock();
        assert_eq!((taken.total, taken.addresses.len()), (0, 0));
    }
}
