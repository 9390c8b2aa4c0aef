//! A stream of calls, against the real program: order, answers, bounds, ends; and nothing twice, whatever is killed.

mod client;
mod crash;
mod door;
mod ends;
mod example;
mod order;
#[path = "../support/mod.rs"]
mod support;
mod window;
