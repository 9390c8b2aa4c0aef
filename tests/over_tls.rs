//! Commands that ask a running server do so over TLS as well, and believe only whom they are told to.

mod support;

use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use support::{
    Options, Server, inbox,
    program::{Run, carillon, command, run},
};
use tokio::net::{TcpListener, TcpStream};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/session/fixtures").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A server whose only listener is TLS.
fn server() -> Server {
    let files = [("SERVER__TLS_CERT", "cert.pem"), ("SERVER__TLS_KEY", "key.pem")];
    files
        .into_iter()
        .fold(Options::default(), |options, (name, file)| options.set(name, fixture(file).display()))
        .start()
}

/// With the development key.
fn ask(args: &[&str]) -> Run {
    run(command(args).env("CARILLON_API_KEY", "dev"))
}

/// A file of Django's with this many notifications of user 1.
fn dump(dir: &Path, notifications: u64) -> PathBuf {
    let record = |pk: u64| {
        let fields = json!({"user": 1, "title": format!("n{pk}"), "message": "m", "level": "info", "is_read": false,
            "created_at": "2024-03-01T09:00:00", "data": null});
        json!({"model": "inbox.notification", "pk": pk, "fields": fields})
    };
    let path = dir.join("dump.json");
    let records: Vec<Value> = (1..=notifications).map(record).collect();
    std::fs::write(&path, json!(records).to_string()).expect("written");
    path
}

/// A port in front of a server, and how many connections came through it.
async fn counted(to: SocketAddr) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.expect("the server listens");
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_goes_over_one_connection_and_a_backup_comes_whole() {
    // Several calls' worth, and a backup of many TLS records.
    const ALL: u64 = 2_500;
    let (secure, home) = (server(), tempfile::tempdir().expect("a directory"));
    let (port, connections) = counted(secure.address()).await;
    let (url, cert) = (format!("https://localhost:{port}"), fixture("cert.pem"));
    let at = ["--url", &url, "--ca", text(&cert)];

    let dump = dump(home.path(), ALL);
    ask(&[&["import", text(&dump)], &at[..]].concat()).says(0, &["2,500 imported"]);
    assert_eq!(connections.load(Ordering::Acquire), 1, "connections of an import of three calls");

    let (backup, restored) = (home.path().join("backup"), home.path().join("restored"));
    ask(&[&["backup", text(&backup)], &at[..]].concat()).says(0, &["every byte was read back"]);
    carillon(&["restore", text(&backup), "--data-dir", text(&restored)]).says(0, &[]);
    let plain = Options::default().data_dir(&restored).start();
    let all = inbox::of(&plain.api(), "1").await;
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), (1..=ALL).collect::<Vec<_>>());
    assert!(all.iter().all(|(id, item)| item["title"] == format!("n{id}")));
}

#[test]
fn ping_asks_over_tls() {
    let (secure, cert) = (server(), fixture("cert.pem"));
    let url = format!("https://localhost:{}", secure.address().port());
    let trusting = carillon(&["ping", "--url", &url, "--ca", text(&cert)]);
    assert_eq!((trusting.code, trusting.out), (Some(0), format!("{url}/readyz is ready\n")), "{}", trusting.err);
}

#[test]
fn nothing_is_asked_of_a_server_that_is_not_trusted_or_not_asked_rightly() {
    let (secure, home) = (server(), tempfile::tempdir().expect("a directory"));
    let port = secure.address().port();
    let (https, http) = (format!("https://localhost:{port}"), format!("http://localhost:{port}"));
    // The certificate is for the name alone.
    let other_name = format!("https://127.0.0.1:{port}");
    let (dump, backup, cert) = (dump(home.path(), 1), home.path().join("backup"), fixture("cert.pem"));
    for asked in [&["ping"][..], &["backup", text(&backup)], &["import", text(&dump)]] {
        for (at, code, hint) in [
            (vec!["--url", &https], 69, "no TLS"),
            (vec!["--url", &other_name, "--ca", text(&cert)], 69, "no TLS"),
            (vec!["--url", &http], 69, "if it speaks TLS, write https://"),
            (vec!["--url", &https, "--ca", "/nowhere.pem"], 64, "--ca: /nowhere.pem"),
            (vec!["--url", "https://localhost/?a=b"], 64, "without a ?query"),
        ] {
            ask(&[asked, &at].concat()).says(code, &[hint]);
        }
    }
    assert!(!backup.exists(), "a backup that failed left a file");
}
