//! How sessions end.

use crate::harness::{closed, next, say, start, text};
use carillon::{
    broker::CloseTarget,
    config::Limits,
    protocol::{Close, Tenant, UserId},
};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

#[tokio::test]
async fn a_clients_close_is_echoed_and_the_session_is_gone() {
    let server = start(Limits::default()).await;
    let mut client = server.greeted("/ws/dashboard/?user=1").await;
    let bye = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    say(&mut client, Message::Close(Some(bye.clone()))).await;
    assert_eq!(next(&mut client).await, Message::Close(Some(bye)));
    server.sessions(0).await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_forgotten() {
    let server = start(Limits::default()).await;
    let client = server.greeted("/ws/dashboard/?user=1").await;
    server.sessions(1).await;
    drop(client);
    server.sessions(0).await;
}

#[tokio::test]
async fn one_users_sessions_are_closed_or_only_those_for_staff() {
    let server = start(Limits::default()).await;
    let mut mine = server.greeted("/ws/dashboard/?user=1").await;
    let mut staff = server.greeted("/ws/dashboard/admin/?user=1&staff=1").await;
    let mut other = server.greeted("/ws/dashboard/?user=2").await;
    let target = |staff_only| CloseTarget::User {
        tenant: Tenant::default(),
        user: UserId::new("1").expect("an id"),
        staff_only,
    };
    let tally = server.broker.close(target(true), Close::Disconnected).await;
    assert_eq!(tally.wait(Duration::from_secs(5)).await.count, 1);
    assert_eq!(closed(&mut staff).await.0, 4403);
    let tally = server.broker.close(target(false), Close::Disconnected).await;
    assert_eq!(tally.wait(Duration::from_secs(5)).await.count, 1);
    assert_eq!(closed(&mut mine).await, (4403, r#"{"code":"disconnected"}"#.to_owned()));
    assert!(server.publish(crate::harness::dashboard("2"), "still here"));
    assert_eq!(text(&mut other).await, "still here");
}

#[tokio::test]
async fn an_expired_credential_closes_its_sockets() {
    let server = start(Limits::default()).await;
    let mut client = server.greeted("/ws/dashboard/?user=1&ttl=2").await;
    assert_eq!(closed(&mut client).await, (1006, String::new()));
    let mut client = server.v1("/ws/dashboard/?user=1&ttl=2").await;
    assert_eq!(closed(&mut client).await, (4401, r#"{"code":"token_expired"}"#.to_owned()));
}

#[tokio::test]
async fn who_does_not_answer_pings_is_dropped_and_who_does_stays() {
    let limits = Limits { ping_interval_seconds: 1, ping_timeout_seconds: 1, ..Limits::default() };
    let server = start(limits).await;
    let mut dead = server.raw("/ws/dashboard/?user=1", None).await;
    let mut alive = server.greeted("/ws/dashboard/?user=1").await;
    let reading = async { while next(&mut alive).await.is_ping() {} };
    let mut bytes = Vec::new();
    tokio::select! {
        end = dead.read_to_end(&mut bytes) => drop(end),
        () = reading => panic!("something other than a ping"),
    }
    assert!(bytes.starts_with(&[0x89, 0]), "it was asked first: {bytes:?}");
    server.sessions(1).await;
}

#[tokio::test]
async fn a_stopping_server_says_goodbye_to_all() {
    let server = start(Limits::default()).await;
    let mut client = server.greeted("/ws/dashboard/?user=1").await;
    let mut v1 = server.v1("/ws/dashboard/?user=1").await;
    server.shutdown.cancel();
    assert_eq!((closed(&mut client).await.0, closed(&mut v1).await.0), (1006, 1001));
    server.tracker.close();
    server.tracker.wait().await;
}
