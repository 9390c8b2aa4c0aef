//! What is kept of notifications: by count and age, for all levels and for each.

mod support;

use serde_json::json;
use std::collections::BTreeMap;
use support::{Api, Options, Server, until};

/// Titles of what a user has, by level, oldest first. One page, so that it is of one moment.
async fn kept(api: &Api, user: &str) -> BTreeMap<String, Vec<String>> {
    let mut kept = BTreeMap::<_, Vec<_>>::new();
    let page = api.get(&format!("/users/{user}/notifications?limit=200")).await.ok();
    let items = page["data"].as_array().expect("a list");
    assert_eq!(page["unread_count"], items.len(), "nothing was read");
    for item in items.iter().rev() {
        let text = |key: &str| item[key].as_str().expect("text").to_owned();
        kept.entry(text("level")).or_default().push(text("title"));
    }
    kept
}

async fn fill(server: &Server, users: &[&str]) {
    for nth in 0..6 {
        for level in ["info", "error", "warning"] {
            let body = json!({"user_ids": users, "title": format!("{nth}"), "message": "m", "level": level});
            server.api().post("/notifications", &body).await.ok();
        }
    }
}

#[tokio::test]
async fn each_level_is_kept_within_its_own_bound_and_all_within_theirs() {
    // Written without any bound, as by a version that had none for levels.
    let mut server = Options::default().start();
    fill(&server, &["1", "2"]).await;
    server.stop();
    server.set("RETENTION__INFO_PER_USER", 2);
    server.set("RETENTION__WARNING_PER_USER", 5);
    server.set("RETENTION__ERROR_DAYS", 1);
    server.start();
    let api = server.api();
    let titles = |from: u64| (from..6).map(|nth| nth.to_string()).collect::<Vec<_>>();
    let want = BTreeMap::from([
        ("error".to_owned(), titles(0)),
        ("info".to_owned(), titles(4)),
        ("warning".to_owned(), titles(1)),
    ]);
    for user in ["1", "2"] {
        until("expired by level", async || (kept(&api, user).await == want).then_some(())).await;
    }
    server.kill();
    server.set("RETENTION__NOTIFICATIONS_PER_USER", 10);
    server.start();
    let api = server.api();
    let newest = async || {
        let kept = kept(&api, "1").await;
        (kept.values().map(Vec::len).sum::<usize>() == 10 && kept["info"] == titles(4)).then_some(())
    };
    until("expired by all", newest).await;
}
