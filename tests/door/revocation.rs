//! Every way in against every way out: sockets close at once, and nobody comes back on what they had.

use crate::{
    app::{App, Reply},
    forbidden, greeted, refused,
    support::{ALICE, Api, BOB, Options, ROOT, Server, User, socket, until},
    with_cookie, with_ticket,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::client::Request;

const COOKIE: &str = "sessionid=of-the-user";

/// How somebody comes in. A second handshake is made with what was had before the way out was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Bearer,
    Cookie,
    Subprotocol,
    Ticket,
    Webhook,
}

/// How somebody is shown out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    Revoked,
    Deactivated,
    NoStaff,
    RevokedAndErased,
}

impl In {
    const ALL: [Self; 5] = [Self::Bearer, Self::Cookie, Self::Subprotocol, Self::Ticket, Self::Webhook];

    async fn request(self, server: &Server, path: &str, user: User<'_>) -> Request {
        let token = user.token();
        match self {
            Self::Bearer => socket::request(server.address(), path, Some(&token)),
            Self::Cookie => with_cookie(server, path, &format!("carillon_token={token}")),
            Self::Webhook => with_cookie(server, path, COOKIE),
            Self::Subprotocol => {
                let mut request = with_cookie(server, path, "a=b");
                let offer = format!("carillon.v0, carillon.token.{token}").parse().expect("ASCII");
                request.headers_mut().insert("sec-websocket-protocol", offer);
                request
            }
            Self::Ticket => {
                let body = json!({"user_id": user.id, "username": user.username, "is_staff": user.is_staff});
                let issued = server.api().post("/tickets", &body).await.ok();
                with_ticket(server, path, issued["ticket"].as_str().expect("a ticket"))
            }
        }
    }
}

impl Out {
    const ALL: [Self; 4] = [Self::Revoked, Self::Deactivated, Self::NoStaff, Self::RevokedAndErased];

    async fn take(self, api: &Api, user: User<'_>) {
        let path = format!("/users/{}", user.id);
        let put = |field: &str| {
            let mut body = user.profile();
            body[field] = false.into();
            body
        };
        match self {
            Self::Revoked => {
                let closed = api.post(&format!("{path}/disconnect"), &json!({"revoke": true})).await.ok();
                assert_eq!(closed["closed"], 1);
            }
            Self::Deactivated => drop(api.put(&path, &put("is_active")).await.ok()),
            Self::NoStaff => drop(api.put(&path, &put("is_staff")).await.ok()),
            Self::RevokedAndErased => {
                api.post(&format!("{path}/disconnect"), &json!({"revoke": true})).await.ok();
                api.delete(&path).await.ok();
            }
        }
    }
}

#[tokio::test]
async fn sockets_close_at_once_and_what_opened_them_opens_nothing_more() {
    for out in Out::ALL {
        let app = App::start().await;
        let server = app.options().start();
        let api = server.api();
        for (nth, way) in In::ALL.into_iter().enumerate() {
            let id = (100 + nth).to_string();
            let user = User { id: &id, is_staff: true, ..ROOT };
            app.answer(COOKIE, Reply::user(user, 300));
            let path = "/ws/dashboard/admin/";
            // Two of a kind: one is used now, the other was had before and is used afterwards.
            let (now, then) = (way.request(&server, path, user).await, way.request(&server, path, user).await);
            let mut socket = greeted(now, user).await;
            let bystander = User { id: "7", ..BOB };
            let mut other = server.greeted("/ws/dashboard/", bystander).await;
            if way == In::Webhook {
                // The app, too, has heard that this user may no longer come in; what it said before is kept here.
                app.answer(COOKIE, Reply::nobody());
            }
            out.take(&api, user).await;
            assert_eq!(socket.closed().await, (4403, json!({"code": "disconnected"})), "{way:?} {out:?}");
            assert_eq!(refused(then).await, forbidden(), "{way:?} {out:?}");
            assert_eq!(other.ask("heartbeat").await["type"], "heartbeat_response", "{way:?} {out:?}: another user's");
            other.close().await;
        }
    }
}

#[tokio::test]
async fn who_signs_in_again_after_a_revocation_is_let_in() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 300));
    let server = app.options().start();
    let api = server.api();
    greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await.close().await;
    api.post("/users/1/disconnect", &json!({"revoke": true})).await.ok();
    // The app's word is asked for anew, and a ticket is new: both are from after the revocation.
    greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    assert_eq!(app.asked(COOKIE), 2);
    greeted(In::Ticket.request(&server, "/ws/dashboard/", ALICE).await, ALICE).await;
    // A token says its second only: one from the second of the revocation may be older and stays out.
    until("the second of the revocation is over", || async {
        (socket::status(In::Bearer.request(&server, "/ws/dashboard/", ALICE).await).await == 101).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_token_from_the_second_of_the_revocation_stays_out_and_so_does_one_from_a_fast_clock() {
    // With leeway, a token may say that it was issued later than it was.
    let server = Options::default().set("AUTH__LEEWAY_SECONDS", 60).start();
    let token = ALICE.token_issued_in(30, 3_600);
    let mut alice = greeted(socket::request(server.address(), "/ws/dashboard/", Some(&token)), ALICE).await;
    server.api().post("/users/1/disconnect", &json!({"revoke": true})).await.ok();
    assert_eq!(alice.closed().await.0, 4403);
    for token in [token, ALICE.token()] {
        assert_eq!(refused(socket::request(server.address(), "/ws/dashboard/", Some(&token))).await, forbidden());
    }
}

#[tokio::test]
async fn a_plain_disconnect_has_the_app_asked_again() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 300));
    let server = app.options().start();
    let mut alice = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    greeted(with_cookie(&server, "/ws/notifications/", COOKIE), ALICE).await;
    assert_eq!(app.asked(COOKIE), 1);
    app.answer(COOKIE, Reply::nobody());
    server.api().post("/users/1/disconnect", &Value::Null).await.ok();
    assert_eq!(alice.closed().await.0, 4403);
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", COOKIE)).await, forbidden());
    assert_eq!(app.asked(COOKIE), 2);
}

#[tokio::test]
async fn the_apps_yes_does_not_outweigh_that_the_backend_has_deactivated_the_user() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 1));
    let server = app.options().start();
    let mut alice = greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    let put = |is_active: bool| json!({"username": "alice", "is_active": is_active});
    server.api().put("/users/1", &put(false)).await.ok();
    assert_eq!(alice.closed().await.0, 4403);
    for _ in 0..3 {
        assert_eq!(refused(with_cookie(&server, "/ws/dashboard/", COOKIE)).await, forbidden());
    }
    server.api().put("/users/1", &put(true)).await.ok();
    greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
}

#[tokio::test]
async fn a_crash_does_not_bring_back_who_was_shown_out() {
    let app = App::start().await;
    app.answer(COOKIE, Reply::user(ALICE, 300));
    let mut server = app.options().start();
    let token = ALICE.token();
    greeted(with_cookie(&server, "/ws/dashboard/", COOKIE), ALICE).await;
    server.api().post("/users/1/disconnect", &json!({"revoke": true})).await.ok();
    server.api().put("/users/2", &json!({"username": "bob", "is_active": false})).await.ok();
    server.kill_and_restart();
    for token in [token, BOB.token()] {
        assert_eq!(refused(socket::request(server.address(), "/ws/dashboard/", Some(&token))).await, forbidden());
    }
}
