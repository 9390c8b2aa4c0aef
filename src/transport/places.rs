//! Places for connections that are not, or not yet, WebSockets: so many in total, so many from one address.
//!
//! A place is taken before a byte is read, so the peer's own address counts, not the address behind a proxy. A trusted
//! proxy may have all places.
//!
//! When places are short, a connection that waits gives way to a new one: first those that sent nothing since their
//! last answer (or nothing at all), the longest silent first; when the listener as a whole is full, also those whose
//! request is unfinished. A connection whose request is being answered never gives way.

use super::caps::{counted_as, down, up};
use crate::config::Live;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    Total,
    Address,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The first byte of a request.
    ForRequest,
    /// The rest of a request's head.
    ForRest,
}

/// The places of one listener.
pub(super) struct Places {
    bounds: (usize, usize),
    exempt: Live<Vec<IpAddr>>,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    addresses: HashMap<IpAddr, usize>,
    for_request: Queue,
    for_rest: Queue,
    next: u64,
}

/// Connections that wait, by address, the longest waiting first.
type Queue = HashMap<IpAddr, BTreeMap<u64, Arc<Seat>>>;

struct Seat {
    address: IpAddr,
    /// A trusted proxy: not held to the share of one address.
    is_exempt: bool,
    must_go: AtomicBool,
    told: AtomicWaker,
}

/// Held while the connection is served.
pub(super) struct HttpPlace {
    seat: Arc<Seat>,
    taken: Arc<Mutex<Taken>>,
    waits: Option<(Waiting, u64)>,
    is_released: bool,
}

impl Places {
    /// `bounds`: how many in total, and from one address.
    pub(super) fn new(bounds: (usize, usize), exempt: Live<Vec<IpAddr>>) -> Self {
        Self { bounds, exempt, taken: Arc::default() }
    }

    /// Whether the share of one address does not count for this peer.
    pub(super) fn is_exempt(&self, peer: IpAddr) -> bool {
        self.exempt.get().contains(&peer.to_canonical())
    }

    pub(super) fn take(&self, peer: IpAddr) -> Result<HttpPlace, NoPlace> {
        let (address, is_exempt) = (counted_as(peer), self.is_exempt(peer));
        let (total, per_address) = self.bounds;
        let mut taken = self.taken.lock();
        if !is_exempt
            && taken.addresses.get(&address).is_some_and(|count| *count >= per_address)
            && !taken.make_room_of(address)
        {
            return Err(NoPlace::Address);
        }
        if taken.total >= total && !taken.make_room() {
            return Err(NoPlace::Total);
        }
        if !is_exempt && !up(&mut taken.addresses, address, per_address) {
            return Err(NoPlace::Address);
        }
        taken.total += 1;
        let seat = Arc::new(Seat { address, is_exempt, must_go: AtomicBool::new(false), told: AtomicWaker::new() });
        drop(taken);
        let mut place = HttpPlace { seat, taken: self.taken.clone(), waits: None, is_released: false };
        place.waits_for(Some(Waiting::ForRequest));
        Ok(place)
    }
}

impl Taken {
    fn queue(&mut self, waiting: Waiting) -> &mut Queue {
        match waiting {
            Waiting::ForRequest => &mut self.for_request,
            Waiting::ForRest => &mut self.for_rest,
        }
    }

    /// Sends the longest silent connection of this address away.
    fn make_room_of(&mut self, address: IpAddr) -> bool {
        let seat = pop(&mut self.for_request, address);
        self.send_away(seat)
    }

    /// Sends a connection of the address away that has the most of them waiting.
    fn make_room(&mut self) -> bool {
        let most = |queue: &Queue| queue.iter().max_by_key(|(_, seats)| seats.len()).map(|(address, _)| *address);
        let silent = most(&self.for_request).and_then(|address| pop(&mut self.for_request, address));
        let seat = silent.or_else(|| most(&self.for_rest).and_then(|address| pop(&mut self.for_rest, address)));
        self.send_away(seat)
    }

    /// Its place is free from now on; the connection itself is closed in a moment.
    fn send_away(&mut self, seat: Option<Arc<Seat>>) -> bool {
        let Some(seat) = seat else { return false };
        self.give_back(&seat);
        seat.must_go.store(true, Ordering::Release);
        seat.told.wake();
        true
    }

    fn give_back(&mut self, seat: &Seat) {
        self.total -= 1;
        if !seat.is_exempt {
            down(&mut self.addresses, &seat.address);
        }
    }
}

/// The longest waiting of an address.
fn pop(queue: &mut Queue, address: IpAddr) -> Option<Arc<Seat>> {
    let seats = queue.get_mut(&address)?;
    let (_, seat) = seats.pop_first()?;
    if seats.is_empty() {
        queue.remove(&address);
    }
    Some(seat)
}

impl HttpPlace {
    /// What the connection waits for from now on; `None`: its request is being answered.
    pub(super) fn waits_for(&mut self, waiting: Option<Waiting>) {
        if self.is_released || self.waits.map(|(waiting, _)| waiting) == waiting || self.seat.must_go.load(Ordering::Acquire) {
            return;
        }
        let taken = self.taken.clone();
        let mut taken = taken.lock();
        if self.seat.must_go.load(Ordering::Acquire) {
            return;
        }
        self.leave_queue(&mut taken);
        let Some(waiting) = waiting else { return };
        taken.next += 1;
        let nth = taken.next;
        taken.queue(waiting).entry(self.seat.address).or_default().insert(nth, self.seat.clone());
        self.waits = Some((waiting, nth));
    }

    fn leave_queue(&mut self, taken: &mut Taken) {
        let Some((waiting, nth)) = self.waits.take() else { return };
        let queue = taken.queue(waiting);
        if let Some(seats) = queue.get_mut(&self.seat.address) {
            seats.remove(&nth);
            if seats.is_empty() {
                queue.remove(&self.seat.address);
            }
        }
    }

    /// Ready once the connection has given way to another.
    pub(super) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.seat.told.register(context.waker());
        if self.seat.must_go.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The address that shares are counted by; `None` for a trusted proxy.
    pub(super) fn address(&self) -> Option<IpAddr> {
        (!self.seat.is_exempt).then_some(self.seat.address)
    }
}

impl HttpPlace {
    /// Gives the place back before the connection ends: it does not speak HTTP any more.
    pub(super) fn release(&mut self) {
        if std::mem::replace(&mut self.is_released, true) {
            return;
        }
        let taken = self.taken.clone();
        let mut taken = taken.lock();
        // One that was sent away has given it back.
        if !self.seat.must_go.load(Ordering::Acquire) {
            self.leave_queue(&mut taken);
            taken.give_back(&self.seat);
        }
    }
}

impl Drop for HttpPlace {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn busy(places: &Places, address: &str) -> Result<HttpPlace, NoPlace> {
        let mut place = places.take(ip(address))?;
        place.waits_for(None);
        Ok(place)
    }

    fn is_gone(place: &HttpPlace) -> bool {
        place.poll_gone(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn one_address_has_its_share_and_a_trusted_proxy_all_there_are() {
        let places = Places::new((4_096, 2), Live::new(vec![ip("10.0.0.9")]));
        let held: Vec<_> = (0..2).map(|_| busy(&places, "10.0.0.1").expect("a place")).collect();
        assert_eq!(places.take(ip("::ffff:10.0.0.1")).err(), Some(NoPlace::Address));
        assert!(places.take(ip("10.0.0.2")).is_ok());
        let of_proxy: Vec<_> = (2..4_096).map(|_| busy(&places, "::ffff:10.0.0.9")).collect();
        assert!(of_proxy.iter().all(Result::is_ok));
        assert_eq!(places.take(ip("10.0.0.2")).err(), Some(NoPlace::Total));
        drop(held);
        assert!(places.take(ip("10.0.0.1")).is_ok());
        drop(of_proxy);
        let taken = places.taken.lock();
        assert_eq!((taken.total, taken.addresses.len(), taken.for_request.len()), (0, 0, 0));
    }

    #[test]
    fn the_longest_silent_connection_of_an_address_gives_way_to_its_next_one() {
        let places = Places::new((100, 3), Live::default());
        let mut three: Vec<_> = (0..3).map(|_| places.take(ip("10.0.0.1")).expect("a place")).collect();
        // The first has asked and been answered since, so the second has been silent for longest.
        three[0].waits_for(None);
        three[0].waits_for(Some(Waiting::ForRequest));
        three[2].waits_for(Some(Waiting::ForRest));
        let stranger = places.take(ip("10.0.0.2")).expect("a place");
        let fourth = busy(&places, "10.0.0.1").expect("the second's");
        assert_eq!(three.iter().map(is_gone).collect::<Vec<_>>(), [false, true, false]);
        let fifth = busy(&places, "10.0.0.1").expect("the first's");
        assert_eq!(three.iter().map(is_gone).collect::<Vec<_>>(), [true, true, false]);
        // What is left sends a request or has one answered.
        assert_eq!(busy(&places, "10.0.0.1").err(), Some(NoPlace::Address));
        assert!(!is_gone(&stranger));
        drop((three, stranger, fourth, fifth));
        let taken = places.taken.lock();
        assert_eq!((taken.total, taken.addresses.len()), (0, 0));
        assert_eq!((taken.for_request.len(), taken.for_rest.len()), (0, 0));
    }

    #[test]
    fn a_full_listener_takes_from_the_address_with_the_most_that_waits() {
        let places = Places::new((5, 4), Live::default());
        let honest = places.take(ip("10.0.0.1")).expect("a place");
        let crowd: Vec<_> = (0..3).map(|_| places.take(ip("10.0.0.2")).expect("a place")).collect();
        let mut slow = places.take(ip("10.0.0.3")).expect("a place");
        slow.waits_for(Some(Waiting::ForRest));
        let held: Vec<_> = (0..2).map(|_| busy(&places, "10.0.0.4").expect("of the crowd")).collect();
        assert_eq!(crowd.iter().map(is_gone).collect::<Vec<_>>(), [true, true, false]);
        assert!(!is_gone(&honest) && !is_gone(&slow));
        let more: Vec<_> = (0..3).map(|_| busy(&places, "10.0.0.5").expect("the rest's")).collect();
        assert!(is_gone(&honest) && is_gone(&slow));
        assert_eq!(busy(&places, "10.0.0.1").err(), Some(NoPlace::Total));
        drop((honest, crowd, slow, held, more));
        assert_eq!(places.taken.lock().total, 0);
    }
}
