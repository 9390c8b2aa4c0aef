//! Two tenants with the same user ids on one server: nothing that one's backend or pages do is seen by the other.

mod support;

use carillon::{
    auth::{Grant, sign},
    config::{JwtAlgorithm, JwtKey},
    protocol::{Tenant, Timestamp, UserId},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use support::{Api, Options, PATHS, Server, Socket, User, socket};

const SECRET: &[u8] = b"a secret of more than 32 bytes that signs for two tenants";

/// The same person, as far as ids and names tell, in both.
const ANN: User<'static> = User { id: "1", username: "ann", first_name: "Ann", last_name: "Ash", is_staff: true };
const BEN: User<'static> = User { id: "2", username: "ben", first_name: "", last_name: "", is_staff: false };

/// One of the two: its backend, and sockets of user 1 on every endpoint, two on notifications.
struct House {
    name: &'static str,
    api: Api,
    sockets: Vec<Socket>,
}

fn server() -> Server {
    let hash =
        |key: &str| carillon::auth::hash_api_key(key).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let key = |tenant: &str| {
        let (hash, scopes) = (hash(tenant), r#"["publish", "read", "admin"]"#);
        format!(r#"{{id = "{tenant}", hash = "{hash}", scopes = {scopes}, tenant = "{tenant}"}}"#)
    };
    let secret = std::str::from_utf8(SECRET).expect("ASCII");
    Options::default()
        .set("AUTH__API_KEYS", format!("[{}, {}]", key("red"), key("blue")))
        .set("AUTH__JWT", format!(r#"[{{id = "both", secret = "{secret}", tenants = ["red", "blue"]}}]"#))
        .set("PRESENCE__GRACE_SECONDS", 0)
        .start()
}

async fn connect(server: &Server, tenant: &str, (path, user): (&str, User<'_>)) -> (Socket, Vec<Value>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let grant = Grant {
        user: UserId::new(user.id).expect("an id"),
        tenant: Tenant::new(tenant).expect("a tenant"),
        username: user.username.into(),
        first_name: user.first_name.into(),
        last_name: user.last_name.into(),
        is_staff: user.is_staff,
        issuer: None,
        audience: None,
        issued_at: Timestamp::from_seconds(now.try_into().expect("before the end of time")),
        ttl_seconds: 3_600,
    };
    let key = JwtKey {
        tenants: vec![Tenant::new("red").expect("a tenant"), Tenant::new("blue").expect("a tenant")],
        ..JwtKey::secret("both", JwtAlgorithm::Hs256, SECRET)
    };
    let token = sign(&key, &grant).expect("signed");
    let request = socket::request(server.address(), path, Some(&token));
    let mut socket = Socket::open(request, path, user).await.expect("let in");
    let greeting = socket.skip_greeting().await;
    (socket, greeting)
}

impl House {
    async fn open(server: &Server, name: &'static str) -> Self {
        let api = server.api().with_key(name);
        let mut sockets = Vec::new();
        for path in PATHS.into_iter().chain(["/ws/notifications/"]) {
            sockets.push(connect(server, name, (path, ANN)).await.0);
        }
        let mut house = Self { name, api, sockets };
        house.hear().await;
        house
    }

    /// Everything that all its sockets were sent since the last time, per socket.
    async fn hear(&mut self) -> Vec<Vec<Value>> {
        let mut heard = Vec::new();
        for socket in &mut self.sockets {
            heard.push(socket.until_marker(&self.api).await);
        }
        heard
    }
}

/// Every kind of publish and every change that reaches sockets, with who hears it: indices into [`House::sockets`].
fn publishes() -> Vec<(&'static str, &'static str, Value, &'static [usize])> {
    let data = json!({"data": {"plan_name": "A", "status": "active", "amount": "1.00"}});
    let message = json!({"type": "notification_message", "message": "m"});
    let of_type = |kind: &str| json!({"type": kind, "data": {"id": 1}});
    let person = json!({"type": "user_online", "user_id": 9, "username": "x", "first_name": "", "last_name": ""});
    let note = |users: Value| json!({"user_ids": users, "title": "t", "message": "m"});
    vec![
        ("POST", "/notifications", json!({"user_id": 1, "title": "t", "message": "m"}), &[4, 6]),
        ("POST", "/notifications", note(json!([1, 2])), &[4, 6]),
        ("POST", "/users/1/notifications/1/read", Value::Null, &[4, 6]),
        ("POST", "/users/1/notifications/1/unread", Value::Null, &[4, 6]),
        ("DELETE", "/users/1/notifications/1", Value::Null, &[4, 6]),
        ("POST", "/users/1/notifications/read-all", Value::Null, &[4, 6]),
        ("POST", "/users/1/dashboard", json!({"data": {"total_subscriptions": 4}}), &[0]),
        ("POST", "/users/1/subscriptions", data.clone(), &[2]),
        ("POST", "/users/1/payments", data.clone(), &[2]),
        ("POST", "/users/1/expiry-warnings", data, &[2]),
        ("POST", "/admin/dashboard", json!({"data": {"n": 1}}), &[1]),
        ("POST", "/admin/alerts", json!({"alert_type": "new_subscription", "data": {"n": 1}}), &[3]),
        ("POST", "/broadcasts", json!({"message": "m"}), &[1, 3]),
        ("POST", "/multicast", json!({"user_ids": [1, 2], "message_data": {"message": "m"}}), &[4, 6]),
        ("POST", "/groups/dashboard_user_1/send", message.clone(), &[0]),
        ("POST", "/groups/admin_dashboard/send", of_type("system_update"), &[1]),
        ("POST", "/groups/subscriptions_user_1/send", of_type("payment_confirmation"), &[2]),
        ("POST", "/groups/subscription_admin/send", of_type("new_subscription_alert"), &[3]),
        ("POST", "/groups/notifications_user_1/send", message, &[4, 6]),
        ("POST", "/groups/presence/send", person, &[5]),
        (
            "POST",
            "/batch",
            json!({"calls": [
            {"call": "send_notification", "args": {"user_id": 1, "title": "t", "message": "m"}}]}),
            &[4, 6],
        ),
    ]
}

#[tokio::test]
async fn no_publish_of_one_tenant_reaches_a_socket_of_the_other() {
    let server = server();
    let (mut red, mut blue) = (House::open(&server, "red").await, House::open(&server, "blue").await);
    red.hear().await;
    for (method, path, body, wanted) in publishes() {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let body = Some(&body).filter(|body| !body.is_null());
        let answer = red.api.call(method.clone(), &format!("/api/v1{path}"), body, None).await.expect("answered");
        assert!((200..300).contains(&answer.status), "{method} {path}: {answer:?}");
        let heard: Vec<_> = red.hear().await.iter().map(|frames| !frames.is_empty()).collect();
        let wanted: Vec<_> = (0..heard.len()).map(|nth| wanted.contains(&nth)).collect();
        assert_eq!(heard, wanted, "{method} {path} in red");
        for (nth, frames) in blue.hear().await.iter().enumerate() {
            assert!(frames.is_empty(), "{method} {path} of red reached socket {nth} of blue: {frames:?}");
        }
    }
}

#[tokio::test]
async fn lists_counts_read_state_figures_and_presence_are_each_tenants_own() {
    let server = server();
    let (mut red, mut blue) = (House::open(&server, "red").await, House::open(&server, "blue").await);
    red.hear().await;
    for house in [&red, &blue] {
        let count = if house.name == "red" { 3 } else { 1 };
        for nth in 1..=count {
            assert_eq!(house.api.notify("1", house.name).await, nth, "ids are counted from 1 in {}", house.name);
        }
        house.api.put("/users/1", &ANN.profile()).await.ok();
    }
    red.api.put("/users/2", &BEN.profile()).await.ok();
    let subscription = json!({"data": {"id": 7, "plan_name": "red plan", "status": "active", "amount": "1.00"}});
    red.api.post("/users/1/subscriptions", &subscription).await.ok();
    red.api.post("/users/1/dashboard", &json!({"data": {"total_subscriptions": 4}})).await.ok();
    red.hear().await;
    blue.hear().await;

    // Reading the id that both have changes one's own.
    red.sockets[4].send(&json!({"type": "mark_as_read", "notification_id": 1})).await;
    red.sockets[4].expect(json!({"type": "notification_marked_read", "notification_id": 1})).await;
    assert_eq!(red.sockets[6].next().await["type"], "notification_read");
    assert_eq!(red.sockets[6].next().await["count"], 2);
    assert!(blue.hear().await.concat().is_empty());

    for (house, unread, titles) in [(&mut red, 2, 3), (&mut blue, 1, 1)] {
        let name = house.name;
        assert_eq!(house.sockets[4].ask("request_unread_count").await["count"], unread, "{name}");
        let list = house.sockets[4].ask("request_notifications").await;
        let list = list["data"].as_array().expect("a list").clone();
        assert!(list.len() == titles && list.iter().all(|item| item["title"] == name), "{name}: {list:?}");
        let is_red = u64::from(name == "red");
        assert_eq!(house.sockets[0].ask("request_dashboard_update").await["data"]["total_subscriptions"], 4 * is_red);
        let status = house.sockets[2].ask("request_subscription_status").await;
        assert_eq!(status["data"]["total_active_count"], is_red);
        let history = house.sockets[2].ask("request_subscription_history").await;
        assert_eq!(history["data"].as_array().map(Vec::len), Some(usize::from(name == "red")));
        assert_eq!(house.sockets[3].ask("request_subscription_stats").await["data"]["total_subscriptions"], is_red);
        assert_eq!(house.sockets[1].ask("request_system_stats").await["data"]["total_users"], 1 + is_red);
    }
    blue.sockets[4].send(&json!({"type": "mark_all_as_read"})).await;
    blue.sockets[4].expect(json!({"type": "all_notifications_marked_read"})).await;
    assert!(red.hear().await.concat().is_empty());
    assert_eq!(red.sockets[4].ask("request_unread_count").await["count"], 2);
    let foreign = blue.api.get("/users/1/notifications?limit=10").await.ok();
    assert_eq!(foreign["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(blue.api.get("/users/2").await.status, 404, "ben is red's");
}

#[tokio::test]
async fn who_comes_goes_is_erased_or_sent_away_in_one_tenant_is_unheard_of_in_the_other() {
    let server = server();
    let (mut red, mut blue) = (House::open(&server, "red").await, House::open(&server, "blue").await);
    red.hear().await;
    // Ben comes in red alone: red hears it, blue's list of who is online stays as it is.
    let (ben, greeting) = connect(&server, "red", ("/ws/presence/", BEN)).await;
    assert_eq!(greeting[0]["data"], json!([ANN.person()]));
    assert_eq!(red.sockets[5].next().await["type"], "user_online");
    let (other, greeting) = connect(&server, "blue", ("/ws/presence/", ANN)).await;
    assert_eq!(greeting[0]["data"], json!([ANN.person()]), "ann's other tab is there, and no ben");
    other.close().await;
    assert_eq!(blue.api.get("/presence").await.ok()["online"], json!([ANN.person()]));
    let asked = blue.api.get("/presence?user_ids=1,2").await.ok();
    let ids: Vec<_> = asked["online"].as_array().expect("a list").iter().map(|user| &user["user_id"]).collect();
    assert_eq!(ids, [1]);
    ben.close().await;
    assert_eq!(red.sockets[5].next().await["type"], "user_offline");
    assert!(blue.hear().await.concat().is_empty());

    // Sent away, then erased: only in red.
    red.api.post("/users/1/disconnect", &json!({"revoke": true})).await.ok();
    for socket in &mut red.sockets {
        assert_eq!(socket.closed().await.0, 4403);
    }
    red.api.delete("/users/1").await.ok();
    blue.api.notify("1", "still here").await;
    let heard = blue.hear().await;
    let counts: Vec<_> = heard.iter().map(Vec::len).collect();
    assert_eq!(counts, [0, 0, 0, 0, 2, 0, 2], "{heard:?}");
    connect(&server, "blue", ("/ws/dashboard/", ANN)).await.0.close().await;
}
