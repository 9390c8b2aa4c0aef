//! Who may call what: keys, scopes, tenants, hosts.

use crate::{
    http::{Caller, Got, with_keys},
    support::Server,
};
use serde_json::json;

/// Every call, with the scope that it takes.
const CALLS: &[(&str, &str, &str)] = &[
    ("publish", "POST", "/notifications"),
    ("read", "GET", "/users/1/notifications"),
    ("read", "GET", "/users/1/notifications/unread-count"),
    ("publish", "POST", "/users/1/notifications/read-all"),
    ("publish", "POST", "/users/1/notifications/1/read"),
    ("publish", "POST", "/users/1/notifications/1/unread"),
    ("publish", "DELETE", "/users/1/notifications/1"),
    ("publish", "POST", "/users/1/dashboard"),
    ("publish", "POST", "/users/1/subscriptions"),
    ("publish", "POST", "/users/1/payments"),
    ("read", "GET", "/users/1/payments"),
    ("publish", "POST", "/users/1/expiry-warnings"),
    ("publish", "POST", "/admin/dashboard"),
    ("publish", "POST", "/admin/alerts"),
    ("read", "GET", "/admin/alerts"),
    ("publish", "POST", "/broadcasts"),
    ("publish", "POST", "/multicast"),
    ("publish", "POST", "/groups/presence/send"),
    ("publish", "POST", "/batch"),
    ("admin", "PUT", "/users/1"),
    ("read", "GET", "/users/1"),
    ("admin", "DELETE", "/users/1"),
    ("admin", "POST", "/users/1/disconnect"),
    ("tickets", "POST", "/tickets"),
    ("read", "GET", "/presence"),
    ("read", "GET", "/users/1/presence"),
    ("read", "GET", "/stats"),
    ("read", "GET", "/openapi.json"),
    ("admin", "POST", "/import"),
    ("cluster", "GET", "/cluster"),
    ("cluster", "POST", "/cluster/members"),
    ("cluster", "DELETE", "/cluster/members/2"),
];

#[tokio::test]
async fn every_call_needs_a_key_with_its_scope() {
    let server = with_keys(&[
        ("publish", &["publish"], "default"),
        ("read", &["read"], "default"),
        ("admin", &["admin"], "default"),
        ("tickets", &["tickets"], "default"),
        ("cluster", &["cluster"], "default"),
    ])
    .start();
    for &(scope, method, path) in CALLS {
        let nobody = Caller::new(&server, "").call(method, path, "{}").await;
        assert_eq!(nobody.error(), (401, "unauthorized".into(), None), "{method} {path}");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
        for key in ["sesame", "read x", "publis", "READ"] {
            let got = Caller::new(&server, key).call(method, path, "{}").await;
            assert_eq!(got.error(), (401, "unauthorized".into(), None), "{method} {path} {key:?}");
            assert!(!got.text.contains("sesame"), "the key is in {got:?}");
        }
        for key in ["publish", "read", "admin", "tickets", "cluster"] {
            let got = Caller::new(&server, key).call(method, path, "{}").await;
            if key == scope {
                assert!(![401, 403].contains(&got.status), "{method} {path} {key}: {got:?}");
            } else {
                assert_eq!(got.error(), (403, "scope".into(), None), "{method} {path} {key}");
                assert!(got.text.contains(&format!("\\\"{scope}\\\"")), "{got:?}");
            }
        }
    }
}

#[tokio::test]
async fn other_ways_to_show_a_key_are_none() {
    let server = Server::dev();
    let api = Caller::new(&server, "");
    for value in ["dev", "Basic dev", "Bearer", "Bearer ", "Token dev", "Bearer dev, Bearer dev"] {
        let got =
            Got::of(api.request("GET", "/stats").header("Authorization", value).send().await.expect("sent")).await;
        assert_eq!(got.error().0, 401, "{value:?}");
    }
    let twice =
        api.request("GET", "/stats").header("Authorization", "Bearer dev").header("Authorization", "Bearer dev");
    assert_eq!(twice.send().await.expect("sent").status(), 401);
    assert_eq!(api.get("/stats?key=dev").await.error().0, 401);
    let lower = api.request("GET", "/stats").header("Authorization", "bearer dev").send().await.expect("sent");
    assert_eq!(lower.status(), 200, "the scheme is not case-sensitive (RFC 9110, 11.1)");
}

#[tokio::test]
async fn tenants_never_see_each_other() {
    let all: &[&str] = &["publish", "read", "admin"];
    let server = with_keys(&[("a", all, "acme"), ("b", all, "beta")]).start();
    let (a, b) = (Caller::new(&server, "a"), Caller::new(&server, "b"));
    let body = json!({"user_id": 1, "title": "t", "message": "m"});
    assert_eq!(a.post("/notifications", &body).await.good()["id"], 1);
    a.call("PUT", "/users/1", r#"{"username":"ada"}"#).await.good();
    a.post("/admin/alerts", &json!({"alert_type": "new_subscription", "data": 1})).await.good();
    assert_eq!(
        b.get("/users/1/notifications").await.good_at_pos(),
        json!({"data": [], "unread_count": 0, "next_before": null})
    );
    assert_eq!(b.get("/admin/alerts").await.good()["data"], json!([]));
    let tenant = b.get("/stats").await.good()["tenant"].clone();
    assert_eq!(
        (&tenant["name"], &tenant["users"], &tenant["notifications_sent"]),
        (&json!("beta"), &json!(0), &json!(0))
    );
    // What is another's looks exactly like what is nobody's.
    for (method, of_another, of_nobody) in [
        ("GET", "/users/1", "/users/2"),
        ("POST", "/users/1/notifications/1/read", "/users/2/notifications/1/read"),
        ("DELETE", "/users/1/notifications/1", "/users/2/notifications/1"),
    ] {
        let (other, none) = (b.call(method, of_another, "").await, b.call(method, of_nobody, "").await);
        assert_eq!(
            (other.status, other.text.replace('2', "1")),
            (404, none.text.replace('2', "1")),
            "{method} {of_another}"
        );
    }
    assert_eq!(b.call("DELETE", "/users/1", "").await.good(), json!({"removed": 0}));
    assert_eq!(b.post("/notifications", &body).await.good()["id"], 1, "each tenant counts for itself");
    // Nor do their idempotency keys meet.
    assert_eq!(a.once("/notifications", "k", &body).await.good()["id"], 2);
    assert_eq!(b.once("/notifications", "k", &body).await.header("idempotency-replayed"), None);
    assert_eq!(a.get("/users/1/notifications/unread-count").await.good_at_pos(), json!({"count": 2}));
}

#[tokio::test]
async fn development_mode_answers_to_names_of_this_machine_only() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    for path in ["/stats", "//healthz", "//readyz", "//metrics", "//"] {
        for host in ["evil.com", "127.0.0.1.nip.io", "10.0.0.1:8000"] {
            let got = Got::of(api.request("GET", path).header("Host", host).send().await.expect("sent")).await;
            assert_eq!(got.error(), (403, "foreign_host".into(), None), "{path} {host}");
        }
    }
    for host in ["localhost", "LOCALHOST:1", "[::1]:8000"] {
        let got = api.request("GET", "/stats").header("Host", host).send().await.expect("sent");
        assert_eq!(got.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn counters_are_for_this_machine_or_for_a_key_that_may_read() {
    let server = with_keys(&[("read", &["read"], "default"), ("publish", &["publish"], "default")]).start();
    let nobody = Caller::new(&server, "");
    nobody.get("/stats").await;
    let text = nobody.get("//metrics").await;
    assert_eq!(text.status, 200);
    let counted = "carillon_api_calls_total{route=\"GET /stats\",status=\"401\"} 1";
    assert!(text.text.lines().any(|line| line == counted), "{}", text.text);
    let value = |name: &str| {
        let line = text.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in:\n{}", text.text)).parse::<f64>().expect("a number")
    };
    for positive in
        ["carillon_log_bytes", "carillon_log_entries", "carillon_tables_bytes", "carillon_fsync_seconds_count"]
    {
        assert!(value(positive) > 0.0, "{positive}");
    }
    assert!(value("carillon_presence_users_online") == 0.0);
    for (key, status) in [("", 401), ("wrong", 401), ("publish", 403), ("read", 200)] {
        let request = Caller::new(&server, key).request("GET", "//metrics").header("X-Forwarded-For", "127.0.0.1");
        assert_eq!(request.send().await.expect("sent").status().as_u16(), status, "{key:?} through a proxy");
    }
}
