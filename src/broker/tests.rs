//! The broker as its callers see it: sessions join, groups are published to, sockets are read.

use super::*;
use crate::{
    endpoints::Client,
    protocol::{Edition, Endpoint, InV1, SessionId},
    session::Wire,
    tally::Recipients,
};

fn group() -> Group {
    Group { tenant: Tenant::default(), name: GroupName::Presence }
}

fn event() -> Publication {
    Publication { group: group(), frames: vec!["{}".into()], v1: InV1::Same, pos: None, except: None }
}

fn session(broker: &Broker, id: u64) -> Arc<Session> {
    let (tenant, user) = (Tenant::default(), UserId::new(&id.to_string()).expect("an id"));
    let client =
        Client { id: SessionId(id), endpoint: Endpoint::Presence, edition: Edition::V0, tenant, user, place: 0 };
    Session::new(client, Wire::Own, u32::MAX, broker.common())
}

fn start(shards: usize) -> (Broker, CancellationToken) {
    let stop = CancellationToken::new();
    (Broker::start(&Limits::default(), shards, &stop, &TaskTracker::new()), stop)
}

#[tokio::test]
async fn everybody_who_joined_is_counted_over_all_shards_and_nobody_who_left() {
    let (broker, _stop) = start(3);
    let sessions: Vec<_> = (0..50).map(|id| session(&broker, id)).collect();
    for session in &sessions {
        broker.join(session, group()).await;
    }
    let tally = broker.publish(event()).expect("room");
    assert_eq!(tally.wait(Duration::from_secs(10)).await, Recipients { count: 50, partial: false });
    for session in &sessions[..20] {
        broker.leave(session);
    }
    let tally = broker.publish_durable(Publication { pos: Some(crate::protocol::Pos(1)), ..event() }).await;
    assert_eq!(tally.wait(Duration::from_secs(10)).await, Recipients { count: 30, partial: false });
    assert_eq!(broker.sessions(), 30);
}

// Nothing runs between the calls of a test on one thread that doesn't wait: the shard can't empty its queue.
#[tokio::test]
async fn a_full_queue_refuses_ephemeral_publishes_at_once_but_takes_every_leave() {
    let (broker, _stop) = start(1);
    let member = session(&broker, 1);
    broker.join(&member, group()).await;
    for _ in 0..SHARD_QUEUE_MAX {
        assert!(broker.publish(event()).is_ok());
    }
    assert_eq!(broker.publish(event()).err(), Some(PublishError::Overloaded));
    broker.leave(&member);
    while broker.sessions() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(broker.publish(event()).is_ok());
}

#[tokio::test]
async fn after_the_stop_nothing_waits_for_ever() {
    let (broker, stop) = start(2);
    stop.cancel();
    while !broker.inner.shards.iter().all(mpsc::Sender::is_closed) {
        tokio::task::yield_now().await;
    }
    broker.join(&session(&broker, 1), group()).await;
    assert_eq!(broker.publish(event()).err(), Some(PublishError::Overloaded));
    let tally = broker.publish_durable(event()).await;
    assert_eq!(tally.wait(Duration::from_secs(10)).await, Recipients { count: 0, partial: false });
}

#[tokio::test]
async fn a_panic_in_a_shard_stops_the_server_and_says_so() {
    let (failed, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let fuse = Fuse { failed: failed.clone(), shutdown: shutdown.clone() };
    let died = tokio::spawn(async move {
        let _fuse = fuse;
        panic!("as a defect in a shard would");
    });
    assert!(died.await.is_err());
    assert!(shutdown.is_cancelled() && failed.load(Relaxed));

    let (failed, shutdown) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    drop(Fuse { failed: failed.clone(), shutdown: shutdown.clone() });
    assert!(!shutdown.is_cancelled() && !failed.load(Relaxed), "an orderly end is none");
}

// The queue is full of publishes before the shard runs for the first time, and nobody reads: the kernel's buffers
// hold it all. So the only thing that could overflow an outbox is the shard itself.
#[tokio::test]
async fn a_burst_to_a_big_group_closes_nobody_whose_turn_has_not_come() {
    let (members, publishes) = (300, 2_000);
    let limits = Limits { outbox_frames: 512, ..Limits::default() };
    let broker = Broker::start(&limits, 1, &CancellationToken::new(), &TaskTracker::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut peers = Vec::new();
    for id in 0..members {
        peers.push(tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected"));
        let (stream, _) = listener.accept().await.expect("accepted");
        let template = session(&broker, id);
        let session = Session::new(template.client.clone(), Wire::Plain(stream), u32::MAX, broker.common());
        broker.join(&session, group()).await;
        session.open::<&str>(&[], crate::protocol::Pos(0));
    }
    let mut tallies = Vec::new();
    for pos in 1..=publishes {
        let publication = Publication { pos: Some(crate::protocol::Pos(pos)), ..event() };
        tallies.push(broker.publish_durable(publication).await);
    }
    for tally in tallies {
        assert_eq!(tally.wait(Duration::from_secs(30)).await, Recipients { count: members, partial: false });
    }
}

/// A session that speaks v1 and has joined the presence group, and its peer.
async fn v1_member(broker: &Broker, id: u64) -> (Arc<Session>, tokio::net::TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let peer = tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
    let (stream, _) = listener.accept().await.expect("accepted");
    let client = Client { edition: Edition::V1, ..session(broker, id).client.clone() };
    let member = Session::new(client, Wire::Plain(stream), u32::MAX, broker.common());
    broker.join(&member, group()).await;
    (member, peer)
}

// In a storm of joins each would otherwise be a frame for everybody.
#[tokio::test(start_paused = true)]
async fn a_socket_that_joins_ends_no_window_of_presence_changes_and_gets_only_what_its_greeting_lacks() {
    use crate::protocol::Pos;
    use tokio::io::AsyncReadExt;
    let (broker, _stop) = start(1);
    let change = |pos: u64| {
        let v1 = InV1::Change {
            user: UserId::new("7").expect("an id"),
            online: true,
            seen: None,
            entry: format!(r#"{{"n":{pos}}}"#),
        };
        Publication { frames: Vec::new(), v1, pos: Some(Pos(pos)), ..event() }
    };
    let message = |changes: &[u64]| {
        let changes: Vec<_> = changes.iter().map(|pos| (Pos(*pos), format!(r#"{{"n":{pos}}}"#))).collect();
        let (text, pos) = gathering::frame(&changes, 0).expect("changes");
        job::v1_message(&text, Some(pos)).bytes
    };
    let (watcher, mut watching) = v1_member(&broker, 1).await;
    watcher.open::<&str>(&[], Pos(1));
    let _ = broker.publish_durable(change(2)).await;
    let (newcomer, mut arriving) = v1_member(&broker, 2).await;
    let _ = broker.publish_durable(change(3)).await;
    newcomer.open::<&str>(&[], Pos(2));
    for (peer, changes) in [(&mut watching, &[2, 3][..]), (&mut arriving, &[3][..])] {
        let expected = message(changes);
        let mut got = vec![0; expected.len()];
        peer.read_exact(&mut got).await.expect("a frame");
        assert_eq!(got, expected, "{}", String::from_utf8_lossy(&got));
    }
}
