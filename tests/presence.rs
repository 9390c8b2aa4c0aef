//! Who is online: across tabs, reloads and crashes, as frames announce it and as the API shows it.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::{ALICE, Api, BOB, Options, ROOT, Random, Server, Socket, User, frames::micros, socket, until};

fn online(user: User<'_>) -> Value {
    json!({"type": "user_online", "data": user.person()})
}

fn offline(user: User<'_>) -> Value {
    json!({"type": "user_offline", "data": {"user_id": user.wire_id(), "username": user.username}})
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the end of time")
}

async fn presence(api: &Api, user: &str) -> Value {
    api.get(&format!("/users/{user}/presence")).await.ok()
}

fn time(presence: &Value, field: &str) -> i64 {
    micros(presence[field].as_str().unwrap_or_else(|| panic!("no {field} in {presence}")))
}

#[tokio::test]
async fn the_last_tab_that_closes_is_announced_once_and_seen_when_it_closed() {
    let server = Options::default().set("PRESENCE__GRACE_SECONDS", 1).start();
    let api = server.api();
    let mut alice = server.greeted("/ws/presence/", ALICE).await;
    let tabs = [server.greeted("/ws/presence/", BOB).await, server.greeted("/ws/presence/", BOB).await];
    alice.expect(online(BOB)).await;
    let here = presence(&api, "2").await;
    assert_eq!((&here["user_id"], &here["is_online"], &here["connections"]), (&json!(2), &json!(true), &json!(2)));
    let (before, closing) = (now(), std::time::Instant::now());
    for tab in tabs {
        tab.close().await;
    }
    alice.expect(offline(BOB)).await;
    // However slow the machine is, it may be later; never earlier.
    assert!(closing.elapsed() >= std::time::Duration::from_secs(1), "the grace time was not waited for");
    let gone = presence(&api, "2").await;
    assert_eq!((&gone["is_online"], &gone["connections"]), (&json!(false), &json!(0)));
    // Seen until the socket closed, give or take the desk's tick, and not until the grace time was over.
    let seen = time(&gone, "last_seen");
    assert!(seen >= before - 1_000_000 && seen <= now() - 1_000_000, "{gone}");
    alice.expect_nothing(&api).await;
}

#[tokio::test]
async fn who_is_erased_and_comes_back_is_announced_again_and_nothing_of_before_is_left() {
    let server = Options::default().start();
    let api = server.api();
    let mut alice = server.greeted("/ws/presence/", ALICE).await;
    let mut bob = server.greeted("/ws/presence/", BOB).await;
    alice.expect(online(BOB)).await;
    let mut dashboard = server.greeted("/ws/dashboard/", BOB).await;
    dashboard.send(&json!({"type": "heartbeat"})).await;
    dashboard.expect(json!({"type": "heartbeat_response", "timestamp": null})).await;
    let old = BOB.token();
    api.delete("/users/2").await.ok();
    // Erased, bob has no name any more.
    alice.expect(json!({"type": "user_offline", "data": {"user_id": 2, "username": "bob"}})).await;
    assert_eq!(bob.closed().await.0, 4403);
    assert_eq!(presence(&api, "2").await["last_activity"], Value::Null);
    // What was issued before opens nothing; a token says its second only, so one of the same second is no newer.
    let open = async |token: &str| {
        let request = socket::request(server.address(), "/ws/presence/", Some(token));
        Socket::open(request, "/ws/presence/", BOB).await.ok()
    };
    assert!(open(&old).await.is_none(), "an older token brought an erased user back");
    let _back = until("a token is newer than the erasure", || async { open(&BOB.token()).await }).await;
    assert!(open(&old).await.is_none(), "an older token is good again since a newer one came");
    alice.expect(online(BOB)).await;
    let here = presence(&api, "2").await;
    assert_eq!((&here["is_online"], &here["connections"]), (&json!(true), &json!(1)), "{here}");
}

#[tokio::test]
async fn a_reload_within_the_grace_time_is_announced_to_nobody() {
    let server = Options::default().set("PRESENCE__GRACE_SECONDS", 3).start();
    let api = server.api();
    let mut alice = server.greeted("/ws/presence/", ALICE).await;
    let bob = server.greeted("/ws/presence/", BOB).await;
    alice.expect(online(BOB)).await;
    bob.close().await;
    let mut bob = server.connect("/ws/presence/", BOB).await;
    bob.expect(json!({"type": "online_users", "data": [ALICE.person(), BOB.person()]})).await;
    bob.expect(online(BOB)).await;
    // Root goes after Bob did: when Root's grace time is over, Bob's would have been, too.
    server.greeted("/ws/presence/", ROOT).await.close().await;
    for socket in [&mut alice, &mut bob] {
        socket.expect(online(ROOT)).await;
        socket.expect(offline(ROOT)).await;
        socket.expect_nothing(&api).await;
    }
}

#[tokio::test]
async fn after_a_crash_who_comes_back_is_not_announced_and_who_does_not_is_gone_once() {
    let mut server = Options::default().set("PRESENCE__GRACE_SECONDS", 3).start();
    let _sockets = [
        server.greeted("/ws/presence/", ALICE).await,
        server.greeted("/ws/presence/", BOB).await,
        server.greeted("/ws/presence/", ROOT).await,
    ];
    let mut before: BTreeMap<&str, Value> = BTreeMap::new();
    for user in ["1", "2", "3"] {
        before.insert(user, presence(&server.api(), user).await);
    }
    server.kill();
    let killed = now();
    server.start();
    let api = server.api();
    let mut alice = server.connect("/ws/presence/", ALICE).await;
    alice.expect(json!({"type": "online_users", "data": [ALICE.person(), BOB.person(), ROOT.person()]})).await;
    alice.expect(online(ALICE)).await;
    let _bob = server.greeted("/ws/presence/", BOB).await;
    assert_eq!(presence(&api, "3").await["is_online"], true, "the grace time is not over");
    alice.expect(offline(ROOT)).await;
    alice.expect_nothing(&api).await;
    let root = presence(&api, "3").await;
    assert_eq!(root["is_online"], false);
    assert!(time(&root, "last_seen") <= killed, "seen when the server was dead: {root}");
    assert!(time(&root, "last_seen") >= time(&before["3"], "last_seen"), "{root}");
    assert_eq!(presence(&api, "2").await["is_online"], true);
    server.kill_and_restart();
    assert_eq!(
        time(&presence(&server.api(), "3").await, "last_seen"),
        time(&root, "last_seen"),
        "it survives restarts"
    );
}

#[tokio::test]
async fn the_api_lists_who_is_online_and_when_somebody_was_last_active() {
    let server = Server::dev();
    let api = server.api();
    assert_eq!(api.get("/presence").await.ok()["online"], json!([]));
    let _alice = server.greeted("/ws/presence/", ALICE).await;
    let _bob = server.greeted("/ws/presence/", BOB).await;
    assert_eq!(api.get("/presence").await.ok()["online"], json!([ALICE.person(), BOB.person()]));
    let first = api.get("/presence?limit=1").await.ok();
    assert_eq!(first["online"], json!([ALICE.person()]));
    let after = first["next_after"].as_str().expect("a cursor");
    let second = api.get(&format!("/presence?limit=1&after={after}")).await.ok();
    assert_eq!((&second["online"], &second["next_after"]), (&json!([BOB.person()]), &Value::Null));
    let asked = api.get("/presence?user_ids=1,3,nobody").await.ok();
    assert_eq!(asked["online"].as_array().map(Vec::len), Some(1));
    assert_eq!(asked["online"][0]["user_id"], 1);
    // Other endpoints make nobody online, but whatever comes in is activity.
    let mut root = server.greeted("/ws/notifications/", ROOT).await;
    assert_eq!(presence(&api, "3").await["last_activity"], Value::Null);
    let before = now();
    root.ask("request_unread_count").await;
    let seen = presence(&api, "3").await;
    assert_eq!((&seen["is_online"], &seen["connections"]), (&json!(false), &json!(0)));
    assert!((before..=now()).contains(&time(&seen, "last_activity")), "{seen}");
}

const PEOPLE: [&str; 4] = ["10", "11", "12", "ada"];

/// Tabs as they should be, and what somebody who watches has heard.
struct World {
    server: Server,
    tabs: BTreeMap<&'static str, Vec<Socket>>,
    watcher: Socket,
    /// Who is online, as the watcher knows it.
    heard: BTreeMap<String, bool>,
}

impl World {
    async fn new(grace_seconds: u64) -> Self {
        let server = Options::default().set("PRESENCE__GRACE_SECONDS", grace_seconds).start();
        let watcher = server.connect("/ws/presence/", User::named("watcher")).await;
        let mut world = Self { server, tabs: BTreeMap::new(), watcher, heard: BTreeMap::new() };
        world.read_greeting().await;
        world
    }

    async fn read_greeting(&mut self) {
        let greeting = self.watcher.skip_greeting().await;
        let list = greeting[0]["data"].as_array().expect("a list");
        self.heard =
            list.iter().map(|person| (person["username"].as_str().expect("a name").to_owned(), true)).collect();
    }

    async fn open(&mut self, user: &'static str) {
        let tab = self.server.greeted("/ws/presence/", User::named(user)).await;
        self.tabs.entry(user).or_default().push(tab);
    }

    async fn close(&mut self, user: &'static str, random: &mut Random) {
        let tabs = self.tabs.entry(user).or_default();
        if !tabs.is_empty() {
            let nth = random.index(tabs.len());
            let tab = tabs.swap_remove(nth);
            // Properly, or by vanishing.
            if random.one_in(2) {
                tab.close().await;
            }
        }
    }

    async fn act(&mut self, random: &mut Random) {
        let user = PEOPLE[random.index(PEOPLE.len())];
        match random.below(12) {
            0..=4 => self.open(user).await,
            5..=8 => self.close(user, random).await,
            9..=10 => {
                self.close(user, random).await;
                self.open(user).await;
            }
            _ => self.crash(random).await,
        }
    }

    /// Every tab is lost; some users come back.
    async fn crash(&mut self, random: &mut Random) {
        self.server.kill();
        self.tabs.clear();
        self.server.start();
        self.watcher = self.server.connect("/ws/presence/", User::named("watcher")).await;
        self.read_greeting().await;
        for user in PEOPLE {
            if random.one_in(2) {
                self.open(user).await;
            }
        }
    }

    /// Waits until the API shows what the tabs say, then holds the frames against it.
    async fn check(&mut self) {
        let api = self.server.api();
        for user in PEOPLE {
            let tabs = self.tabs.get(user).map_or(0, Vec::len);
            let what = format!("{user} with {tabs} tabs");
            until(&what, || async {
                let shown = presence(&api, user).await;
                (shown["is_online"] == (tabs > 0) && shown["connections"] == tabs).then_some(())
            })
            .await;
        }
        for frame in self.watcher.until_marker(&api).await {
            let (kind, name) = (&frame["type"], frame["data"]["username"].as_str().expect("a name"));
            let is_online = kind == "user_online";
            let was = self.heard.insert(name.to_owned(), is_online);
            assert_ne!(was.unwrap_or(false), is_online, "{kind} of {name} was announced twice");
        }
        for user in PEOPLE {
            let heard = self.heard.get(user).copied().unwrap_or(false);
            assert_eq!(heard, !self.tabs.get(user).is_none_or(Vec::is_empty), "what was announced of {user}");
        }
    }
}

async fn whatever_tabs_do(grace_seconds: u64, rounds: usize) {
    let mut random = Random::from_env("CARILLON_TEST_SEED");
    let mut world = World::new(grace_seconds).await;
    for _ in 0..rounds {
        for _ in 0..random.below(15) {
            world.act(&mut random).await;
        }
        world.check().await;
    }
}

#[tokio::test]
async fn whatever_tabs_and_crashes_there_are_frames_and_api_agree_with_the_tabs() {
    whatever_tabs_do(0, 12).await;
}

#[tokio::test]
async fn with_a_grace_time_frames_and_api_agree_with_the_tabs_too() {
    whatever_tabs_do(1, 8).await;
}
