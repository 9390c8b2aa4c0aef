//! Reading everything that a server keeps for a user, page by page, and counting it again.

use super::Api;
use serde_json::Value;
use std::collections::BTreeMap;

/// All notifications of a user, by id, each asserted to come in descending order and to be counted right.
pub async fn of(api: &Api, user: &str) -> BTreeMap<u64, Value> {
    let mut all = BTreeMap::new();
    let mut before: Option<u64> = None;
    loop {
        let cursor = before.map_or_else(String::new, |id| format!("&before={id}"));
        let page = api.get(&format!("/users/{user}/notifications?limit=200{cursor}")).await.ok();
        for item in page["data"].as_array().expect("a list") {
            let id = item["id"].as_u64().expect("an id");
            assert!(before.is_none_or(|before| id < before), "{id} is out of order in the list of user {user}");
            before = Some(id);
            assert!(all.insert(id, item.clone()).is_none(), "{id} is twice in the list of user {user}");
        }
        if page["next_before"].is_null() {
            break;
        }
        before = page["next_before"].as_u64();
    }
    let unread = all.values().filter(|item| item["is_read"] == false).count() as u64;
    let count = api.get(&format!("/users/{user}/notifications/unread-count")).await.ok()["count"].as_u64();
    assert_eq!(count, Some(unread), "the unread count of user {user} is not a recount");
    all
}
