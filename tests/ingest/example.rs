//! The Python example, through a restart.

use crate::support::{Server, inbox, python};
use std::{path::Path, process::Command};

#[tokio::test]
async fn the_python_example_sends_everything_once() {
    let server = Server::dev();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ingest.py");
    let url = format!("ws://{}/api/v1/ingest", server.address());
    let said = tokio::task::spawn_blocking(move || {
        let python = python::programs("tests/ingest/requirements.txt").join("python");
        python::run(Command::new(python).arg(example).args([&url, "dev", "5000"]))
    });
    let said = said.await.expect("run");
    assert!(said.contains("5000 calls"), "{said}");
    let kept: usize = {
        let mut count = 0;
        for user in 1..=3 {
            count += inbox::of(&server.api(), &user.to_string()).await.len();
        }
        count
    };
    assert_eq!(kept, 5_000);
}
