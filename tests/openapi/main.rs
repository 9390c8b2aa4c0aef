//! The API's document and the server agree: a validator reads the document, a tester makes calls from it, right and
//! wrong ones, and holds every answer against it.
//!
//! Development builds, as here, also answer 500 to any call that ends otherwise than its own documentation says, so
//! each test of the API tests the document, too.

#[path = "../support/mod.rs"]
mod support;

use std::{path::Path, process::Command};
use support::{Options, Server, python};

const PACKAGES: &str = "tests/openapi/requirements.txt";

fn settings() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/schemathesis.toml")
}

#[tokio::test]
async fn the_document_is_valid_openapi_and_needs_a_key_that_may_read() {
    let server = Server::dev();
    let document = server.api().get("/openapi.json").await.ok();
    assert_eq!(document["openapi"], "3.1.0");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).expect("written");
    python::run(
        Command::new(python::programs(PACKAGES).join("python")).args(["-m", "openapi_spec_validator"]).arg(&file),
    );
    let without = reqwest::get(format!("http://{}/api/v1/openapi.json", server.address())).await.expect("answered");
    assert_eq!(without.status().as_u16(), 401);
}

#[tokio::test]
async fn calls_made_from_the_document_find_nothing() {
    let server = Options::default().set("LOG__LEVEL", "warn").start();
    let presence = server.api().get("/presence").await.ok();
    let said = python::run(
        Command::new(python::programs(PACKAGES).join("schemathesis"))
            .arg("--config-file")
            .arg(settings())
            .args(["run", &format!("http://{}/api/v1/openapi.json", server.address())])
            .args(["--header", "Authorization: Bearer dev", "--workers", "2"])
            .env("PYTHONUTF8", "1")
            .env("POSITION", presence["pos"].as_str().expect("a position"))
            .current_dir(server.data_dir().parent().expect("a home")),
    );
    let counted = said.lines().filter_map(|line| line.split_once(" generated")?.0.trim().parse::<usize>().ok());
    let calls: usize = counted.sum();
    assert!(calls > 1_000, "too few calls were made:\n{said}");
    assert!(said.contains("Stateful"), "a phase was left out:\n{said}");
    assert!(!server.log().contains("differ"), "{}", server.log());
}
