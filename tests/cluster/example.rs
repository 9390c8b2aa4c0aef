//! `examples/cluster`: one command, three nodes, and a page that shows them, kills them and starts them again.

use crate::{
    harness::Cluster,
    support::{PATIENCE, until},
};
use reqwest::{Client, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// The script; it is asked to stop when it is dropped, so that it takes its nodes with it.
struct Example {
    child: Child,
    page: String,
    client: Client,
}

impl Example {
    fn start() -> Self {
        let script = format!("{}/examples/cluster/run.py", env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new("python3")
            .arg(script)
            .args(["--port", "0", "--binary", env!("CARGO_BIN_EXE_carillon")])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("Watch")).expect("it says where its page is");
        let page = line.split_whitespace().nth(1).expect("an address").to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, page, client: Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client") }
    }

    async fn nodes(&self) -> Vec<Value> {
        let text = self.client.get(format!("{}nodes", self.page)).send().await.expect("answered").text().await;
        let state: Value = serde_json::from_str(&text.expect("a body")).expect("JSON");
        state["nodes"].as_array().expect("nodes").clone()
    }

    /// Waits until the page would show a node like this.
    async fn shows(&self, number: usize, name: &str, value: &str) {
        until(value, || async { (self.nodes().await[number - 1][name] == value).then_some(()) }).await;
    }

    async fn act(&self, action: &str, number: usize, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = self.client.post(format!("{}do", self.page));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.json(&json!({"number": number, "action": action})).send().await.expect("answered").status()
    }

    async fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("signalled");
        let mut has_ended = || self.child.try_wait().expect("waited for");
        let status = until("the script's end", || std::future::ready(has_ended())).await;
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_shows_a_cluster_kills_and_starts_its_nodes_and_leaves_none_behind() {
    let _turn = Cluster::prepare(0, |options| options);
    let mut example = tokio::task::block_in_place(Example::start);
    let page = example.client.get(&example.page).send().await.expect("answered").text().await.expect("a body");
    let (_, rest) = page.split_once("watch-token\" content=\"").expect("a token");
    let token = rest.split('"').next().expect("a token");
    let with_token = ("X-Watch-Token", token);
    for number in 1..=3 {
        example.shows(number, "ready", "ready").await;
    }
    assert_eq!(example.act("kill", 2, &[with_token]).await, 200);
    example.shows(2, "process", "ended").await;
    assert_eq!(example.act("start", 2, &[with_token]).await, 200);
    example.shows(2, "ready", "ready").await;
    assert_eq!(example.act("pause", 3, &[with_token]).await, 200);
    example.shows(3, "process", "paused").await;
    assert_eq!(example.act("resume", 3, &[with_token]).await, 200);
    example.shows(3, "ready", "ready").await;
    // Other people's pages may send requests here, too: without the token, from their origin, under their name.
    let foreign = [
        vec![],
        vec![("X-Watch-Token", "guessed")],
        vec![with_token, ("Origin", "http://app.example.org")],
        vec![with_token, ("Host", "app.example.org")],
    ];
    for headers in &foreign {
        assert_eq!(example.act("kill", 1, headers).await, 403, "{headers:?}");
    }
    assert_eq!(example.act("remove", 1, &[with_token]).await, 422);
    assert_eq!(example.nodes().await[0]["process"], "runs");
    let addresses: Vec<String> =
        example.nodes().await.iter().map(|node| node["address"].as_str().expect("an address").to_owned()).collect();
    // One that is paused is stopped all the same.
    assert_eq!(example.act("pause", 1, &[with_token]).await, 200);
    example.stop().await;
    for address in addresses {
        assert!(TcpStream::connect(&address).is_err(), "somebody still listens at {address}");
    }
}
