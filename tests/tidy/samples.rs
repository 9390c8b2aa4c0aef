//! Each rule on small bad samples, and on good ones that look like them.

use super::{arrows, bans, shape, source::Source};

fn ban(path: &str, text: &str) -> usize {
    bans::complaints(&[Source::read(path, text)]).len()
}

fn arrow(path: &str, text: &str) -> usize {
    arrows::complaints(&[Source::read(path, text)]).len()
}

#[test]
fn what_must_not_be_named_is_found_however_it_is_imported() {
    for (path, text) in [
        ("src/protocol/x.rs", "use std::time::Instant;"),
        ("src/protocol/x.rs", "use std::{fmt, time::{Duration, Instant}};"),
        ("src/protocol/x.rs", "fn f() { std::time::SystemTime::now(); }"),
        ("src/protocol/x.rs", "async fn f() {}"),
        ("src/session/state.rs", "use tokio::time as clock;"),
        ("src/auth/x.rs", "use std::fs;"),
        ("src/records/apply.rs", "use tokio::sync::mpsc;"),
        ("src/records/inbox.rs", "use crate::wall_clock::now;"),
        ("src/session/task.rs", "use std::time::{Duration, SystemTime};"),
        ("src/records/handle.rs", "use openraft::LogId;"),
        ("src/broker/x.rs", "fn f(db: &::sled::Db) {}"),
        ("src/http/x.rs", "use std::fs; fn f() { fs::write(a, b); }"),
        ("src/http/x.rs", "use std::fs::{self as files, File}; fn f() { files::rename(a, b); }"),
        ("src/http/x.rs", "use std::fs::File; fn f() { File::create(a); }"),
        ("src/cluster/codec.rs", "use bincode::config;"),
        ("storage/src/tables/mod.rs", "use bincode::config;"),
        ("src/broker/x.rs", "use tokio::sync::mpsc; fn f() { mpsc::unbounded_channel::<u8>(); }"),
        ("storage/src/x.rs", "use std::sync::mpsc; fn f() { mpsc::channel(); }"),
        ("src/broker/x.rs", "fn f() { unsafe { g() } }"),
        ("src/broker/x.rs", "fn f() { g(dbg!(1)) }"),
        ("src/broker/x.rs", "fn f() { g().unwrap() }"),
        ("src/broker/x.rs", "fn f() { g()\n    .unwrap()\n}"),
    ] {
        assert_eq!(ban(path, text), 1, "{path}: {text}");
    }
}

#[test]
fn what_only_looks_like_it_is_let_be() {
    for (path, text) in [
        ("src/protocol/x.rs", "// use tokio;\n/* async */ const A: &str = \"std::time::Instant\";"),
        ("src/protocol/x.rs", "const A: &str = r#\"use \"tokio\" async\"#; const B: char = '\"'; fn f<'a>() {}"),
        ("src/protocol/x.rs", "#[cfg(test)]\nmod tests {\n    use tokio::time;\n    async fn f() {}\n}\nfn g() {}"),
        ("src/protocol/x.rs", "#[cfg(test)]\nmod tests;\nfn g() {}"),
        ("src/records/handle.rs", "use tokio::sync::oneshot; async fn f() {}"),
        ("src/http/x.rs", "use std::fs; fn f() { fs::read_to_string(a); }"),
        ("storage/src/x.rs", "use std::fs; fn f() { fs::write(a, b); }"),
        ("src/broker/x.rs", "use tokio::sync::mpsc; fn f() { mpsc::channel(8); g().unwrap_or(1); }"),
        ("src/broker/tests.rs", "fn f() { g().unwrap() }"),
    ] {
        assert_eq!(ban(path, text), 0, "{path}: {text}");
    }
}

#[test]
fn an_arrow_that_runs_back_is_found() {
    for (path, text) in [
        ("src/protocol/x.rs", "use crate::config::Config;"),
        ("src/records/x.rs", "use crate::{protocol::UserId, cluster::Node};"),
        ("src/endpoints/x.rs", "fn f() { crate::session::begin() }"),
        ("src/endpoints/x.rs", "use super::super::transport::Gate;"),
        ("src/protocol/mod.rs", "use super::http::Api;"),
        ("src/unheard_of/mod.rs", ""),
    ] {
        assert_eq!(arrow(path, text), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("src/app.rs", "use crate::{broker::Broker, transport::{self, Gate}};"),
        ("src/endpoints/desk.rs", "use super::{AdmitError, tabs::Tabs}; use crate::records::Records;"),
        ("src/records/x.rs", "//! Not crate::cluster.\nuse crate::protocol::UserId;"),
    ] {
        assert_eq!(arrow(path, text), 0, "{path}: {text}");
    }
}

#[test]
fn files_and_functions_that_are_too_long_or_say_nothing_are_found() {
    let read = |text: &str| shape::complaints(&[Source::read("src/broker/x.rs", text)]);
    assert_eq!(read("//! Good.\nfn f(a: [u8; 2]) -> u8 { 1 }\n"), Vec::<String>::new());
    assert_eq!(read("fn f() {}\n").len(), 1);
    assert_eq!(read(&format!("//! Long.\n{}", "const A: u8 = 1;\n".repeat(400))).len(), 1);
    let long = format!("//! Long.\nfn f(a: [u8; 2]) {{\n{}}}\nfn g() {{}}\n", "    h();\n".repeat(79));
    let said = read(&long);
    assert!(said.len() == 1 && said[0].contains(":2 f has 81 lines"), "{said:?}");
    assert_eq!(read(&format!("//! Long.\n#[cfg(test)]\nmod tests {{ fn f() {{\n{}}} }}", "\n".repeat(90))).len(), 0);
}

#[test]
fn notes_to_self_and_places_of_a_machine_are_found() {
    let read = |text: &str| shape::leftovers(&[("README.md".to_owned(), text.to_owned())]).len();
    assert_eq!(read(&["a", "b TO", "DO c"].concat()), 1);
    assert_eq!(read(&["see /wo", "rk/x"].concat()), 1);
}
