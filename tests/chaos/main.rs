//! A cluster keeps its promises while everything around it breaks.
//!
//! Real processes, a network between each two of them that can be cut in one direction or both ([`net`]), clients who
//! write, read, listen and resume at all nodes ([`load`]), one fault after the other ([`faults`]), and in the end the
//! whole history against what was promised ([`check`]). A fault that nobody noticed fails the run, too.
//!
//! `CARILLON_SEED` repeats a run, as far as the machine's timing does; `CARILLON_TEST_FAULT` takes only faults with this in
//! their names, `CARILLON_TEST_NODES` another number of nodes; `CARILLON_TEST_MINUTES` makes it a long one (`make chaos`).

mod board;
mod check;
mod disk;
mod faults;
mod gather;
mod history;
mod load;
mod net;
mod nodes;
mod profile;
mod run;
#[path = "../support/mod.rs"]
mod support;

use net::{Network, Switch};
use profile::Profile;

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks() {
    let mut profile = Profile::short();
    if let Some(part) = given("CARILLON_TEST_FAULT") {
        profile = profile.only(part);
    }
    if let Some(nodes) = number("CARILLON_TEST_NODES") {
        profile = profile.of_nodes(nodes);
    }
    if let Some(minutes) = number("CARILLON_TEST_MINUTES") {
        profile = profile.long(minutes);
    }
    let seed = seed();
    println!("to run it again: {}", profile.again(seed));
    // Before there is any other thread: each begins where this one is.
    let network = Network::new(Switch::enter());
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async { run::Run::new(seed, profile, network).await.go().await });
}

/// The seed that was given, else one from the clock.
fn seed() -> u64 {
    number("CARILLON_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        u64::from(now.subsec_nanos())
    })
}

fn number(name: &str) -> Option<u64> {
    given(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
