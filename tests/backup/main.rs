//! A backup of a busy server is one moment of it, and what is restored from it is that moment: nothing that was
//! answered before is missing, nothing is there that was not asked for, and nothing is half there.

mod files;
mod program;
#[path = "../support/mod.rs"]
mod support;
mod writers;

use program::{back_up, carillon, restore};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use support::{ALICE, Options, Server, inbox, until};
use tokio::task::JoinSet;
use writers::{Told, USERS};

const BACKUPS: usize = 3;
const WRITERS: usize = 4;
/// Answers between two backups.
const ANSWERS: usize = 60;

/// Everything that a server keeps for the writers' users, by id; each unread count was compared with a recount.
async fn everything(server: &Server) -> BTreeMap<u64, (String, Value)> {
    let mut all = BTreeMap::new();
    for user in USERS {
        for (id, item) in inbox::of(&server.api(), user).await {
            assert!(all.insert(id, (user.to_owned(), item)).is_none(), "{id} was given twice");
        }
    }
    all
}

/// One moment of the log: no gap, no half of a call for several users.
fn check_is_whole(all: &BTreeMap<u64, (String, Value)>) {
    let ids: Vec<u64> = all.keys().copied().collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>(), "ids have a gap");
    let mut receivers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (user, item) in all.values() {
        receivers.entry(item["title"].as_str().expect("a title")).or_default().insert(user);
    }
    for (title, users) in receivers {
        let all_or_one = if writers::is_to_all(title) { USERS.len() } else { 1 };
        assert_eq!(users.len(), all_or_one, "{title} is there for {users:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_backup_of_a_busy_server_is_one_moment_of_it() {
    let home = tempfile::tempdir().expect("a directory");
    // Small, so that the log is cut meanwhile, too.
    let small = Options::default().set("STORAGE__SEGMENT_BYTES", 131_072);
    let server = small.set("STORAGE__SNAPSHOT_LOG_BYTES", 1_048_576).start();
    let told = Arc::new(Told::default());
    let presence = server.greeted("/ws/presence/", ALICE).await;
    let mut writing = JoinSet::new();
    for number in 0..WRITERS {
        writing.spawn(writers::write(number, (server.api(), server.address()), told.clone()));
    }
    let mut taken = Vec::new();
    for nth in 0..BACKUPS {
        told.wait_for(told.answers() + ANSWERS).await;
        let before = told.answered();
        let file = home.path().join(format!("backup-{nth}"));
        let (address, path) = (server.address(), file.clone());
        let run = tokio::task::spawn_blocking(move || back_up(address, &path)).await.expect("run");
        assert!(run.code == Some(0) && run.out.contains("every byte was read back"), "{run:#?}");
        taken.push((file, before, told.asked()));
    }
    told.stop();
    while let Some(ended) = writing.join_next().await {
        ended.expect("a writer's task");
    }
    let last = everything(&server).await;
    drop((presence, server));
    let mut sizes = Vec::new();
    for (nth, (file, answered, asked)) in taken.into_iter().enumerate() {
        let dir = home.path().join(format!("restored-{nth}"));
        let run = restore(&file, &dir);
        assert_eq!(run.code, Some(0), "{run:#?}");
        let restored = Options::default().set("PRESENCE__GRACE_SECONDS", 1).data_dir(&dir).start();
        let there = everything(&restored).await;
        check_is_whole(&there);
        for (id, title) in &answered {
            assert_eq!(there[id].1["title"], title.as_str(), "{id} was answered before backup {nth} was asked for");
        }
        for (id, (user, item)) in &there {
            assert!(asked.contains(item["title"].as_str().expect("a title")), "{item} was sent after the backup");
            assert_eq!((&last[id].0, &last[id].1["title"]), (user, &item["title"]));
        }
        sizes.push((answered.len(), there.len(), asked.len()));
        check_presence(&restored).await;
        check_retry(&restored, &there).await;
    }
    println!("answered before, in the backup, asked for by its end: {sizes:?}");
    assert!(sizes.is_sorted() && sizes[0].0 > 0, "there was hardly any load");
}

/// Nobody is online on a server that was just restored, once the grace time is over.
async fn check_presence(server: &Server) {
    let alice = until("alice is offline", || async {
        let alice = server.api().get("/users/1/presence").await.ok();
        (alice["is_online"] == false).then_some(alice)
    });
    assert!(alice.await["last_seen"].is_string());
}

/// A retry of a call that the backup has is answered as the first time, and new ids go on behind the old ones.
async fn check_retry(server: &Server, there: &BTreeMap<u64, (String, Value)>) {
    let (id, user, item) = there
        .iter()
        .map(|(id, (user, item))| (id, user, item))
        .find(|(.., item)| !writers::is_to_all(title(item)))
        .expect("one");
    let body = writers::single(user, title(item));
    let path = "/api/v1/notifications";
    let again = server.api().call(reqwest::Method::POST, path, Some(&body), Some(title(item))).await.expect("answered");
    assert_eq!(again.ok()["id"], *id);
    let next = server.api().notify(user, "after the restore").await;
    assert_eq!(next, there.len() as u64 + 1);
}

fn title(item: &Value) -> &str {
    item["title"].as_str().expect("a title")
}

#[tokio::test]
async fn a_stopped_or_killed_server_is_backed_up_from_its_directory() {
    let home = tempfile::tempdir().expect("a directory");
    let mut server = Server::dev();
    for nth in 0..50 {
        server.api().notify("1", &format!("n{nth}")).await;
    }
    let dir = server.data_dir().to_owned();
    let offline = |name: &str| {
        let file = home.path().join(name);
        carillon(&["backup", file.to_str().expect("text"), "--data-dir", dir.to_str().expect("text")])
    };
    let refused = offline("in-use");
    assert_eq!(refused.code, Some(69), "{refused:#?}");
    assert!(
        refused.err.contains(&server.pid().to_string()) && refused.err.contains("without --data-dir"),
        "{refused:#?}"
    );
    // The tables were never flushed: most of it is in the log only.
    server.kill();
    let run = offline("killed");
    assert_eq!(run.code, Some(0), "{run:#?}");
    let copy = home.path().join("copy");
    assert_eq!(restore(&home.path().join("killed"), &copy).code, Some(0));
    let restored = Options::default().data_dir(&copy).start();
    assert_eq!(inbox::of(&restored.api(), "1").await.len(), 50);
    // The original goes on as if nothing had been.
    server.start();
    assert_eq!(inbox::of(&server.api(), "1").await.len(), 50);
    let nothing = home.path().join("nothing");
    let none = carillon(&[
        "backup",
        home.path().join("x").to_str().expect("text"),
        "--data-dir",
        nothing.to_str().expect("text"),
    ]);
    assert_eq!(none.code, Some(64), "{none:#?}");
    assert!(!nothing.exists());
}

#[tokio::test]
async fn only_a_key_with_the_scope_of_its_own_reads_all_tenants() {
    let hash = |key: &str| carillon::auth::hash_api_key(key).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let keys = format!(
        r#"[{{"id": "a", "hash": "{}", "scopes": ["publish", "read", "admin"]}}, {{"id": "o", "hash": "{}", "scopes": ["backup"]}}]"#,
        hash("admin-key"),
        hash("operator-key"),
    );
    let server = Options::default().set("AUTH__API_KEYS", keys).start();
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("b");
    let with = |key: &str| program::back_up_as(key, server.address(), &file);
    for key in ["admin-key", "none"] {
        let refused = with(key);
        assert_eq!(refused.code, Some(64), "{refused:#?}");
        assert!(refused.err.contains("key"), "{refused:#?}");
    }
    assert_eq!(std::fs::read_dir(home.path()).expect("a directory").count(), 0, "a refused backup left something");
    assert_eq!(with("operator-key").code, Some(0));
    let get = server.api().get("/backup").await;
    assert_eq!((get.status, get.code()), (405, "method_not_allowed"));
    let again = with("operator-key");
    assert_eq!(again.code, Some(64), "{again:#?}");
    assert!(again.err.contains("not overwritten"));
}
