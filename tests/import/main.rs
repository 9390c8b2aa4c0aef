//! Moving from Django: what `dumpdata` wrote is in the server, once, under the ids that old pages know; nobody is told.
//!
//! `tests/data/django_dump.json` was written by Django 5.2 (`make_dump.py 12 --indent 1`).

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use support::{
    ALICE, Server, inbox,
    program::{self, Run},
    python, until,
};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/django_dump.json");
const MAKE_DUMP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/import/make_dump.py");

fn command(server: &Server, file: &Path, more: &[&str]) -> Command {
    let mut command = program::command(&["import"]);
    command.arg(file).args(["--url", &format!("http://{}", server.address())]).args(more);
    command.env("CARILLON_API_KEY", "dev");
    command
}

fn import(server: &Server, file: &Path, more: &[&str]) -> Run {
    program::run(&mut command(server, file, more))
}

/// A file that is gone with its directory.
fn file(home: &tempfile::TempDir, records: &Value) -> PathBuf {
    let path = home.path().join("dump.json");
    std::fs::write(&path, records.to_string()).expect("written");
    path
}

fn notification(pk: u64, user: u64) -> Value {
    let fields = json!({"user": user, "title": format!("n{pk}"), "message": "m", "level": "info", "is_read": pk.is_multiple_of(2),
        "created_at": "2024-03-01T09:00:00", "data": null});
    json!({"model": "inbox.notification", "pk": pk, "fields": fields})
}

/// What the sample holds is there, as Django had it.
async fn check_sample(server: &Server) {
    let api = server.api();
    let alice = inbox::of(&api, "1").await;
    assert_eq!(alice.keys().copied().collect::<Vec<_>>(), [1, 3, 5, 7, 9, 11], "primary keys are ids");
    let expected = json!({"id": 3, "title": "Order 2 “shipped” 🎉", "message": "It arrives tomorrow.", "level": "warning",
        "is_read": false, "created_at": "2024-03-01T09:00:02.000000+00:00",
        "data": {"order": 2, "price": "12.50", "tags": ["a", null]}});
    assert_eq!(alice[&3], expected);
    assert_eq!(alice[&1]["data"], json!({}));
    assert_eq!(inbox::of(&api, "2").await.values().filter(|item| item["is_read"] == true).count(), 2);
    let person = api.get("/users/1").await.ok();
    assert_eq!((&person["username"], &person["last_name"]), (&json!("alice"), &json!("Ärlig")));
    assert_eq!(api.get("/users/4").await.ok()["is_active"], false);
    let presence = api.get("/users/2/presence").await.ok();
    assert_eq!(
        (&presence["is_online"], &presence["last_seen"]),
        (&json!(false), &json!("2024-03-01T09:00:00.000000+00:00"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_of_django_is_taken_over_once_however_often_it_is_imported() {
    let server = Server::dev();
    let sample = Path::new(SAMPLE);
    let tried = import(&server, sample, &["--dry-run"]);
    tried.says(
        0,
        &[
            "auth.user: 4",
            "inbox.notification: 12",
            "inbox.userpresence: 4",
            "skipped        auth.group: 1",
            "20 records would be sent",
        ],
    );
    assert!(inbox::of(&server.api(), "1").await.is_empty(), "a dry run imported something");

    let mut socket = server.greeted("/ws/notifications/", ALICE).await;
    let first = import(&server, sample, &[]);
    first.says(0, &["users          4 imported", "notifications  12 imported", "presence       4 imported"]);
    socket.expect_nothing(&server.api()).await;
    check_sample(&server).await;

    let next = server.api().notify("1", "after the import").await;
    assert_eq!(next, 13);
    server.api().delete(&format!("/users/1/notifications/{next}")).await.ok();
    let again = import(&server, sample, &[]);
    again.says(0, &["notifications  12 were there already", "presence       4 were there already"]);
    check_sample(&server).await;
    server.api().delete("/users/2/notifications/2").await.ok();
    server.api().put("/users/2", &json!({"username": "robert"})).await.ok();
    let third = import(&server, sample, &[]);
    third.says(
        0,
        &["1 imported before and deleted since, 11 were there already", "(auth.user 2): the server has another"],
    );
    assert_eq!(server.api().get("/users/2").await.ok()["username"], "robert");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_with_a_bad_record_is_refused_as_a_whole_unless_bad_ones_are_to_be_left_out() {
    let (server, home) = (Server::dev(), tempfile::tempdir().expect("a directory"));
    let mut records: Vec<_> = (1..=2_500).map(|pk| notification(pk, 1)).collect();
    records[2_400]["fields"]["title"] = json!("x".repeat(201));
    records[7] = json!({"model": "inbox.notification"});
    let path = file(&home, &json!(records));
    let refused = import(&server, &path, &[]);
    refused.says(
        65,
        &[
            "record 2400 (inbox.notification 2401): the title must have 1 to 200",
            "record 7: a record must be",
            "2 of 2,500 records are bad",
        ],
    );
    assert!(inbox::of(&server.api(), "1").await.is_empty(), "something was imported");
    let skipped = import(&server, &path, &["--skip-bad"]);
    skipped.says(0, &["2,498 imported"]);
    assert_eq!(inbox::of(&server.api(), "1").await.len(), 2_498);

    let other = file(&home, &json!([{"model": "a.member", "pk": 1, "fields": {"username": "m"}}]));
    import(&server, &other, &[]).says(65, &["skipped        a.member: 1", "--user-model"]);
    import(&server, &other, &["--user-model", "a.Member"]).says(0, &["users          1 imported"]);
    let two = file(
        &home,
        &json!([notification(1, 1), {"model": "b.notification", "pk": 1, "fields": notification(1, 1)["fields"]}]),
    );
    import(&server, &two, &[]).says(65, &["b.notification or inbox.notification", "--notification-model"]);
    std::fs::write(&two, "[{\"model\": ").expect("written");
    import(&server, &two, &[]).says(65, &["is no file of dumpdata", "line 1"]);
    import(&server, &home.path().join("none"), &[]).says(65, &["cannot be read"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_killed_or_whose_server_was_goes_on_where_it_stood() {
    const ALL: u64 = 20_000;
    let (mut server, home) = (Server::dev(), tempfile::tempdir().expect("a directory"));
    let path = file(&home, &json!((1..=ALL).map(|pk| notification(pk, 1)).collect::<Vec<_>>()));
    let begin = |server: &Server| {
        command(server, &path, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started")
    };
    let count = |server: &Server| {
        let api = server.api();
        async move { api.get("/users/1/notifications/unread-count").await.ok()["count"].as_u64().expect("a count") }
    };
    let grows = async |server: &Server, from: u64| {
        until("it goes on", || async { Some(count(server).await).filter(|now| *now > from) }).await
    };
    let ended = |mut child: Child| {
        let _ = child.kill();
        child.wait().expect("waited for")
    };
    let child = begin(&server);
    let there = grows(&server, 0).await;
    ended(child);
    let child = begin(&server);
    grows(&server, there).await;
    tokio::task::block_in_place(|| server.kill_and_restart());
    ended(child);
    // Live traffic does not take an id away.
    let live = server.api().notify("2", "meanwhile").await;
    assert_eq!(live, ALL + 1);
    let run = import(&server, &path, &[]);
    run.says(0, &["imported", "were there already"]);
    let all = inbox::of(&server.api(), "1").await;
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), (1..=ALL).collect::<Vec<_>>());
    assert!(all.iter().all(|(id, item)| item["title"] == format!("n{id}")));
}

#[tokio::test]
async fn the_call_behind_it_names_what_is_wrong() {
    let server = Server::dev();
    let good = json!({"kind": "presence", "user_id": 1, "last_seen": "2024-03-01T09:00:00Z"});
    let answer = server.api().post("/import", &json!({"records": [good]})).await.ok();
    assert_eq!(answer, json!({"results": ["made"], "ids_moved_by": 0}));
    let table = [
        (json!({}), "records"),
        (json!({"records": [5]}), "records[0]"),
        (json!({"records": [good, {"kind": "group"}]}), "records[1].kind"),
        (json!({"records": [{"kind": "user"}]}), "records[0].user_id"),
        (json!({"records": [{"kind": "user", "user_id": 1, "password": "x"}]}), "records[0].password"),
        (json!({"records": [{"kind": "user", "user_id": 1, "username": "x".repeat(151)}]}), "records[0].username"),
        (
            json!({"records": [{"kind": "presence", "user_id": 1, "last_seen": "2024-03-01T09:00:00"}]}),
            "records[0].last_seen",
        ),
        (json!({"records": [{"kind": "notification", "key": 0}]}), "records[0].key"),
        (json!({"records": [], "reserve": -1}), "reserve"),
        (json!({"records": vec![&good; 1_001]}), "records"),
    ];
    for (body, field) in table {
        let answer = server.api().post("/import", &body).await;
        assert_eq!((answer.status, answer.body["error"]["field"].as_str()), (422, Some(field)), "{body}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_django_writes_today_is_read_in_every_shape() {
    let python = tokio::task::block_in_place(|| python::programs("tests/import/requirements.txt").join("python"));
    let home = tempfile::tempdir().expect("a directory");
    for (shape, name) in [(&[][..], "line"), (&["--indent", "4"], "indented"), (&["--format", "jsonl"], "lines")] {
        let path = home.path().join(name);
        let dump = Command::new(&python).arg(MAKE_DUMP).arg("12").args(shape).output().expect("Python starts");
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        std::fs::write(&path, dump.stdout).expect("written");
        let server = Server::dev();
        import(&server, &path, &[]).says(0, &["12 imported"]);
        check_sample(&server).await;
    }
}
