//! The harness of the tests that run the real program: a server process, clients, and nothing of its insides.
//!
//! It knows what a deployment knows: the command line, the environment, HTTP, WebSockets, signals, the data
//! directory. The library serves only to sign tokens. No test sleeps to wait: a start is waited for by the line that
//! the server prints, an event by a marker that is sent after it and must come after it ([`Socket::until_marker`]).
//!
//! [`server`]: the process · [`api`]: HTTP · [`socket`]: WebSockets · [`user`]: who, and tokens · [`inbox`]: counting
//! what is stored · [`random`]: numbers from a seed · [`frames`]: comparing · [`python`]: packages.

// Each test program uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod api;
pub mod frames;
pub mod inbox;
pub mod python;
pub mod random;
pub mod server;
pub mod socket;
pub mod user;

pub use api::{Answer, Api};
pub use random::Random;
pub use server::{Ended, Options, Server};
pub use socket::Socket;
pub use user::{ALICE, BOB, ROOT, User};

use std::time::Duration;

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
