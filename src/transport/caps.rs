//! Who may have how many WebSockets: in total, from one address, of one user.
//!
//! A place is given back when its [`Place`] is dropped, whatever happened in between.

use crate::{
    config::{Limits, Live},
    protocol::{Tenant, UserId},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// Which bound was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The node is full: 503.
    #[error("this server has all the connections it can hold; come back later")]
    Total,
    /// 429
    #[error("too many connections from this address; close some first")]
    Address,
    /// 429
    #[error("too many connections of this user; close some first")]
    User,
}

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caps {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bounds: Live<Bounds>,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Bounds {
    total: usize,
    per_address: usize,
    per_user: usize,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    addresses: HashMap<IpAddr, usize>,
    users: HashMap<(Tenant, UserId), usize>,
}

/// One place, held while the connection lives.
#[derive(Debug)]
pub struct Place {
    inner: Arc<Inner>,
    address: IpAddr,
    /// `None` until the user is known.
    user: Option<(Tenant, UserId)>,
}

impl Caps {
    /// No place is taken.
    pub fn new(limits: &Limits) -> Self {
        Self { inner: Arc::new(Inner { bounds: Live::new(Bounds::of(limits)), taken: Mutex::default() }) }
    }

    /// Other bounds from now on. Whoever has a place keeps it, also where there are more than there may be now.
    pub fn set_limits(&self, limits: &Limits) {
        self.inner.bounds.set(Bounds::of(limits));
    }

    /// A place for a connection from `address` whose user is not known yet.
    ///
    /// # Errors
    /// When the node or the address is full.
    pub fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let address = counted_as(address);
        let bounds = self.inner.bounds.get();
        let mut taken = self.inner.taken.lock();
        if taken.total >= bounds.total {
            return Err(Full::Total);
        }
        if !up(&mut taken.addresses, address, bounds.per_address) {
            return Err(Full::Address);
        }
        taken.total += 1;
        Ok(Place { inner: self.inner.clone(), address, user: None })
    }
}

impl Bounds {
    fn of(limits: &Limits) -> Self {
        Self {
            total: limits.connections_total,
            per_address: limits.connections_per_address,
            per_user: limits.connections_per_user,
        }
    }
}

impl Place {
    /// The user is known now.
    ///
    /// # Errors
    /// When the user has all connections a user may have.
    pub fn claim(&mut self, tenant: &Tenant, user: &UserId) -> Result<(), Full> {
        let user = (tenant.clone(), user.clone());
        let per_user = self.inner.bounds.get().per_user;
        if !up(&mut self.inner.taken.lock().users, user.clone(), per_user) {
            return Err(Full::User);
        }
        self.user = Some(user);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.inner.taken.lock();
        taken.total -= 1;
        down(&mut taken.addresses, &self.address);
        if let Some(user) = &self.user {
            down(&mut taken.users, user);
        }
    }
}

/// One customer has a whole /64 of IPv6, so that is what counts as an address.
pub(super) fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

pub(super) fn up<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, most: usize) -> bool {
    let count = counts.entry(key).or_default();
    let fits = *count < most;
    *count += usize::from(fits);
    // A bound of 0 must not leave entries behind for everybody who tries.
    if *count == 0 {
        counts.retain(|_, count| *count > 0);
    }
    fits
}

pub(super) fn down<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    down_by(counts, key, 1);
}

pub(super) fn down_by<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K, by: usize) {
    if let Some(count) = counts.get_mut(key) {
        *count -= by;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(total: usize, per_address: usize, per_user: usize) -> Caps {
        let limits = Limits {
            connections_total: total,
            connections_per_address: per_address,
            connections_per_user: per_user,
            ..Limits::default()
        };
        Caps::new(&limits)
    }

    fn ip(s: &str) -> IpAddr {
        s.parse().expect("an address")
    }

    #[test]
    fn each_bound_holds_and_a_place_comes_back_when_it_is_dropped() {
        let (tenant, user) = (Tenant::default(), UserId::new("1").expect("an id"));
        let caps = caps(3, 2, 1);
        let mut a = caps.take(ip("10.0.0.1")).expect("first");
        let b = caps.take(ip("10.0.0.1")).expect("second");
        assert_eq!(caps.take(ip("::ffff:10.0.0.1")).err(), Some(Full::Address));
        let mut c = caps.take(ip("2001:db8::1")).expect("third");
        assert_eq!(caps.take(ip("10.0.0.9")).err(), Some(Full::Total));
        a.claim(&tenant, &user).expect("one connection of the user");
        assert_eq!(c.claim(&tenant, &user), Err(Full::User));
        drop(a);
        c.claim(&tenant, &user).expect("there is room again");
        drop((b, c));
        let taken = caps.inner.taken.lock();
        assert_eq!((taken.total, taken.addresses.len(), taken.users.len()), (0, 0, 0));
    }

    #[test]
    fn other_bounds_count_from_now_on_and_end_nobody() {
        let caps = caps(10, 2, 10);
        let places = [caps.take(ip("10.0.0.1")), caps.take(ip("10.0.0.1"))];
        assert!(places.iter().all(Result::is_ok));
        caps.set_limits(&Limits { connections_total: 10, connections_per_address: 1, ..Limits::default() });
        drop(places);
        let _place = caps.take(ip("10.0.0.1")).expect("there is room again");
        assert_eq!(caps.take(ip("10.0.0.1")).err(), Some(Full::Address));
        caps.set_limits(&Limits { connections_total: 1, ..Limits::default() });
        assert_eq!(caps.take(ip("10.0.0.2")).err(), Some(Full::Total));
    }

    #[test]
    fn a_bound_of_zero_lets_nobody_in_and_remembers_nobody() {
        let caps = caps(10, 0, 0);
        assert_eq!(caps.take(ip("10.0.0.1")).err(), Some(Full::Address));
        assert!(caps.inner.taken.lock().addresses.is_empty());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_address() {
        let caps = caps(10, 1, 1);
        let _place = caps.take(ip("2001:db8::1")).expect("first");
        assert_eq!(caps.take(ip("2001:db8::2")).err(), Some(Full::Address));
        assert!(caps.take(ip("2001:db8:0:1::1")).is_ok());
    }
}
