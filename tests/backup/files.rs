//! What is no whole backup is not restored, and a restore that is killed leaves a whole directory or none.

use crate::{
    program::{back_up, command, restore},
    support::{Options, Random, Server, inbox},
};
use std::{fs, path::Path, process::Stdio, time::Instant};

const NOTIFICATIONS: u64 = 200;
const KILLS: u64 = 20;
const FLIPS: u64 = 150;

async fn backup(file: &Path) -> Vec<u8> {
    let server = Server::dev();
    let body = serde_json::json!({"user_id": 1, "title": "t", "message": "x".repeat(1_000)});
    let call = serde_json::json!({"call": "send_notification", "args": body});
    let calls = vec![call; NOTIFICATIONS as usize];
    server.api().post("/batch", &serde_json::json!({ "calls": calls })).await.ok();
    let run = back_up(server.address(), file);
    assert_eq!(run.code, Some(0), "{run:#?}");
    fs::read(file).expect("there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_whole_backup_is_refused_before_anything_is_made() {
    let home = tempfile::tempdir().expect("a directory");
    let good = backup(&home.path().join("good")).await;
    let (bad, dir) = (home.path().join("bad"), home.path().join("restored"));
    let refused = |bytes: &[u8], why: &str| {
        fs::write(&bad, bytes).expect("written");
        let error = carillon::cluster::restore(&bad, &dir, None).expect_err(why);
        assert!(error.is_bad_data(), "{why}: {error}");
        assert!(!dir.exists() && !home.path().join("restored.restoring").exists(), "{why}: something was made");
        error.to_string()
    };
    let mut random = Random::from_env("CARILLON_TEST_SEED");
    for _ in 0..FLIPS {
        let mut flipped = good.clone();
        let at = random.index(flipped.len());
        flipped[at] ^= 1 << random.below(8);
        refused(&flipped, &format!("a flipped bit in byte {at}"));
    }
    for _ in 0..FLIPS {
        let length = random.index(good.len());
        refused(&good[..length], &format!("only {length} bytes"));
    }
    refused(&[good.as_slice(), b"x"].concat(), "a byte more");
    let newer = [&good[..7], &[2], &good[8..]].concat();
    let table: [(&[u8], &str); 4] = [
        (b"", "ends too early"),
        (b"\x89PNG\r\n\x1a\n and more than that", "does not begin like a snapshot"),
        (b"[{\"model\": \"auth.user\"}]", "does not begin like a snapshot"),
        (&newer, "newer version"),
    ];
    for (bytes, said) in table {
        let error = refused(bytes, said);
        assert!(error.contains(said), "{error}");
    }
    // Good files, but not of a backup that this version knows.
    for (meta, said) in [
        ("no header", "not a backup"),
        (r#"{"carillon_backup": 2}"#, "format 2"),
        (r#"{"carillon_backup": 1}"#, "header"),
    ] {
        let other = home.path().join("other");
        carillon_storage::snapshot::create_at(&other, meta.as_bytes())
            .and_then(|writer| writer.finish())
            .expect("written");
        let error = refused(&fs::read(&other).expect("there"), said);
        assert!(error.contains(said), "{error}");
        fs::remove_file(other).expect("removed");
    }
    fs::write(&bad, &good[..100]).expect("written");
    let run = restore(&bad, &dir);
    assert_eq!(run.code, Some(65), "{run:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_killed_leaves_a_whole_directory_or_none() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("backup");
    backup(&file).await;
    let begun = Instant::now();
    assert_eq!(restore(&file, &home.path().join("first")).code, Some(0));
    let whole_run = begun.elapsed();
    let mut random = Random::from_env("CARILLON_TEST_SEED");
    let dir = home.path().join("restored");
    let args = ["restore", file.to_str().expect("text"), "--data-dir", dir.to_str().expect("text")];
    let (mut whole, mut nothing) = (0, 0);
    for _ in 0..KILLS {
        let mut child = command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        // The moment is what is tried here; nothing waits for it.
        std::thread::sleep(whole_run.mul_f64(random.below(1_500) as f64 / 1_000.0));
        let _ = child.kill();
        child.wait().expect("waited for");
        if dir.exists() {
            whole += 1;
            check(&dir).await;
            fs::remove_dir_all(&dir).expect("removed");
        } else {
            nothing += 1;
        }
    }
    println!("{KILLS} kills: {whole} whole, {nothing} none");
    let run = restore(&file, &dir);
    assert_eq!(run.code, Some(0), "what a killed run left is in the way: {run:#?}");
    check(&dir).await;
}

async fn check(dir: &Path) {
    let server = Options::default().data_dir(dir).start();
    assert_eq!(inbox::of(&server.api(), "1").await.len() as u64, NOTIFICATIONS);
}
