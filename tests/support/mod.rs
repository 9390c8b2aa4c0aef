//! The harness of the tests that run the real program: a server process, clients, and nothing of its insides.
//!
//! It knows what a deployment knows: the command line, the environment, HTTP, WebSockets, signals, the data
//! directory. The library serves only to sign tokens. No test sleeps to wait: a start is waited for by the line that
//! the server prints, an event by a marker that is sent after it and must come after it ([`Socket::until_marker`]).
//!
//! [`server`]: the process · [`program`]: its other commands · [`api`]: HTTP · [`socket`], [`v1`]: WebSockets · [`user`]: who, and tokens · [`inbox`]: counting
//! what is stored · [`random`]: numbers from a seed · [`frames`]: comparing · [`forwarder`]: a line that can be
//! cut · [`python`]: packages · [`v1_client`]: the client in Python.

// Each test program uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod api;
pub mod forwarder;
pub mod frames;
pub mod inbox;
pub mod ports;
pub mod program;
pub mod python;
pub mod random;
pub mod server;
pub mod shim;
pub mod socket;
pub mod user;
pub mod v1;
pub mod v1_client;

pub use api::{Answer, Api};
pub use forwarder::Forwarder;
pub use random::Random;
pub use server::{Ended, Options, Server};
pub use socket::Socket;
pub use user::{ALICE, BOB, ROOT, User};
pub use v1::V1Socket;
pub use v1_client::V1Client;

use std::time::Duration;

/// The six endpoints.
pub const PATHS: [&str; 6] = [
    "/ws/dashboard/",
    "/ws/dashboard/admin/",
    "/ws/subscriptions/",
    "/ws/subscriptions/admin/",
    "/ws/notifications/",
    "/ws/presence/",
];

/// Longer than anything here takes, on a busy machine too; only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something, asking again and again. For states that nothing announces.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}
