//! Three nodes act as one: real processes, real links between them, kills and pauses.
//!
//! Every test has a cluster of its own. They run one after the other: on a small machine nine busy processes would be
//! what is tested.

mod balancers;
mod behind;
mod catching_up;
mod clocks;
mod example;
mod failover;
mod forming;
mod groups;
mod harness;
mod members;
mod recovery;
mod refusals;
mod riding_out;
mod rolling;
mod standing;
#[path = "../support/mod.rs"]
mod support;
mod writers;
