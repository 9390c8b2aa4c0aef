//! What reaches a socket, in which order, and what a slow reader does to others.

use crate::harness::{closed, dashboard, publication, start, text};
use carillon::{
    config::Limits,
    protocol::{GroupName, SessionId},
};
use std::time::Duration;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn nothing_comes_before_the_greeting_and_nothing_published_after_it_is_missed() {
    let server = start(Limits::default()).await;
    let publishing = async {
        let mut n = 0_u64;
        loop {
            server.publish_soon(&dashboard("1"), &n.to_string()).await;
            n += 1;
            tokio::task::yield_now().await;
        }
    };
    let clients = async {
        for _ in 0..30 {
            // `greeted` fails if anything stands before the greeting.
            let mut client = server.greeted("/ws/dashboard/?user=1").await;
            let first: u64 = text(&mut client).await.parse().expect("a number");
            for n in first + 1..first + 20 {
                assert_eq!(text(&mut client).await, n.to_string());
            }
        }
    };
    tokio::select! {
        () = publishing => {}
        () = clients => {}
    }
}

#[tokio::test]
async fn each_endpoint_hears_its_own_group_and_a_session_can_be_left_out() {
    let server = start(Limits::default()).await;
    let mut one = server.greeted("/ws/dashboard/?user=1").await;
    let mut admin = server.greeted("/ws/dashboard/admin/?user=1&staff=1").await;
    let mut two = server.greeted("/ws/dashboard?user=2").await;
    assert!(server.publish(dashboard("1"), "for one"));
    assert!(server.publish(GroupName::AdminDashboard, "for admins"));
    assert!(server.publish(dashboard("2"), "for two"));
    assert_eq!(text(&mut one).await, "for one");
    assert_eq!(text(&mut admin).await, "for admins");
    assert_eq!(text(&mut two).await, "for two");

    // The first session.
    let mut left_out = publication(dashboard("1"), "not for one", None);
    left_out.except = Some(SessionId::first_of((1, 1)));
    let tally = server.broker.publish(left_out).expect("room");
    assert_eq!(tally.wait(Duration::from_secs(5)).await.count, 0);
    let tally = server.broker.publish(publication(dashboard("1"), "last", None)).expect("room");
    assert_eq!(tally.wait(Duration::from_secs(5)).await.count, 1);
    assert_eq!(text(&mut one).await, "last");
}

#[tokio::test]
async fn a_reader_who_stops_loses_ephemeral_frames_and_delays_nobody() {
    let server = start(Limits { outbox_frames: 64, ..Limits::default() }).await;
    let mut stuck = server.raw("/ws/dashboard/?user=1", Some(4_096)).await;
    let mut quick = server.greeted("/ws/dashboard/?user=1").await;
    let filler = "x".repeat(16 << 10);
    let count = 2_000;
    for n in 0..count {
        let tally = server.broker.publish(publication(dashboard("1"), &format!("{n:05}{filler}"), None)).expect("room");
        assert!(!tally.wait(Duration::from_secs(5)).await.partial);
        assert_eq!(text(&mut quick).await[..5], format!("{n:05}"));
    }
    // The stuck one is still there; what it gets now ascends, with a gap.
    let mut bytes = vec![0; 4 << 20];
    let mut seen = Vec::new();
    while seen.last() != Some(&count) {
        server.publish_soon(&dashboard("1"), &format!("{count:05}{filler}")).await;
        let read = stuck.read(&mut bytes).await.expect("still open");
        assert!(read > 0, "closed");
        for at in 0..read.saturating_sub(9) {
            if bytes[at] == 0x81 && bytes[at + 1] == 126 {
                let number = std::str::from_utf8(&bytes[at + 4..at + 9]).ok().and_then(|n| n.parse::<u32>().ok());
                seen.extend(number);
            }
        }
    }
    assert!(seen.is_sorted());
    assert!(seen.len() < count as usize, "nothing was dropped");
}

#[tokio::test]
async fn a_reader_who_stops_is_closed_when_a_durable_frame_has_no_room() {
    let server = start(Limits { outbox_bytes: 256 << 10, ..Limits::default() }).await;
    let _stuck = server.raw("/ws/dashboard/?user=1", Some(4_096)).await;
    let mut quick = server.greeted("/ws/dashboard/?user=1").await;
    let filler = "x".repeat(16 << 10);
    let mut n = 0;
    while server.broker.sessions() == 2 {
        n += 1;
        server.publish_durable(dashboard("1"), &format!("{n:06}{filler}"), n).await;
        assert_eq!(text(&mut quick).await[..6], format!("{n:06}"));
    }
    server.publish_durable(dashboard("1"), "still here", n + 1).await;
    assert_eq!(text(&mut quick).await, "still here");
}

#[tokio::test]
async fn a_burst_of_durable_frames_to_many_does_not_close_those_who_read() {
    let server = start(Limits { outbox_frames: 512, ..Limits::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(server.greeted("/ws/dashboard/?user=1").await);
    }
    let count = 2_000;
    let reading = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            for n in 1..=count {
                assert_eq!(text(&mut client).await, n.to_string());
            }
        })
    });
    let reading: Vec<_> = reading.collect();
    for n in 1..=count {
        server.publish_durable(dashboard("1"), &n.to_string(), n).await;
    }
    for reader in reading {
        reader.await.expect("all of them, in order");
    }
}

#[tokio::test]
async fn a_drain_closes_everybody_with_1012_and_a_hint_or_without_a_frame_and_lets_nobody_in() {
    let server = start(Limits::default()).await;
    let (mut clients, mut old) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        clients.push(server.v1("/ws/dashboard/?user=1").await);
        old.push(server.greeted("/ws/dashboard/?user=1").await);
    }
    server.broker.drain(Duration::from_millis(300), Vec::new());
    let mut reasons = std::collections::BTreeSet::new();
    for client in &mut clients {
        let (code, reason) = closed(client).await;
        assert_eq!(code, 1012);
        assert!(reason.starts_with(r#"{"code":"drain","retry_after_ms":"#), "{reason}");
        reasons.insert(reason);
    }
    assert!(reasons.len() > 10, "hints are spread: {reasons:?}");
    for client in &mut old {
        assert_eq!(closed(client).await.0, 1006, "the old client comes back only after an end without a close frame");
    }
    let late = server.connect("/ws/dashboard/?user=1").await;
    assert!(late.is_err_and(|e| e.to_string().contains("503")));
    drop((clients, old));
    server.sessions(0).await;
    server.shutdown.cancel();
    server.tracker.close();
    server.tracker.wait().await;
}
