//! The second reading of PROTOCOL.md: the client in Python, which shares nothing with the server, on a line that is cut
//! at random bytes while the server is killed and drained. What it was shown is held against the same truth.

use crate::{
    board::{Board, Place},
    events::{self, Event, Message, Own, Stream},
    load::{Answered, Writer},
    oracle,
    support::{Forwarder, Options, Random, Server, User, V1Client},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use tokio::task::JoinSet;

const USERS: [&str; 3] = ["1", "2", "u-3"];
const WRITERS: u64 = 4;
/// Answered calls between two disturbances.
const ANSWERS: u64 = 250;

/// Two clients on each inbox, one on every other stream. None changes anything: a change that is still on its way when
/// the end is marked would be an event for some and not for others. Changes of one's own are in the proof in Rust.
fn clients() -> Vec<Stream> {
    let personal = USERS.iter().flat_map(|user| {
        let user = (*user).to_owned();
        let notifications = Stream::Notifications(user.clone());
        [notifications.clone(), notifications, Stream::Dashboard(user.clone()), Stream::Subscriptions(user)]
    });
    personal.chain([Stream::AdminDashboard, Stream::Alerts]).collect()
}

/// What the client says next.
async fn said(client: &mut V1Client, seed: u64) -> Value {
    client.line().await.unwrap_or_else(|what| panic!("CARILLON_SEED={seed}: {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_written_from_the_protocol_alone_misses_nothing() {
    let seed = crate::seed();
    let mut random = Random::new(seed);
    let mut server = Options::default().set("DRAIN__SECONDS", 1).start();
    let line = Forwarder::start(server.address(), Random::new(random.next())).await;
    let nobody = nobody_listens();
    let streams = clients();
    let mut task = json!({"addresses": [format!("ws://{nobody}"), format!("ws://{}", line.address)],
                          "seed": seed, "until": oracle::end_marker(0)});
    task["clients"] = streams.iter().map(|stream| json!({"path": stream.path(), "token": stream.token()})).collect();
    let mut python = V1Client::start("follow.py", &task);
    assert_eq!(said(&mut python, seed).await, json!({"ready": true}));
    let answered = load(&mut server, &line, (seed, &mut random)).await;
    oracle::mark_end(&server.api(), &USERS, 0).await;
    let mut shown: BTreeMap<Stream, Vec<Vec<Event>>> = BTreeMap::new();
    let mut resumes = 0;
    for stream in streams {
        let told = said(&mut python, seed).await;
        assert_eq!(told["lost"], 0, "CARILLON_SEED={seed}: {stream} was told that it is too late");
        resumes += told["resumes"].as_u64().expect("a count");
        let view = view(&told).unwrap_or_else(|what| panic!("CARILLON_SEED={seed}: {stream}: {what}"));
        shown.entry(stream).or_default().push(view);
    }
    for (stream, views) in &shown {
        let compared = compare(&server, stream, views, &answered).await;
        compared.unwrap_or_else(|what| panic!("CARILLON_SEED={seed}: {stream}: {what}"));
    }
    println!("{resumes} resumes in Python, {} cuts", line.cuts());
    assert!(resumes > 100, "hardly anything was resumed");
}

#[tokio::test]
async fn everything_a_client_can_say_is_answered_as_the_protocol_says() {
    let server = Options::default().start();
    let short = User::named("1").token_for(4);
    let task = json!({"url": format!("http://{}", server.address()), "token": User::named("1").token(), "short": short,
                      "staff": User { is_staff: true, ..User::named("boss") }.token()});
    assert_eq!(V1Client::start("speaks.py", &task).line().await, Ok(json!({"spoken": true})));
}

/// An address at which connections are refused: a client goes on to the next.
fn nobody_listens() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound")
}

/// Writers at work while the server is killed, drained and killed again; what they were answered.
async fn load(server: &mut Server, line: &Forwarder, (seed, random): (u64, &mut Random)) -> Vec<Answered> {
    let board = Arc::new(Board::new(server.address()));
    let users: Arc<[String]> = Arc::from(USERS.map(String::from));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(Writer::new(number, random.next(), users.clone(), board.clone()).run());
    }
    for boot in 1..=4 {
        let before = board.answers();
        board.wait(seed, "calls are answered", |board| board.answers() >= before + ANSWERS).await;
        if boot == 4 {
            break;
        }
        tokio::task::block_in_place(|| {
            if boot == 2 {
                server.stop();
            } else {
                server.kill();
            }
            server.start();
        });
        line.set_target(server.address());
        board.place.send_replace(Place { boot, address: server.address() });
    }
    board.stop();
    let mut ended = Vec::new();
    while let Some(writer) = writers.join_next().await {
        ended.push(writer.expect("a writer's task"));
    }
    board.check(seed);
    ended.sort_by_key(|writer| writer.number);
    ended.into_iter().map(|writer| writer.answered).collect()
}

/// What a client printed, as events.
fn view(told: &Value) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for frames in told["events"].as_array().into_iter().flatten() {
        match events::events(frames.as_array().cloned().unwrap_or_default())? {
            Message::Events(more, _) => events.extend(more),
            _ => return Err(format!("no events: {frames}")),
        }
    }
    Ok(events)
}

async fn compare(server: &Server, stream: &Stream, views: &[Vec<Event>], answered: &[Answered]) -> Result<(), String> {
    let truth = &views[0];
    for events in views {
        events::same(truth, events, &Own::default())?;
    }
    let api = server.api();
    if let Stream::Notifications(user) = stream {
        return oracle::notifications(&api, user, truth, (answered, &[])).await;
    }
    oracle::sent(stream, truth, answered)?;
    oracle::read_back(&api, stream, truth).await
}
