//! Addresses for servers that others must know before they listen.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ports that the system gives to whoever connects: between choosing one and listening, nobody else gets it.
const FIRST: u16 = 12_000;
/// See [`FIRST`].
const COUNT: u16 = 18_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Addresses that nobody listens on, and that no other call has given out.
pub fn free_addresses(count: usize) -> Vec<String> {
    // Processes that run beside each other begin at places of their own.
    let begin = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    let candidates = std::iter::repeat_with(|| {
        let at = (begin + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(COUNT);
        format!("127.0.0.1:{}", u32::from(FIRST) + at)
    });
    candidates.take(usize::from(COUNT)).filter(|address| TcpListener::bind(address).is_ok()).take(count).collect()
}
