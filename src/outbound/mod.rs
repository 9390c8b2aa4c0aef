//! Calls that the server makes to others: one small client, for questions that are a GET and a short answer.
//!
//! It promises: a time and a size that no answer exceeds, no redirects, no proxy from the environment, few connections,
//! and errors in which nothing that was sent or received stands. It knows nothing of what it asks for. The connector
//! below it serves whoever sends or receives more than that.

mod client;
mod connector;
mod error;
mod pool;
#[cfg(test)]
mod tests;
mod trust;

pub use client::{Answer, Bounds, Client};
pub use connector::Connector;
pub use error::{CallError, TrustError};
