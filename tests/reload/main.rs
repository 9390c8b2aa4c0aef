//! SIGHUP to the real program: what counts at once, what waits for a restart, what is refused, and who stays.

#[path = "../support/mod.rs"]
mod support;

mod tls;

use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};
use support::{
    ALICE, BOB, Options, PATIENCE, Server, Socket,
    socket::{request, status},
    until,
};

const DASHBOARD: &str = "/ws/dashboard/";

/// A server with a settings file, and the file.
struct Settled {
    server: Server,
    file: PathBuf,
    dir: tempfile::TempDir,
}

fn settled(toml: &str) -> Settled {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("carillon.toml");
    fs::write(&file, toml).expect("written");
    let server = Options::default().arg("--config").arg(file.to_str().expect("UTF-8")).start();
    Settled { server, file, dir }
}

impl Settled {
    /// Other settings, and SIGHUP: what the server said.
    async fn reload(&self, toml: &str) -> String {
        fs::write(&self.file, toml).expect("written");
        self.server.reload().await
    }

    async fn status_from(&self, origin: &str, user: support::User<'_>) -> u16 {
        let mut request = request(self.server.address(), DASHBOARD, Some(&user.token()));
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        status(request).await
    }
}

#[tokio::test]
async fn another_origin_is_let_in_the_old_one_is_not_and_its_socket_stays() {
    let settled = settled("[auth]\nallowed_origins = [\"old.example.org\"]\n");
    let mut request = request(settled.server.address(), DASHBOARD, Some(&ALICE.token()));
    request.headers_mut().insert("origin", "https://old.example.org".parse().expect("a header"));
    let mut socket = Socket::open(request, DASHBOARD, ALICE).await.expect("let in");
    socket.skip_greeting().await;
    assert_eq!(settled.status_from("https://new.example.org", BOB).await, 403);
    let said = settled.reload("[auth]\nallowed_origins = [\"new.example.org\"]\n").await;
    assert!(said.contains("changed=\"auth.allowed_origins\""), "{said}");
    assert_eq!(settled.status_from("https://new.example.org", BOB).await, 101);
    assert_eq!(settled.status_from("https://old.example.org", BOB).await, 403);
    socket.until_marker(&settled.server.api()).await;
    let metrics = settled.server.api().text("/metrics").await;
    assert!(metrics.contains("carillon_reloads_total{result=\"ok\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_broken_file_is_refused_with_every_mistake_and_changes_nothing() {
    let settled = settled("[limits]\nconnections_per_user = 1\n");
    let _first = settled.server.greeted(DASHBOARD, ALICE).await;
    let broken = "[limits]\nconnections_per_user = 5\nmessages_burst = 0\nconections_total = 7\n";
    let said = settled.reload(broken).await;
    for part in [
        "carillon.toml:3:18: limits.messages_burst is 0",
        "did you mean `connections_total`?",
        "goes on with those it has",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(settled.status_from("http://localhost", ALICE).await, 429);
    // A file that isn't there, one that is no TOML.
    fs::remove_file(&settled.file).expect("removed");
    let said = settled.server.reload().await;
    assert!(said.contains("cannot be read") && said.contains("were not reloaded"), "{said}");
    let said = settled.reload("limits").await;
    assert!(said.contains("not TOML") && said.contains("were not reloaded"), "{said}");
    let metrics = settled.server.api().text("/metrics").await;
    assert!(metrics.contains("carillon_reloads_total{result=\"refused\"} 3"), "{metrics}");
    // And a sound one counts afterwards.
    settled.reload("[limits]\nconnections_per_user = 2\n").await;
    assert_eq!(settled.status_from("http://localhost", ALICE).await, 101);
}

#[tokio::test]
async fn settings_are_all_taken_on_or_none_is() {
    let settled = settled("");
    let cert = settled.dir.path().join("none.pem");
    let toml = format!("[limits]\nconnections_per_user = 1\n[server]\ntls_cert = {cert:?}\ntls_key = {cert:?}\n");
    let said = settled.reload(&toml).await;
    assert!(
        said.contains("server.tls_cert") && said.contains("none.pem") && said.contains("were not reloaded"),
        "{said}"
    );
    let ca = settled.dir.path().join("ca.pem");
    let entry = format!("[[auth.jwt]]\nid = \"x\"\njwks_url = \"https://localhost:1/\"\njwks_ca_file = {ca:?}\n");
    let said = settled.reload(&format!("[limits]\nconnections_per_user = 1\n{entry}")).await;
    assert!(said.contains("ca.pem") && said.contains("were not reloaded"), "{said}");
    let _first = settled.server.greeted(DASHBOARD, ALICE).await;
    let _second = settled.server.greeted(DASHBOARD, ALICE).await;
}

#[tokio::test]
async fn limits_count_for_what_comes_and_end_nobody() {
    let settled = settled("");
    let (server, api) = (&settled.server, settled.server.api());
    let mut early = server.greeted(DASHBOARD, ALICE).await;
    let _second = server.greeted(DASHBOARD, ALICE).await;
    let toml = "[limits]\nconnections_per_user = 1\nmessages_per_second = 1\nmessages_burst = 2\nmessage_bytes = 1024\n\
                api_body_bytes = 1024\n";
    let said = settled.reload(toml).await;
    for name in ["connections_per_user", "messages_per_second", "messages_burst", "message_bytes", "api_body_bytes"] {
        assert!(said.contains(&format!("limits.{name}")), "{name}: {said}");
    }
    assert_eq!(settled.status_from("http://localhost", ALICE).await, 429, "the user has two already");
    // The pace counts for sockets that were open before, the size of a message does not.
    early.send_text(&format!("{{}}{}", " ".repeat(2_000))).await;
    for _ in 0..3 {
        early.send_text("{}").await;
    }
    // Pings keep a silent socket's next frame waited for without end.
    let told = tokio::time::timeout(PATIENCE, early.next()).await.expect("it is told to slow down");
    assert_eq!(told["code"], "rate_limited");
    let mut late = server.greeted(DASHBOARD, BOB).await;
    late.send_text(&format!("{{}}{}", " ".repeat(2_000))).await;
    assert_eq!(tokio::time::timeout(PATIENCE, late.closed()).await.expect("it is closed").0, 1009);
    let body = json!({"user_id": 1, "title": "t", "message": "x".repeat(2_000)});
    assert_eq!(api.post("/notifications", &body).await.status, 413);
    settled.reload("[limits]\napi_calls_per_second = 1\n").await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(api.get("/stats").await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn a_secret_in_a_file_is_read_again_and_sockets_of_the_old_one_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("jwt");
    let write = |secret: &str| {
        fs::write(&file, secret).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("chmod");
    };
    // The development key's own secret, so that the users of these tests can sign with it.
    write("carillon development secret: never use it in production");
    let toml = format!("[[auth.jwt]]\nid = \"dev\"\nsecret_file = {file:?}\n");
    let settled = settled(&toml);
    let mut socket = settled.server.greeted(DASHBOARD, ALICE).await;
    write("another secret, which nobody of these tests can sign with");
    let said = settled.server.reload().await;
    assert!(said.contains("changed=\"auth.jwt\"") && !said.contains("another secret"), "{said}");
    assert_eq!(settled.status_from("http://localhost", ALICE).await, 403);
    socket.until_marker(&settled.server.api()).await;
    write("too short");
    let said = settled.server.reload().await;
    assert!(said.contains("at least 32 are needed") && said.contains("were not reloaded"), "{said}");
}

#[tokio::test]
async fn api_keys_come_and_go() {
    let entry = |id: &str, key: &str| {
        let hash: String = carillon::auth::hash_api_key(key).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[auth.api_keys]]\nid = \"{id}\"\nhash = \"{hash}\"\nscopes = [\"read\"]\n")
    };
    let settled = settled(&entry("old", "ck_old"));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("http://{}/api/v1/stats", settled.server.address());
    let status = async |key: &str| client.get(&url).bearer_auth(key).send().await.expect("answered").status().as_u16();
    assert_eq!((status("ck_old").await, status("ck_new").await), (200, 401));
    settled.reload(&[entry("old", "ck_old"), entry("new", "ck_new")].concat()).await;
    assert_eq!((status("ck_old").await, status("ck_new").await), (200, 200), "both, while clients change over");
    settled.reload(&entry("new", "ck_new")).await;
    assert_eq!((status("ck_old").await, status("ck_new").await), (401, 200));
}

#[tokio::test]
async fn the_log_level_and_trusted_proxies_are_taken_on() {
    let settled = settled("");
    let knock = async || {
        let mut request = request(settled.server.address(), DASHBOARD, None);
        request.headers_mut().insert("x-forwarded-for", "9.8.7.6".parse().expect("a header"));
        assert_eq!(status(request).await, 403);
    };
    knock().await;
    assert!(!settled.server.log().contains("WebSocket refused"));
    settled.reload("[log]\nlevel = \"info,carillon::transport=debug\"\n").await;
    knock().await;
    assert!(settled.server.log().contains("WebSocket refused path=\"/ws/dashboard/\" address=127.0.0.1"));
    let said = settled.reload("[log]\nlevel = \"debug\"\n[server]\ntrusted_proxies = [\"127.0.0.1\"]\n").await;
    assert!(said.contains("server.trusted_proxies, log.level"), "{said}");
    knock().await;
    assert!(settled.server.log().contains("address=9.8.7.6"), "{}", settled.server.log());
}

#[tokio::test]
async fn what_is_kept_changes_at_once() {
    let settled = settled("");
    let api = settled.server.api();
    for nth in 0..3 {
        api.notify("1", &format!("number {nth}")).await;
    }
    settled.reload("[retention]\nnotifications_per_user = 1\n").await;
    until("two are forgotten", async || {
        let inbox = api.get("/users/1/notifications").await.ok();
        (inbox["data"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_a_restart_is_said_each_time_until_it_is_taken_back() {
    let settled = settled("");
    let toml = "[drain]\nseconds = 77\n[limits]\noutbox_frames = 99\nconnections_per_user = 7\n";
    for _ in 0..2 {
        let said = settled.reload(toml).await;
        assert!(said.contains("wait for a restart") && said.contains("limits.outbox_frames, drain.seconds"), "{said}");
    }
    let said = settled.reload("").await;
    assert!(!said.contains("wait for a restart") && said.contains("limits.connections_per_user"), "{said}");
    // Without a file there is nothing but files of keys to read again, and that is no mistake.
    let without = Server::dev();
    let said = without.reload().await;
    assert!(said.contains("settings reloaded changed=\"\""), "{said}");
    let presence: Value = without.api().get("/presence").await.ok();
    assert!(presence["online"].is_array());
}
