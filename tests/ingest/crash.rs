//! Killed in the middle, again and again: whoever repeats what was not answered has everything once, in order.

use crate::{
    client::{Stream, notify},
    support::{Random, Server, inbox},
};
use serde_json::Value;

const USERS: u64 = 3;
const CALLS: u64 = 4_000;
const KILLS: u64 = 6;

/// Sends what has not been answered yet and notes what is, until `enough` are or the stream breaks.
async fn go_on(server: &Server, answered: &mut u64, enough: u64) {
    let Ok(mut stream) = Stream::try_open(server.address(), "dev").await else { return };
    let calls: Vec<Value> = (*answered..CALLS).map(|nth| notify(nth % USERS, nth)).collect();
    let (mut sent, first) = (0, *answered);
    while *answered < enough {
        // At most 500 under way.
        while sent < calls.len() && (first + sent as u64) < *answered + 500 {
            let more = (sent + 25).min(calls.len());
            stream.send(&calls[sent..more]).await;
            sent = more;
        }
        let Ok(answer) = stream.next().await else { return };
        assert_eq!((answer["id"].as_u64(), answer["status"].as_u64()), (Some(*answered), Some(201)), "{answer}");
        *answered += 1;
    }
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_happens_twice_through_kills() {
    let mut server = Server::dev();
    let mut random = Random::from_env("INGEST_SEED");
    let mut answered = 0;
    for kill in 1..=KILLS {
        let enough = CALLS * kill / (KILLS + 1) + random.next() % 200;
        go_on(&server, &mut answered, enough).await;
        // Hundreds are under way.
        server.kill_and_restart();
    }
    go_on(&server, &mut answered, CALLS).await;
    assert_eq!(answered, CALLS);
    for user in 0..USERS {
        let kept = inbox::of(&server.api(), &user.to_string()).await;
        let titles: Vec<u64> =
            kept.values().map(|n| n["title"].as_str().expect("text").parse().expect("a number")).collect();
        let expected: Vec<u64> = (0..CALLS).filter(|nth| nth % USERS == user).collect();
        assert_eq!(titles, expected, "user {user}");
    }
}
