//! Resuming loses nothing, shows nothing twice and turns nothing around.
//!
//! [`run`]: clients of all six endpoints are cut off at random under load and resume, while the server is killed, drained
//! and restarted, and snapshots are cut. What each of them was told in the end is held against three things that know
//! nothing of resuming: what backends were answered ([`load`]) and the API shows ([`oracle`]), what undisturbed
//! clients saw in between, and what everybody else was told.
//!
//! `CARILLON_SEED` repeats a run, as far as the machine's timing does; `CARILLON_TEST_RESUMES` says how many resumes it
//! takes. [`edges`]: one case at a time. [`python`]: the client in `tests/v1_client`.

mod board;
mod client;
mod edges;
mod events;
mod load;
mod oracle;
mod python;
mod run;
#[path = "../support/mod.rs"]
mod support;
mod visitors;

/// Resumes of the normal run.
const RESUMES: u64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_cut_off_at_random_resumes_and_misses_nothing() {
    let resumes = given("CARILLON_TEST_RESUMES").unwrap_or(RESUMES);
    run::Run::new(seed()).await.until(resumes).await;
}

/// The seed that was given, else one from the clock; printed, so that a run can be had again.
fn seed() -> u64 {
    let seed = given("CARILLON_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        u64::from(now.subsec_nanos())
    });
    println!("seed: CARILLON_SEED={seed}");
    seed
}

fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
