//! Backends and a page that note what they were answered while the disk fails under the server.

use crate::support::{ALICE, Api, Server, inbox};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use tokio::task::JoinSet;

const CALLERS: usize = 6;

/// What was answered so far.
#[derive(Debug, Default)]
pub struct Answers {
    /// Titles of notifications that were answered 201, and their ids.
    pub kept: Mutex<BTreeMap<String, u64>>,
    /// Titles that were answered otherwise or not at all.
    pub unsure: Mutex<BTreeSet<String>>,
    /// Codes of refusals.
    pub codes: Mutex<BTreeSet<String>>,
    /// Notifications whose `mark_as_read` was confirmed on a socket.
    pub read: Mutex<BTreeSet<u64>>,
    /// A durable call has failed: no later one may succeed.
    failed: AtomicBool,
}

/// Callers at work until the server is gone, or [`Callers::stop`].
pub struct Callers {
    pub answers: Arc<Answers>,
    stopped: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Callers {
    /// Starts them.
    pub async fn start(server: &Server) -> Self {
        let (answers, stopped, mut tasks) = (Arc::<Answers>::default(), Arc::<AtomicBool>::default(), JoinSet::new());
        for number in 0..CALLERS {
            tasks.spawn(call(server.api(), number, (answers.clone(), stopped.clone())));
        }
        let page = server.greeted("/ws/notifications/", ALICE).await;
        tasks.spawn(read(page, (answers.clone(), stopped.clone())));
        Self { answers, stopped, tasks }
    }

    /// Waits until so many more notifications are answered.
    pub async fn more(&self, count: usize) {
        let until = self.answers.kept.lock().len() + count;
        crate::support::until("enough answers", || async { (self.answers.kept.lock().len() >= until).then_some(()) })
            .await;
    }

    /// Ends them and gives what they were answered.
    pub async fn stop(mut self) -> Arc<Answers> {
        self.stopped.store(true, SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a caller's task");
        }
        self.answers
    }
}

async fn call(api: Api, number: usize, (answers, stopped): (Arc<Answers>, Arc<AtomicBool>)) {
    for nth in 0.. {
        let has_failed = answers.failed.load(SeqCst);
        let title = format!("{number}-{nth}");
        match send(&api, &title).await {
            Ok((201, body)) => {
                assert!(!has_failed, "{title} was answered 201 after a durable call had failed");
                answers.kept.lock().insert(title, body["id"].as_u64().expect("an id"));
            }
            Ok((503, body)) => {
                answers.failed.store(true, SeqCst);
                answers.codes.lock().insert(body["error"]["code"].as_str().unwrap_or_default().to_owned());
                answers.unsure.lock().insert(title);
            }
            Ok(other) => panic!("{title}: {other:?}"),
            // Its connection was closed while it was under way.
            Err(_) => {
                answers.unsure.lock().insert(title);
                return;
            }
        }
        if stopped.load(SeqCst) {
            return;
        }
    }
}

/// Creates a notification; the title is its idempotency key.
async fn send(api: &Api, title: &str) -> Result<(u16, Value), reqwest::Error> {
    let body = json!({"user_id": 1, "title": title, "message": "x".repeat(500)});
    let answer = api.call(Method::POST, "/api/v1/notifications", Some(&body), Some(title)).await?;
    Ok((answer.status, answer.body))
}

/// A page that marks read whatever it is shown.
async fn read(mut page: crate::support::Socket, (answers, stopped): (Arc<Answers>, Arc<AtomicBool>)) {
    while let Some(frame) = page.next_or_end().await {
        match frame["type"].as_str() {
            Some("new_notification") => {
                page.send_if_open(&json!({"type": "mark_as_read", "notification_id": frame["data"]["id"]})).await;
            }
            Some("notification_marked_read") => {
                answers.read.lock().insert(frame["notification_id"].as_u64().expect("an id"));
            }
            Some("error") => {
                assert!(["outcome_unknown", "no_quorum"].contains(&frame["code"].as_str().expect("a code")), "{frame}");
            }
            _ => {}
        }
        if stopped.load(SeqCst) {
            return;
        }
    }
}

impl Answers {
    /// Everything that was answered is there; what was not is there once after it is repeated, or was there already.
    pub async fn assert_kept(&self, server: &Server) {
        let api = server.api();
        let there = inbox::of(&api, "1").await;
        let (kept, unsure, read) = (self.kept.lock().clone(), self.unsure.lock().clone(), self.read.lock().clone());
        for (title, id) in &kept {
            let item = there.get(id).unwrap_or_else(|| panic!("{title} was answered with the id {id} and is lost"));
            assert_eq!(item["title"], title.as_str());
        }
        for id in &read {
            assert_eq!(there[id]["is_read"], true, "{id} was confirmed as read");
        }
        for title in &unsure {
            let (status, body) = send(&api, title).await.expect("answered");
            assert_eq!(status, 201, "{title} again: {body}");
        }
        let there = inbox::of(&api, "1").await;
        let titles: BTreeSet<_> = there.values().map(|item| item["title"].as_str().expect("a title")).collect();
        let wanted: BTreeSet<_> = kept.keys().chain(&unsure).map(String::as_str).collect();
        assert_eq!((titles, there.len()), (wanted, kept.len() + unsure.len()), "each once");
    }
}
