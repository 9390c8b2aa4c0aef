//! More connections than there may be: those who are in go on, the others are told or wait, and the log is written.

mod support;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use std::{
    fs,
    time::{Duration, Instant},
};
use support::{ALICE, Api, BOB, Options, Server, until};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// The pause between two tries of a listener that has no files left.
const PAUSE: Duration = Duration::from_millis(50);

async fn silent(server: &Server, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(server.address()).await.expect("in the queue of the system"));
    }
    streams
}

/// The value of a metric; 0 while there is no such line.
async fn metric(api: &Api, line: &str) -> u64 {
    let text = api.text("/metrics").await;
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0, |value| value.parse().expect("a number"))
}

#[tokio::test]
async fn connections_over_the_cap_are_told_so_at_once_and_never_take_the_files_of_the_log() {
    let options =
        Options::default().set("STORAGE__SEGMENT_BYTES", 65_536).set("STORAGE__SNAPSHOT_LOG_BYTES", 1_048_576);
    let server = options.open_files(256).start();
    let api = server.api();
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    let refused = metric(&api, r#"carillon_refusals_total{reason="full"}"#).await;
    // 48 of 256 are for connections that are no sessions; the API has one of them.
    let streams = silent(&server, 300).await;
    until("the rest is refused", || async {
        (metric(&api, r#"carillon_refusals_total{reason="full"}"#).await == refused + 253).then_some(())
    })
    .await;
    let mut told = 0;
    for mut stream in streams.into_iter().skip(47).take(20) {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer, then the end");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: "), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["error"]["code"], "full");
        told += 1;
    }
    assert_eq!(told, 20);
    // The places are still taken by others; many segments of the log are needed meanwhile.
    let held = silent(&server, 300).await;
    for nth in 0..40 {
        let body = json!({"user_id": 1, "title": nth.to_string(), "message": "m".repeat(10_000)});
        api.post("/notifications", &body).await.ok();
        assert_eq!(alice.next().await["data"]["title"], nth.to_string());
        assert_eq!(alice.next().await["type"], "unread_count");
    }
    assert_eq!(metric(&api, "carillon_accept_errors_total").await, 0, "no file was lacking");
    drop(held);
    until("bob gets in", || async {
        let request = support::socket::request(server.address(), "/ws/dashboard/", Some(&BOB.token()));
        support::Socket::open(request, "/ws/dashboard/", BOB).await.ok()
    })
    .await;
}

/// Sets how many files a running server may have open, beyond those that it has.
fn allow_more_files(server: &Server, more: u64) {
    let pid = Pid::from_raw(i32::try_from(server.pid()).expect("a pid")).expect("a pid");
    let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("a list").count() as u64;
    let limit = Rlimit { current: Some(open + more), maximum: rustix::process::getrlimit(Resource::Nofile).maximum };
    prlimit(Some(pid), Resource::Nofile, limit).expect("set");
}

#[tokio::test]
async fn a_listener_without_files_waits_and_tries_again_and_goes_on_when_there_are_some() {
    let server = Server::dev();
    let api = server.api();
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    api.get("/stats").await.ok(); // from now on this connection is kept
    allow_more_files(&server, 8);
    let waiting = silent(&server, 60).await;
    let lacking = || metric(&api, "carillon_accept_errors_total");
    until("files are lacking", || async { (lacking().await > 0).then_some(()) }).await;

    let (before, begun) = (lacking().await, Instant::now());
    let mut rounds = 0;
    // Those who are in go on, for as long as it takes the listener to try a few times.
    while lacking().await < before + 5 {
        assert_eq!(alice.ask("request_unread_count").await["count"], rounds);
        api.notify("1", "still here").await;
        assert_eq!(alice.next().await["type"], "new_notification");
        rounds += 1;
        alice.expect(json!({"type": "unread_count", "count": rounds})).await;
    }
    let tries = u128::from(lacking().await - before);
    let most = begun.elapsed().as_millis() / PAUSE.as_millis() + 1;
    assert!(tries <= most, "it tried {tries} times where {most} are right: it spins");
    let said = server.log().matches("connections cannot be accepted").count();
    assert_eq!(said, 1, "it is said once, not {said} times");

    drop(waiting);
    server.greeted("/ws/notifications/", BOB).await;
    assert!(server.log().contains("connections are accepted again"), "{}", server.log());
}
