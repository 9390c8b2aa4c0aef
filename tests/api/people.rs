//! Users, presence, and closing sockets.

use crate::{
    http::Caller,
    support::{ALICE, BOB, Options, ROOT, Server, User, until},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_user_is_what_the_backend_states() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let put = async |body: &Value| api.call("PUT", "/users/7", &body.to_string()).await.good();
    assert_eq!(api.get("/users/7").await.error().0, 404);
    let mut row = json!({"user_id": 7, "username": "ada", "first_name": "", "last_name": "", "is_active": true, "is_staff": false});
    assert_eq!(put(&json!({"username": "ada"})).await, row);
    row["first_name"] = json!("Ada");
    row["is_staff"] = json!(true);
    assert_eq!(put(&json!({"username": "ada", "first_name": "Ada", "is_staff": true})).await, row);
    assert_eq!(put(&json!({"username": "ada", "last_name": null})).await, row, "what is left out stays");
    assert_eq!(api.get("/users/7").await.good(), row);
    api.post("/notifications", &json!({"user_id": 7, "title": "t", "message": "m"})).await.good();
    // Directory, inbox, notification, and the event in the journal.
    assert_eq!(api.call("DELETE", "/users/7", "").await.good(), json!({"removed": 4}));
    assert_eq!(api.get("/users/7").await.error().0, 404);
    assert_eq!(api.get("/users/7/notifications").await.good()["unread_count"], 0);
    assert_eq!(api.call("DELETE", "/users/7", "").await.good(), json!({"removed": 0}));
}

#[tokio::test]
async fn losing_rights_closes_the_sockets_concerned() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let mut admin = server.greeted("/ws/dashboard/admin/", ROOT).await;
    let mut plain = server.greeted("/ws/dashboard/", ROOT).await;
    api.call("PUT", "/users/3", r#"{"username":"root","is_staff":false}"#).await.good();
    assert_eq!(admin.closed().await.0, 4403);
    plain.expect_nothing(&server.api()).await;
    api.call("PUT", "/users/3", r#"{"username":"root","is_active":false}"#).await.good();
    assert_eq!(plain.closed().await.0, 4403);
}

#[tokio::test]
async fn disconnecting_closes_every_socket_of_the_user_and_of_nobody_else() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let close = async |body: &str| api.call("POST", "/users/1/disconnect", body).await.good();
    for body in ["", "{\"revoke\":true}"] {
        let mut bobs = server.greeted("/ws/dashboard/", BOB).await;
        let mut first = server.greeted("/ws/dashboard/", ALICE).await;
        let mut second = server.greeted("/ws/notifications/", ALICE).await;
        assert_eq!(close(body).await, json!({"closed": 2}), "{body}");
        assert_eq!(first.closed().await, (4403, json!({"code": "disconnected"})));
        assert_eq!(second.closed().await.0, 4403);
        bobs.expect_nothing(&server.api()).await;
    }
    assert_eq!(close("{}").await, json!({"closed": 0}));
}

#[tokio::test]
async fn a_revoked_token_opens_nothing() {
    let server = Server::dev();
    let api = Caller::new(&server, "dev");
    let token = ALICE.token();
    let open = async || {
        use crate::support::socket::{request, status};
        status(request(server.address(), "/ws/dashboard/", Some(&token))).await
    };
    assert_eq!(open().await, 101);
    api.post("/users/1/disconnect", &json!({})).await.good();
    assert_eq!(open().await, 101, "closing is not revoking");
    api.post("/users/1/disconnect", &json!({"revoke": true})).await.good();
    assert_eq!(open().await, 403);
}

#[tokio::test]
async fn presence_is_told_of_one_of_some_and_of_all() {
    let server = Options::default().set("PRESENCE__GRACE_SECONDS", 0).start();
    let api = Caller::new(&server, "dev");
    let never =
        json!({"user_id": "nobody", "is_online": false, "last_seen": null, "last_activity": null, "connections": 0});
    assert_eq!(api.get("/users/nobody/presence").await.good_at_pos(), never);
    let ids: Vec<String> = (10..15).map(|n| n.to_string()).collect();
    let mut sockets = Vec::new();
    for id in &ids {
        sockets.push(server.greeted("/ws/presence/", User::named(id)).await);
    }
    let second = server.greeted("/ws/presence/", User::named("10")).await;
    let one = api.get("/users/10/presence").await.good();
    assert_eq!((&one["user_id"], &one["is_online"], &one["connections"]), (&json!(10), &json!(true), &json!(2)));
    assert!(one["last_seen"].is_string(), "{one}");
    sockets[0].send(&json!({"type": "heartbeat"})).await;
    sockets[0].until_pong().await;
    assert!(api.get("/users/10/presence").await.good()["last_activity"].is_string());

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/presence?limit=2{after}")).await.good();
        seen.extend(page["online"].as_array().expect("a list").clone());
        match page["next_after"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids.iter().map(|id| User::named(id).person()).collect::<Vec<_>>());

    let some = api.get("/presence?user_ids=10,nobody").await.good();
    assert_eq!((some["online"].as_array().map(Vec::len), &some["users"][1]), (Some(1), &never));
    assert_eq!(some["online"][0], some["users"][0]);

    second.close().await;
    sockets.remove(0).close().await;
    until("user 10 offline", async || {
        let one = api.get("/users/10/presence").await.good();
        (one["is_online"] == false && one["connections"] == 0).then_some(())
    })
    .await;
    assert_eq!(api.get("/presence").await.good()["online"].as_array().map(Vec::len), Some(4));
}
