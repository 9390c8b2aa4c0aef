//! A server that cannot start says why, and what would be right, and ends with the code that a supervisor tells apart.

mod support;

use std::{fs, net::TcpListener, path::Path};
use support::{Ended, Options};

fn refused(options: Options) -> Ended {
    options.prepare().try_start().expect_err("no server")
}

#[tokio::test]
async fn a_directory_that_another_server_has_or_that_is_none_is_not_available() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Options::default().data_dir(dir.path()).start();
    let ended = refused(Options::default().data_dir(dir.path()));
    assert_eq!(ended.code, Some(69), "{ended:#?}");
    let said =
        format!("the data directory {} is in use by another server, process {}", dir.path().display(), first.pid());
    assert!(ended.said.contains(&said) && ended.said.contains("server.data_dir"), "{ended:#?}");
    first.api().notify("1", "the first goes on").await;

    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    for path in [file.as_path(), Path::new("/proc/carillon")] {
        let ended = refused(Options::default().data_dir(path));
        assert_eq!(ended.code, Some(69), "{ended:#?}");
        assert!(ended.said.contains(&format!("{} cannot be used", path.display())), "{ended:#?}");
    }
}

#[test]
fn an_address_that_is_taken_is_not_available() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let ended = refused(Options::default().set("SERVER__ADMIN_LISTEN", address));
    assert_eq!(ended.code, Some(69), "{ended:#?}");
    assert!(ended.said.contains(&format!("cannot listen on {address} (server.admin_listen)")), "{ended:#?}");
}

#[test]
fn a_level_that_is_none_does_not_silence_the_log() {
    for options in [Options::default().arg("--log-level=inof"), Options::default().set("LOG__LEVEL", "inof")] {
        let ended = refused(options);
        assert_eq!(ended.code, Some(78), "{ended:#?}");
        assert!(ended.said.contains("log.level is \"inof\"; did you mean `info`?"), "{ended:#?}");
    }
    let mut server = Options::default().arg("--log-level=info,carillon::transport=debug").start();
    server.stop();
    assert!(server.log().contains("draining"), "{}", server.log());
}
