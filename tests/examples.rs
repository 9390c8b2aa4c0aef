//! The examples do what they say: programs against a real server, settings against the program's own check.

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};
use support::Server;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn the_python_client_sends_one_of_each() {
    let server = Server::dev();
    let url = format!("http://{}", server.address());
    let output = Command::new("python3").arg(example("publish.py")).args([&url, "dev", "1"]).output();
    let output = output.expect("python3 starts");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("user 1 has 1 unread notifications"), "{}", text(&output));
    let inbox = server.api().get("/users/1/notifications").await.ok();
    assert_eq!(inbox["data"][0]["title"], "Your report is ready");
    assert_eq!(inbox["data"][0]["data"]["report"], 7);
}

#[tokio::test]
async fn the_python_client_says_what_was_refused() {
    let server = Server::dev();
    let url = format!("http://{}", server.address());
    let output = Command::new("python3").arg(example("publish.py")).args([&url, "no such key"]).output();
    let output = output.expect("python3 starts");
    assert!(!output.status.success());
    assert!(text(&output).contains("refused: 401"), "{}", text(&output));
}

#[tokio::test]
async fn the_python_client_outlives_idle_connections_and_forks_and_names_what_json_cannot_say() {
    let server = Server::dev();
    let url = format!("http://{}", server.address());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples/client.py");
    for part in ["idle", "fork", "values"] {
        let output = Command::new("python3").arg(&script).arg(example("")).args([&url, part]).output();
        let output = output.expect("python3 starts");
        assert!(output.status.success(), "{part}: {}", text(&output));
    }
}

#[tokio::test]
async fn the_shell_example_reads_back_what_it_sent() {
    let server = Server::dev();
    let mut shell = Command::new("sh");
    shell.arg(example("publish.sh")).env("URL", format!("http://{}", server.address()));
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not run: curl is missing");
        return;
    }
    let output = shell.output().expect("sh starts");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output).matches("Your report is ready").count(), 2, "{}", text(&output));
}

#[test]
fn the_production_settings_have_no_mistake_but_the_secret_that_is_not_there() {
    let check = |path: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carillon"));
        command.args(["config", "check"]).arg(path).output().expect("carillon starts")
    };
    let output = check(&example("deploy/carillon.toml"));
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output).contains("/etc/carillon/jwt.secret cannot be read"), "{}", text(&output));

    let dir = tempfile::tempdir().expect("a directory");
    let secret = dir.path().join("jwt.secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef\n").expect("written");
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o400)).expect("chmod");
    let sample = std::fs::read_to_string(example("deploy/carillon.toml")).expect("the sample");
    let settings = dir.path().join("carillon.toml");
    let settled = sample.replace("/etc/carillon/jwt.secret", secret.to_str().expect("UTF-8"));
    std::fs::write(&settings, settled).expect("written");
    let output = check(&settings);
    assert!(output.status.success(), "{}", text(&output));
}

/// The number after `name` in a text of lines like `name = 5` or `name=5`.
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with(name)).expect(name);
    let digits: String = line.chars().skip(name.len()).skip_while(|c| !c.is_ascii_digit()).collect();
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).expect(line)
}

#[test]
fn the_unit_gives_the_server_time_to_drain_and_files_for_its_connections() {
    let settings = std::fs::read_to_string(example("deploy/carillon.toml")).expect("the sample");
    let unit = std::fs::read_to_string(example("deploy/carillon.service")).expect("the unit");
    assert!(number(&unit, "TimeoutStopSec=") > number(&settings, "seconds = ") + 15);
    assert!(number(&unit, "LimitNOFILE=") > number(&settings, "connections_total = ") + 5_000);
}
