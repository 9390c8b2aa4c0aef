//! `[cluster]` from outside: what a file may say, and each mistake with its sentence.

use super::{Config, Mistakes, load};
use std::fs;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PEERS: &str = r#"peers = ["1=127.0.0.1:9001", "2=127.0.0.1:9002"]"#;

fn try_load(section: &str) -> Result<Config, Vec<String>> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("c.toml");
    fs::write(&file, format!("[cluster]\n{section}\n")).expect("written");
    let env = [("CARILLON_AUTH__JWT".to_owned(), SECRET.to_owned())];
    load(Some(&file), env.into_iter(), &[]).map_err(|Mistakes(all)| all.iter().map(ToString::to_string).collect())
}

#[test]
fn a_cluster_is_a_listener_a_secret_and_a_list() {
    let alone = try_load("").expect("nothing at all");
    assert!(!alone.cluster.is_configured());
    let config = try_load(&format!("listen = \"127.0.0.1:9001\"\nsecret = \"{SECRET}\"\n{PEERS}")).expect("good");
    assert_eq!(config.cluster.peers.get(&2).map(String::as_str), Some("127.0.0.1:9002"));
    assert_eq!(config.cluster.address_of(1).as_deref(), Some("127.0.0.1:9001"));
    assert_eq!(config.cluster.secret, SECRET.as_bytes());
    assert!(!format!("{config:?}").contains(SECRET), "a secret in debug output");
    let everywhere = format!("listen = \"0.0.0.0:9001\"\nplaintext = true\nsecret = \"{SECRET}\"\n{PEERS}");
    assert_eq!(try_load(&everywhere).expect("good").cluster.address_of(1).as_deref(), Some("127.0.0.1:9001"));
}

#[test]
fn each_mistake_in_a_cluster_is_named() {
    let listen = "listen = \"127.0.0.1:9001\"\n";
    let whole = format!("{listen}secret = \"{SECRET}\"\n");
    let table = [
        (listen.to_owned(), "cluster.listen is set without cluster.secret"),
        (format!("{listen}secret = \"short\""), "cluster secret has 5 bytes, at least 32 are needed"),
        (format!("{listen}secret = 7"), "cluster secret is an integer"),
        (format!("{listen}secret_file = \"/nowhere/at/all\""), "cluster secret_file is wrong"),
        (PEERS.to_owned(), "cluster.peers is set without cluster.listen"),
        (format!("{whole}peers = [\"2=127.0.0.1:9002\"]"), "cluster.peers has no node 1"),
        (format!("{whole}peers = [\"1=127.0.0.1:1\", \"1=127.0.0.1:2\"]"), "node 1 stands there twice"),
        (format!("{whole}peers = [\"1=127.0.0.1:1\", \"2=127.0.0.1:1\"]"), "127.0.0.1:1 stands there twice"),
        (format!("{whole}peers = [\"127.0.0.1:1\"]"), "write ID=HOST:PORT"),
        (format!("{whole}peers = [\"1=nowhere\"]"), "write HOST:PORT"),
        ("join = \"127.0.0.1:9\"".to_owned(), "cluster.join is set without cluster.listen"),
        (format!("{whole}election_max_ms = 200"), "election_max_ms is 200"),
        (format!("{whole}heartbeat_ms = 200"), "cluster.heartbeat_ms is 200"),
        (format!("{whole}tls_cert = \"a\""), "are not all set"),
        (format!("listen = \"10.0.0.1:9001\"\nsecret = \"{SECRET}\""), "links are not encrypted"),
        (
            format!("listen = \"0.0.0.0:9001\"\nplaintext = true\nsecret = \"{SECRET}\""),
            "no peer knows which one to dial",
        ),
        (format!("listen = \"127.0.0.1:8000\"\nsecret = \"{SECRET}\""), "the address of another listener"),
    ];
    for (section, sentence) in table {
        let mistakes = try_load(&section).expect_err(&section);
        assert!(mistakes.iter().any(|mistake| mistake.contains(sentence)), "{section}: {mistakes:?}");
        assert!(mistakes.iter().all(|mistake| !mistake.contains(SECRET)), "a secret in {mistakes:?}");
    }
}
