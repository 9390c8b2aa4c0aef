//! Filling a directory, copying it, damaging the copy.

use crate::support::{Api, Options, Server, User, inbox, until};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Whose data there is.
const USERS: [&str; 3] = ["1", "2", "3"];

/// A directory that a server left, and what that server held.
pub struct Template {
    dir: TempDir,
    options: Options,
    pub holds: Vec<Value>,
}

impl Template {
    /// A log of several segments, not cut.
    pub async fn of_many_segments() -> Self {
        let (mut server, template) = Self::begin(1 << 20);
        fill(&server.api(), 0..60).await;
        server.kill_and_restart();
        fill(&server.api(), 60..120).await;
        template.end(server).await
    }

    /// A log of more than ten MiB, and no snapshot.
    pub async fn of_a_long_log() -> Self {
        let (server, template) = Self::begin(1 << 30);
        let body = json!({"user_id": "1", "title": "long", "message": "x".repeat(15_000)});
        for _ in 0..12 {
            let calls = vec![json!({"call": "send_notification", "args": body}); 60];
            batch(&server.api(), &calls).await;
        }
        template.end(server).await
    }

    /// A log that was cut behind two snapshots.
    pub async fn with_snapshots() -> Self {
        let (server, template) = Self::begin(1 << 20);
        fill_until_snapshots(&server, 2).await;
        template.end(server).await
    }

    /// Tables as they were before so many snapshots; with two of them the log no longer reaches back.
    pub async fn with_old_tables(snapshots: usize) -> (Self, TempDir) {
        let (mut server, template) = Self::begin(1 << 20);
        fill(&server.api(), 2_000_000..2_000_030).await;
        server.stop();
        let old = tempfile::tempdir().expect("a directory");
        copy(&template.path().join("tables"), old.path());
        server.start();
        fill_until_snapshots(&server, snapshots).await;
        (template.end(server).await, old)
    }

    fn begin(snapshot_log_bytes: u64) -> (Server, Self) {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options::default()
            .set("STORAGE__SEGMENT_BYTES", 131_072)
            .set("STORAGE__SNAPSHOT_LOG_BYTES", snapshot_log_bytes);
        let server = options.clone().data_dir(dir.path()).start();
        (server, Self { dir, options, holds: Vec::new() })
    }

    async fn end(mut self, mut server: Server) -> Self {
        self.holds = everything(&server).await;
        server.stop();
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn options(&self) -> Options {
        self.options.clone()
    }

    pub fn copy_to(&self, to: &Path) {
        copy(self.path(), to);
    }
}

/// Fills the log for a snapshot at a time, until there are so many and, with two, the log has been cut; and a little
/// more.
async fn fill_until_snapshots(server: &Server, count: usize) {
    let api = server.api();
    let log = server.data_dir().join("log");
    let first = names(&log, ".seg");
    for nth in 1..=count as u64 {
        // More than the bound; and than the snapshot before, which is twice as large as what was filled in till then:
        // rows, and the journal of events.
        fill(&api, nth * 1_000..nth * 1_000 + nth * 360).await;
        let made = || names(&server.data_dir().join("snapshots"), ".snap").len() as u64 >= nth;
        until("a snapshot", || async { made().then_some(()) }).await;
    }
    if count >= 2 {
        until("a cut log", || async { (!names(&log, ".seg").contains(&first[0])).then_some(()) }).await;
    }
    // After the last snapshot: only in the log.
    fill(&api, 1_000_000..1_000_003).await;
}

/// Notifications, some read, an update each of subscription and dashboard.
async fn fill(api: &Api, numbers: std::ops::Range<u64>) {
    let start = numbers.start;
    let send = |n: u64| {
        let user = USERS[usize::try_from(n % 3).expect("small")];
        json!({"call": "send_notification",
            "args": {"user_id": user, "title": n.to_string(), "message": "x".repeat(4_096)}})
    };
    let calls: Vec<_> = numbers.map(send).collect();
    // Entries of a few commands each, so that there are many entries.
    for calls in calls.chunks(6) {
        batch(api, calls).await;
    }
    for user in USERS {
        let list = api.get(&format!("/users/{user}/notifications?limit=4")).await.ok();
        let id = &list["data"].as_array().and_then(|list| list.last()).expect("one")["id"];
        api.post(&format!("/users/{user}/notifications/{id}/read"), &Value::Null).await.ok();
        let data = json!({"data": {"plan_name": "A", "status": "active", "amount": start.to_string()}});
        api.post(&format!("/users/{user}/subscriptions"), &data).await.ok();
        api.post(&format!("/users/{user}/dashboard"), &data).await.ok();
    }
}

async fn batch(api: &Api, calls: &[Value]) {
    let answer = api.post("/batch", &json!({"calls": calls})).await.ok();
    let results = answer["results"].as_array().expect("results");
    assert!(results.iter().all(|result| result["status"] == 201), "{answer}");
}

/// Everything that the server holds for the users.
pub async fn everything(server: &Server) -> Vec<Value> {
    let api = server.api();
    let mut all = Vec::new();
    for id in USERS {
        all.push(json!(inbox::of(&api, id).await));
        let user = User::named(id);
        let mut subscriptions = server.greeted("/ws/subscriptions/", user).await;
        all.push(subscriptions.ask("request_subscription_status").await);
        all.push(subscriptions.ask("request_subscription_history").await);
        all.push(server.greeted("/ws/dashboard/", user).await.ask("request_dashboard_update").await);
    }
    all
}

/// Names in a directory that end so, sorted.
pub fn names(dir: &Path, end: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| name.ends_with(end));
    names.sort();
    names
}

/// Copies a directory, but for the ballast.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else if entry.file_name() != "ballast" {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// The damages; positions are taken modulo the length of the file.
pub mod damage {
    use std::{fs, path::Path};

    /// Flips a bit.
    pub fn flip(file: &Path, at: u64, bit: u64) {
        let mut bytes = fs::read(file).expect("read");
        let at = usize::try_from(at % bytes.len() as u64).expect("small");
        bytes[at] ^= 1 << bit;
        fs::write(file, bytes).expect("written");
    }

    /// Cuts the end off.
    pub fn cut(file: &Path, at: u64) {
        let length = fs::metadata(file).expect("there").len();
        fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(at % length)).expect("cut");
    }
}
