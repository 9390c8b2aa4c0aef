//! Leaving: SIGTERM, a second SIGTERM, and a disk that is full.

mod support;

use serde_json::json;
use support::{ALICE, BOB, Options, ROOT, socket, v1::V1Socket};

#[tokio::test]
async fn on_sigterm_sockets_are_sent_away_over_the_drain_time_and_the_process_ends_well() {
    let mut server = Options::default().set("DRAIN__SECONDS", 1).start();
    let address = server.address();
    let (mut sockets, mut old) = (Vec::new(), Vec::new());
    for path in ["/ws/dashboard/", "/ws/subscriptions/", "/ws/notifications/", "/ws/presence/"] {
        for user in [ALICE, BOB, ROOT] {
            sockets.push(V1Socket::greeted(&server, path, user).await);
            old.push(server.greeted(path, user).await);
        }
    }
    server.terminate();
    let mut hints = Vec::new();
    for socket in &mut sockets {
        let (code, reason) = socket.closed().await;
        assert_eq!((code, &reason["code"]), (1012, &json!("drain")));
        hints.push(reason["retry_after_ms"].as_u64().expect("a hint"));
    }
    assert!(hints.iter().any(|hint| *hint != hints[0]), "everybody would come back at once: {hints:?}");
    for socket in &mut old {
        assert_eq!(socket.closed().await.0, 1006, "the old client comes back only after an end without a close frame");
    }
    let ended = server.ended();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!ended.said.contains("ERROR") && !ended.said.contains("did not end in time"), "{ended:#?}");
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn while_draining_it_is_alive_but_not_ready_and_takes_no_new_sockets() {
    let mut server = Options::default().set("DRAIN__SECONDS", 600).start();
    let api = server.api();
    assert_eq!(api.get_root("/readyz").await.status, 200);
    let mut one = server.greeted("/ws/dashboard/", ALICE).await;
    let other = server.greeted("/ws/dashboard/", ALICE).await;
    server.terminate();
    let readiness = support::until("not ready", || async {
        Some(api.get_root("/readyz").await).filter(|answer| answer.status != 200)
    });
    assert_eq!(readiness.await.status, 503);
    assert_eq!(api.get_root("/healthz").await.status, 200);
    let handshake = socket::request(server.address(), "/ws/dashboard/", Some(&ALICE.token()));
    assert_eq!(socket::status(handshake).await, 503);
    // Sockets whose turn has not come are served on.
    one.send(&json!({"type": "heartbeat"})).await;
    one.expect(json!({"type": "heartbeat_response", "timestamp": null})).await;
    drop((one, other));
    let ended = server.ended();
    assert_eq!(ended.code, Some(0), "nobody is left to wait for: {ended:#?}");
}

#[tokio::test]
async fn a_second_sigterm_ends_it_at_once() {
    let mut server = Options::default().set("DRAIN__SECONDS", 600).start();
    // More than one of each user: the first of each shard is sent away at once.
    let mut sockets = Vec::new();
    for user in [ALICE, BOB, ALICE, BOB] {
        sockets.push(server.greeted("/ws/dashboard/", user).await);
    }
    let api = server.api();
    server.terminate();
    support::until("draining", || async { (api.get_root("/readyz").await.status == 503).then_some(()) }).await;
    server.terminate();
    let ended = server.ended();
    assert_eq!(ended.code, Some(0), "it did what it was told: {ended:#?}");
    assert!(ended.said.contains("a second signal"), "{ended:#?}");
    sockets.iter_mut().for_each(drop);
}
