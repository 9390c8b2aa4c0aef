//! The server API against the real program: what it answers, whom it lets in, what it refuses and how it says so.

mod access;
mod bad_input;
mod batch;
mod http;
mod inbox;
mod limits;
mod people;
mod retries;
mod sending;
#[path = "../support/mod.rs"]
mod support;
