//! kill -9 at random moments, under load: what was answered is there, nothing is there twice.
//!
//! Writers repeat a call whose outcome they don't know with the same idempotency key, as a backend should, and write
//! down what was answered. After every restart the store must hold at least that; in the end exactly that.
//! `CARILLON_TEST_KILLS` says how often, `CARILLON_TEST_SEED` repeats a run (as far as the machine's timing does).

mod ledger;
mod ready;
#[path = "../support/mod.rs"]
mod support;
mod writer;

use ledger::Ledger;
use serde_json::Value;
use std::{collections::BTreeSet, ffi::OsString, sync::Arc};
use support::{Options, Random, Server, User, inbox, until};
use tokio::{sync::watch, task::JoinSet};
use writer::{Place, Writer};

const KILLS: u64 = 50;
const WRITERS: u64 = 6;
/// Answered changes between two kills, at most.
const ANSWERS_MAX: u64 = 60;
/// Every so many kills one is a SIGTERM, which must lose nothing either.
const POLITE_EVERY: u64 = 7;
/// Every so many kills one waits until a snapshot is being made.
const SNAPSHOT_EVERY: u64 = 10;
/// Users whose notifications are written and watched.
const USERS: [&str; 3] = ["1", "2", "3"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_every_kill_and_nothing_is_there_twice() {
    let kills = std::env::var("CARILLON_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut random = Random::from_env("CARILLON_TEST_SEED");
    // Small, so that the log is cut under load, too.
    let mut server = Options::default()
        .set("DRAIN__SECONDS", 0)
        .set("STORAGE__SEGMENT_BYTES", 131_072)
        .set("STORAGE__SNAPSHOT_LOG_BYTES", 1_048_576)
        .start();
    let ledger = Arc::new(Ledger::default());
    let (places, place) = watch::channel(Place { boot: 0, address: server.address() });
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let writer = Writer::new(number, random.next(), (place.clone(), ledger.clone()));
        writers.spawn(writer.run());
    }
    for boot in 1..=kills {
        let watching = watch(&server).await;
        ledger.wait_for(ledger.answers() + 1 + random.below(ANSWERS_MAX)).await;
        if boot % SNAPSHOT_EVERY == 0 {
            // Once more in the middle of a snapshot, or right after one.
            let before = snapshots(&server);
            until("a snapshot", || async { (snapshots(&server) != before).then_some(()) }).await;
        }
        let politely = boot % POLITE_EVERY == 0;
        tokio::task::block_in_place(|| {
            if politely {
                server.stop();
            } else {
                server.kill();
            }
            server.start();
        });
        check_frames(&server, watching).await;
        let user = USERS[random.index(USERS.len())];
        ledger.check_kept(user, &inbox::of(&server.api(), user).await);
        places.send_replace(Place { boot, address: server.address() });
    }
    ledger.stop();
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer's task");
    }
    server.stop();
    server.start();
    let (notifications, updates) = ledger.check_all(&server, &USERS).await;
    println!(
        "{kills} kills, {notifications} notifications, {updates} subscription updates, {} answers",
        ledger.answers()
    );
    assert!(notifications > kills && updates > 0, "there was hardly any load");
}

/// Names in the directory of snapshots.
fn snapshots(server: &Server) -> BTreeSet<OsString> {
    let dir = std::fs::read_dir(server.data_dir().join("snapshots")).expect("a directory");
    dir.filter_map(|entry| Some(entry.ok()?.file_name())).collect()
}

/// Sockets that collect frames until the server is killed.
async fn watch(server: &Server) -> JoinSet<(&'static str, Vec<Value>)> {
    let mut watching = JoinSet::new();
    for user in USERS {
        let socket = server.greeted("/ws/notifications/", User::named(user)).await;
        watching.spawn(async move { (user, socket.until_the_end().await) });
    }
    watching
}

/// What a page was shown before the kill is there after it, and came in order.
async fn check_frames(server: &Server, mut watching: JoinSet<(&'static str, Vec<Value>)>) {
    while let Some(watched) = watching.join_next().await {
        let (user, frames) = watched.expect("a watcher's task");
        let shown: Vec<_> = frames.iter().filter(|frame| frame["type"] == "new_notification").collect();
        let ids: Vec<_> = shown.iter().map(|frame| frame["data"]["id"].as_u64().expect("an id")).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "ids on a socket of user {user} do not ascend: {ids:?}");
        let kept = inbox::of(&server.api(), user).await;
        for frame in shown {
            let id = frame["data"]["id"].as_u64().expect("an id");
            let there = kept.get(&id).unwrap_or_else(|| panic!("user {user} was shown {id}, which is lost"));
            assert_eq!(there["title"], frame["data"]["title"]);
        }
    }
}
