//! A client that knows all nodes rides out the loss of any one of them: everything once, in order. So does a backend.

use crate::{
    harness::{Cluster, stored, titles},
    support::{Api, Options, User, V1Client},
    writers::Writers,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

const USERS: [&str; 2] = ["1", "2"];
/// Clients of each user; each begins with a node of its own choice.
const CLIENTS: usize = 4;
const WRITERS: usize = 4;
/// Answered calls between two losses.
const ANSWERS: u64 = 60;
/// Which clients begin where, and how long they wait.
const SEED: u64 = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_all_addresses_gets_everything_once_in_order_whichever_node_is_lost() {
    let drain = |options: Options| options.set("DRAIN__SECONDS", 1);
    let (mut cluster, addresses) = tokio::task::block_in_place(|| Cluster::start_at_addresses(drain));
    let mut clients = V1Client::start("follow.py", &task(&addresses));
    assert_eq!(clients.line().await, Ok(json!({"ready": true})));
    let apis: Vec<Api> = (0..3).map(|n| cluster.api(n)).collect();
    let mut writers = Writers::new(WRITERS, &USERS);
    writers.start(&apis);
    let mut moved = 0;
    for (n, api) in apis.iter().enumerate() {
        writers.more(ANSWERS).await;
        moved += sessions(api).await;
        cluster.nodes[n].kill();
        writers.more(ANSWERS).await;
        tokio::task::block_in_place(|| cluster.nodes[n].start());
    }
    // One leaves as it should: it says when to come back, and the others are there meanwhile.
    writers.more(ANSWERS).await;
    moved += sessions(&apis[0]).await;
    tokio::task::block_in_place(|| cluster.nodes[0].stop());
    writers.more(ANSWERS).await;
    writers.stop().await;
    for user in USERS {
        stored(&apis[1], user, "the end").await;
    }
    let mut resumes = 0;
    for number in 0..USERS.len() * CLIENTS {
        let told = clients.line().await.unwrap_or_else(|what| panic!("{what}"));
        assert_eq!(told["lost"], 0, "client {number} was told that it has missed something");
        resumes += told["resumes"].as_u64().expect("a count");
        let expected = titles(&apis[1], USERS[number % USERS.len()]).await;
        assert_eq!(shown(&told), expected, "client {number} was shown something else than what is stored");
    }
    println!("{} answers, {moved} sockets lost, {resumes} resumes", writers.answers());
    assert!(moved > 0 && resumes >= moved, "{moved} sockets were lost, {resumes} resumed");
}

/// A backend that makes one call after the other and says what was answered.
const BACKEND: &str = "
import sys
from carillon_client import Carillon
carillon = Carillon(sys.argv[1:], 'dev')
for number in range(90):
    print(carillon.send_notification('1', f'{number}', 'm')['title'], flush=True)
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_with_all_addresses_has_each_call_answered_and_done_once_whichever_node_is_lost() {
    let (mut cluster, addresses) = tokio::task::block_in_place(|| Cluster::start_at_addresses(|options| options));
    let mut backend = Command::new("python3")
        .args(["-c", BACKEND])
        .args(addresses.iter().map(|address| format!("http://{address}")))
        .env("PYTHONPATH", format!("{}/examples", env!("CARGO_MANIFEST_DIR")))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let answered = BufReader::new(backend.stdout.take().expect("piped")).lines();
    let mut titles_answered = Vec::new();
    tokio::task::block_in_place(|| {
        for title in answered.map_while(Result::ok) {
            titles_answered.push(title);
            let lost = titles_answered.len() / 25;
            if titles_answered.len() % 25 == 0 {
                // The one before is back: only one is ever missing.
                cluster.start_all();
                cluster.nodes[lost - 1].kill();
            }
        }
    });
    assert!(backend.wait().expect("waited for").success());
    assert_eq!(titles_answered.len(), 90);
    let there = cluster.others(usize::MAX)[0];
    assert_eq!(titles(&cluster.api(there), "1").await, titles_answered);
}

fn task(addresses: &[String]) -> Value {
    let addresses: Vec<String> = addresses.iter().map(|address| format!("ws://{address}")).collect();
    let client = |number: usize| {
        let token = User::named(USERS[number % USERS.len()]).token();
        json!({"path": "/ws/notifications/", "token": token})
    };
    let clients: Vec<Value> = (0..USERS.len() * CLIENTS).map(client).collect();
    json!({"addresses": addresses, "seed": SEED, "until": "the end", "clients": clients})
}

/// Open sockets at a node.
async fn sessions(api: &Api) -> u64 {
    api.get("/stats").await.ok()["sessions"].as_u64().expect("a count")
}

/// Titles of the notifications that a client was shown, as they came.
fn shown(told: &Value) -> Vec<&str> {
    let frames =
        told["events"].as_array().into_iter().flatten().flat_map(|frames| frames.as_array().into_iter().flatten());
    let new = frames.filter(|frame| frame["type"] == "new_notification");
    new.map(|frame| frame["data"]["title"].as_str().expect("a title")).collect()
}
