//! Every call with everything wrong about it: the status, the code, and the field that is named.

use crate::{http::Caller, support::Server};
use serde_json::json;

/// Calls that take a body, with one that is right.
fn bodies() -> Vec<(&'static str, &'static str, serde_json::Value)> {
    let data = json!({"data": {"status": "active", "plan_name": "p"}});
    vec![
        ("POST", "/notifications", json!({"user_id": 1, "title": "t", "message": "m"})),
        ("POST", "/users/1/dashboard", data.clone()),
        ("POST", "/users/1/subscriptions", data.clone()),
        ("POST", "/users/1/payments", data.clone()),
        ("POST", "/users/1/expiry-warnings", data.clone()),
        ("POST", "/admin/dashboard", data),
        ("POST", "/admin/alerts", json!({"alert_type": "new_subscription", "data": {}})),
        ("POST", "/broadcasts", json!({"message": "m"})),
        ("POST", "/multicast", json!({"user_ids": [1], "message_data": {"message": "m"}})),
        ("POST", "/batch", json!({"calls": []})),
        ("PUT", "/users/1", json!({"username": "u"})),
        ("POST", "/users/1/disconnect", json!({"revoke": false})),
    ]
}

#[tokio::test]
async fn every_call_with_a_body_takes_a_right_one_and_no_wrong_one() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(70), "]".repeat(70));
    for (method, path, right) in bodies() {
        api.call(method, path, &right.to_string()).await.good();
        for wrong in ["{", "nonsense", "{}}", "{\"a\":\"\\ud800\"}", "{'a': 1}", "\u{feff}{}", &deep] {
            let got = api.call(method, path, wrong).await;
            assert_eq!(got.error(), (400, "bad_json".into(), None), "{method} {path} {wrong}");
        }
        let not_utf8 = api.request(method, path).body(b"{\"a\":\"\xff\"}".to_vec()).send().await.expect("answered");
        assert_eq!(not_utf8.status().as_u16(), 400, "{method} {path}");
        for wrong in ["[]", "1", "null", "\"x\""] {
            let got = api.call(method, path, wrong).await;
            assert_eq!(got.error(), (422, "invalid".into(), None), "{method} {path} {wrong}");
        }
        let mut unknown = right.clone();
        unknown["zzz"] = json!(1);
        let got = api.call(method, path, &unknown.to_string()).await;
        assert_eq!(got.error(), (422, "invalid".into(), Some("zzz".into())), "{method} {path}");
        assert!(got.text.contains("known are"), "{got:?}");
        let (name, value) = right.as_object().and_then(|fields| fields.iter().next()).expect("a field");
        let twice = format!("{{\"{name}\":{value},\"{name}\":{value}}}");
        let got = api.call(method, path, &twice).await;
        assert_eq!(got.error(), (422, "invalid".into(), Some(name.clone())), "{method} {path} {twice}");
        if path != "/users/1/disconnect" {
            assert_eq!(api.call(method, path, "").await.error().1, "bad_json", "{method} {path} without a body");
            let got = api.call(method, path, "{}").await.error();
            assert!(got.0 == 422 && got.2.is_some(), "{method} {path} {got:?}");
        }
        let huge = format!("{{\"message\":\"{}\"}}", "x".repeat(1 << 20));
        assert_eq!(api.call(method, path, &huge).await.error(), (413, "too_large".into(), None), "{method} {path}");
    }
}

#[tokio::test]
async fn a_wrong_field_is_named() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let n = "/notifications";
    let long_title = "ü".repeat(201);
    let many: Vec<_> = (0..1_001).collect();
    let table = [
        (n, json!({"title": "t", "message": "m"}), "user_id"),
        (n, json!({"user_id": 1, "user_ids": [1], "title": "t", "message": "m"}), "user_ids"),
        (n, json!({"user_id": null, "title": "t", "message": "m"}), "user_id"),
        (n, json!({"user_id": 1.5, "title": "t", "message": "m"}), "user_id"),
        (n, json!({"user_id": -1, "title": "t", "message": "m"}), "user_id"),
        (n, json!({"user_id": true, "title": "t", "message": "m"}), "user_id"),
        (n, json!({"user_id": [1], "title": "t", "message": "m"}), "user_id"),
        (n, json!({"user_id": "a b", "title": "t", "message": "m"}), "user_id"),
        (n, json!({"user_id": "x".repeat(65), "title": "t", "message": "m"}), "user_id"),
        (n, json!({"user_ids": [], "title": "t", "message": "m"}), "user_ids"),
        (n, json!({"user_ids": [1, 2, "1"], "title": "t", "message": "m"}), "user_ids"),
        (n, json!({"user_ids": [1, null], "title": "t", "message": "m"}), "user_ids"),
        (n, json!({"user_ids": many, "title": "t", "message": "m"}), "user_ids"),
        (n, json!({"user_ids": 1, "title": "t", "message": "m"}), "user_ids"),
        (n, json!({"user_id": 1, "message": "m"}), "title"),
        (n, json!({"user_id": 1, "title": "", "message": "m"}), "title"),
        (n, json!({"user_id": 1, "title": long_title, "message": "m"}), "title"),
        (n, json!({"user_id": 1, "title": 1, "message": "m"}), "title"),
        (n, json!({"user_id": 1, "title": "t"}), "message"),
        (n, json!({"user_id": 1, "title": "t", "message": {}}), "message"),
        (n, json!({"user_id": 1, "title": "t", "message": "m", "level": "loud"}), "level"),
        (n, json!({"user_id": 1, "title": "t", "message": "m", "level": "INFO"}), "level"),
        (n, json!({"user_id": 1, "title": "t", "message": "m", "data": []}), "data"),
        (n, json!({"user_id": 1, "title": "t", "message": "m", "data": "x"}), "data"),
        ("/users/1/dashboard", json!({"data": []}), "data"),
        ("/users/1/dashboard", json!({"data": null}), "data"),
        ("/users/a%20b/dashboard", json!({"data": {}}), "id"),
        ("/users/%C3%BC/dashboard", json!({"data": {}}), "id"),
        ("/users/%FF/dashboard", json!({"data": {}}), "id"),
        ("/users/1/subscriptions", json!({"data": {"status": "active"}}), "data"),
        ("/users/1/subscriptions", json!({"data": {"status": 1, "plan_name": "p"}}), "data"),
        ("/users/1/subscriptions", json!({"data": {"status": "a", "plan_name": 1}}), "data"),
        ("/users/1/subscriptions", json!({"data": {"id": null, "status": "a", "plan_name": "p"}}), "data"),
        ("/users/1/subscriptions", json!({"data": {"id": {}, "status": "a", "plan_name": "p"}}), "data"),
        ("/users/1/subscriptions", json!({"data": {"id": 1.5, "status": "a", "plan_name": "p"}}), "data"),
        ("/admin/alerts", json!({"alert_type": "zzz", "data": {}}), "alert_type"),
        ("/admin/alerts", json!({"alert_type": "new_subscription"}), "data"),
        ("/broadcasts", json!({"message": "m", "level": "zzz"}), "level"),
        ("/broadcasts", json!({"message": "m", "groups": []}), "groups"),
        ("/broadcasts", json!({"message": "m", "groups": ["presence"]}), "groups"),
        ("/broadcasts", json!({"message": "m", "groups": ["subscriptions_user_1"]}), "groups"),
        ("/broadcasts", json!({"message": "m", "groups": ["nope"]}), "groups"),
        ("/broadcasts", json!({"message": "m", "groups": [1]}), "groups"),
        ("/broadcasts", json!({"message": "m", "groups": ["admin_dashboard", "admin_dashboard"]}), "groups"),
        ("/multicast", json!({"message_data": {}}), "user_ids"),
        ("/multicast", json!({"user_ids": [1, 1], "message_data": {"message": "m"}}), "user_ids"),
        ("/multicast", json!({"user_ids": [1], "message_data": {}}), "message_data"),
        ("/multicast", json!({"user_ids": [1], "message_data": []}), "message_data"),
        ("/multicast", json!({"user_ids": [1], "type": "zzz", "message_data": {}}), "type"),
        ("/multicast", json!({"user_ids": [1], "type": "dashboard_zzz", "message_data": {}}), "type"),
        ("/multicast", json!({"user_ids": [1], "message_data": {"type": "zzz", "message": "m"}}), "message_data"),
        ("/groups/presence/send", json!({"type": "dashboard_update", "data": {}}), "type"),
        ("/groups/presence/send", json!({}), "type"),
        ("/groups/presence/send", json!({"type": 1}), "type"),
        ("/groups/presence/send", json!({"type": "user_offline"}), "user_id"),
        ("/groups/dashboard_user_1/send", json!({"type": "dashboard_update"}), "data"),
        ("/users/1/disconnect", json!({"revoke": "yes"}), "revoke"),
        ("/users/1/notifications/x/read", json!({}), "nid"),
        ("/users/1/notifications/-1/read", json!({}), "nid"),
        ("/users/1/notifications/99999999999999999999/read", json!({}), "nid"),
        ("/users/1/notifications/read-all", json!({"x": 1}), "x"),
        ("/batch", json!({"calls": {}}), "calls"),
    ];
    for (path, body, field) in table {
        let got = api.post(path, &body).await;
        assert_eq!(got.error(), (422, "invalid".into(), Some(field.into())), "{path} {body}");
    }
    let users = [
        (json!({}), "username"),
        (json!({"username": ""}), "username"),
        (json!({"username": "x".repeat(151)}), "username"),
        (json!({"username": "u", "first_name": "x".repeat(151)}), "first_name"),
        (json!({"username": "u", "last_name": 1}), "last_name"),
        (json!({"username": "u", "is_active": "no"}), "is_active"),
        (json!({"username": "u", "is_staff": 0}), "is_staff"),
    ];
    for (body, field) in users {
        let got = api.call("PUT", "/users/1", &body.to_string()).await;
        assert_eq!(got.error(), (422, "invalid".into(), Some(field.into())), "{body}");
    }
    assert_eq!(api.get("/stats").await.good()["tenant"]["notifications_sent"], 0, "nothing half done");
}

#[tokio::test]
async fn a_wrong_query_is_named() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let inbox = "/users/1/notifications";
    let many = (0..1_001).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let table = [
        (format!("{inbox}?limit=0"), "limit"),
        (format!("{inbox}?limit=201"), "limit"),
        (format!("{inbox}?limit=-1"), "limit"),
        (format!("{inbox}?limit=%2B5"), "limit"),
        (format!("{inbox}?limit="), "limit"),
        (format!("{inbox}?limit=1&limit=2"), "limit"),
        (format!("{inbox}?before=x"), "before"),
        (format!("{inbox}?unread=1"), "unread"),
        (format!("{inbox}?level=loud"), "level"),
        (format!("{inbox}?page=1"), "page"),
        (format!("{inbox}/unread-count?x=1"), "x"),
        ("/admin/alerts?limit=x".into(), "limit"),
        ("/admin/alerts?before=x".into(), "before"),
        ("/presence?limit=1000".into(), "limit"),
        ("/presence?after=x".into(), "after"),
        ("/presence?user_ids=".into(), "user_ids"),
        ("/presence?user_ids=1,,2".into(), "user_ids"),
        ("/presence?user_ids=1,1".into(), "user_ids"),
        ("/presence?user_ids=1&limit=1".into(), "limit"),
        (format!("/presence?user_ids={many}"), "user_ids"),
        ("/users/a%2Fb/presence".into(), "id"),
    ];
    for (path, field) in table {
        assert_eq!(api.get(&path).await.error(), (422, "invalid".into(), Some(field.into())), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_another_method_405() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    for (method, path) in [
        ("GET", ""),
        ("GET", "/"),
        ("GET", "/nope"),
        ("POST", "/notifications/"),
        ("GET", "/users/1/nope"),
        ("POST", "/users/1/notifications/1/nope"),
        ("GET", "/users/77"),
        ("POST", "/users/1/notifications/1/read"),
        ("POST", "/users/1/notifications/1/unread"),
        ("DELETE", "/users/1/notifications/1"),
        // Of a later release.
        ("GET", "/clusters"),
    ] {
        assert_eq!(api.call(method, path, "").await.error(), (404, "not_found".into(), None), "{method} {path}");
    }
    let unknown_group = api.post("/groups/chat_1/send", &json!({"type": "x"})).await;
    assert_eq!(unknown_group.error().1, "unknown_group");
    assert!(unknown_group.text.contains("admin_dashboard"), "{unknown_group:?}");
    for (method, path, allow) in [
        ("GET", "/notifications", "POST"),
        ("PATCH", "/users/1", "PUT, GET, DELETE"),
        ("DELETE", "/admin/alerts", "POST, GET"),
        ("DELETE", "/users/1/notifications/read-all", "POST"),
        ("POST", "/stats", "GET"),
    ] {
        let got = api.call(method, path, "").await;
        assert_eq!(got.error(), (405, "method_not_allowed".into(), None), "{method} {path}");
        assert_eq!(got.header("allow"), Some(allow), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_too_large_says_how_large_it_may_be() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let data = |bytes: usize| json!({"data": {"x": "y".repeat(bytes)}});
    let table = [
        ("/notifications", json!({"user_id": 1, "title": "t", "message": "x".repeat(16 << 10)}), "message", "16384"),
        (
            "/notifications",
            json!({"user_id": 1, "title": "t", "message": "", "data": {"x": "\u{1}".repeat(3 << 10)}}),
            "data",
            "16384",
        ),
        ("/users/1/dashboard", data(48 << 10), "data", "49152"),
        ("/users/1/payments", data(48 << 10), "data", "49152"),
        ("/admin/dashboard", data(48 << 10), "data", "49152"),
        (
            "/multicast",
            json!({"user_ids": [1], "message_data": {"message": "x".repeat(48 << 10)}}),
            "message_data",
            "49152",
        ),
    ];
    for (path, body, field, bound) in table {
        let got = api.post(path, &body).await;
        assert_eq!(got.error(), (413, "too_large".into(), Some(field.into())), "{path}");
        assert!(got.text.contains(bound), "{got:?}");
    }
    let event = json!({"type": "notification_message", "message": "x".repeat(48 << 10)});
    let got = api.post("/groups/admin_dashboard/send", &event).await;
    assert_eq!(got.error(), (413, "too_large".into(), None));
    // Each fits, merged they don't.
    api.post("/users/1/dashboard", &json!({"data": {"a": "x".repeat(30 << 10)}})).await.good();
    let merged = api.post("/users/1/dashboard", &json!({"data": {"b": "x".repeat(30 << 10)}})).await;
    assert_eq!(merged.error(), (413, "too_large".into(), Some("data".into())));
    // Just fits.
    let title = "ü".repeat(200);
    api.post("/notifications", &json!({"user_id": 1, "title": title, "message": "x".repeat(15_700)})).await.good();
}
