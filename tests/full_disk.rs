//! A disk that is nearly full: changes are refused before anything is written, everything else goes on.

mod support;

use serde_json::json;
use std::{fs, path::Path, process::Command};
use support::{ALICE, Api, BOB, Options, Server, inbox};

/// More than any disk has: the server is always below its reserve.
const MORE_THAN_THERE_IS: u64 = 1 << 40;

async fn assert_refuses_changes(api: &Api) {
    let body = json!({"user_id": 1, "title": "t", "message": "m"});
    let data = json!({"data": {"plan_name": "A", "status": "active"}});
    for (path, body) in [
        ("/notifications", &body),
        ("/users/1/subscriptions", &data),
        ("/users/1/payments", &data),
        ("/users/1/dashboard", &data),
        ("/admin/dashboard", &data),
    ] {
        let answer = api.post(path, body).await;
        assert_eq!((answer.status, answer.code()), (503, "disk_full"), "{path}: {answer:?}");
        assert!(answer.retry_after.is_some(), "{path}: {answer:?}");
    }
}

/// What stores nothing, and what only reads.
async fn assert_goes_on(server: &Server) {
    let api = server.api();
    let mut alice = server.greeted("/ws/notifications/", ALICE).await;
    assert_eq!(alice.ask("request_unread_count").await["count"], 1);
    assert_eq!(alice.ask("request_notifications").await["data"][0]["title"], "before");
    api.group_send("notifications_user_1", &json!({"type": "notification_message", "message": "hi"})).await;
    alice.expect(json!({"type": "notification", "message": "hi", "level": "info"})).await;
    alice.send(&json!({"type": "mark_as_read", "notification_id": 1})).await;
    let error = alice.next().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("disk_full")), "never its confirmation");
    alice.expect_nothing(&api).await;
    assert_eq!(server.greeted("/ws/dashboard/", BOB).await.ask("heartbeat").await["type"], "heartbeat_response");
    assert_eq!(inbox::of(&api, "1").await.len(), 1);
}

#[tokio::test]
async fn below_the_reserve_changes_are_refused_and_reads_sockets_and_events_go_on() {
    let mut server = Options::default().start();
    for user in [ALICE, BOB] {
        server.api().put(&format!("/users/{}", user.id), &user.profile()).await.ok();
        // Enters what the token says beyond that.
        server.greeted("/ws/dashboard/", user).await.close().await;
    }
    server.api().notify("1", "before").await;
    server.stop();
    server.set("STORAGE__RESERVE_BYTES", MORE_THAN_THERE_IS);
    server.start();
    assert_refuses_changes(&server.api()).await;
    assert_goes_on(&server).await;
    support::until("it is said", || async {
        server.log().contains("the disk is full: nothing more is stored").then_some(())
    })
    .await;
    let metrics = server.api().text("/metrics").await;
    assert!(
        metrics.contains("\ncarillon_disk_full 1\n") && metrics.contains("\ncarillon_disk_free_bytes "),
        "{metrics}"
    );
    server.kill();
    server.set("STORAGE__RESERVE_BYTES", 1 << 20);
    server.start();
    assert_eq!(server.api().notify("1", "after").await, 2, "what was refused took no id");
    assert_eq!(inbox::of(&server.api(), "1").await.len(), 2);
}

/// A file system of its own in memory; unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where this process may not mount.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(dir.path()).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }

    /// Writes a file until only so much is left.
    fn fill(&self, leave: usize) {
        let file = self.0.path().join("filling");
        let mut size = 64 << 20;
        while fs::write(&file, vec![0; size]).is_err() {
            size -= 1 << 20;
        }
        fs::write(&file, vec![0; size.saturating_sub(leave)]).expect("written");
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("filling")).expect("removed");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

async fn assert_a_full_disk_costs_nothing(leave: usize) {
    let Some(disk) = Disk::new() else {
        eprintln!("not tested: no permission to mount a file system");
        return;
    };
    let options = Options::default().set("STORAGE__RESERVE_BYTES", 8 << 20).set("STORAGE__SEGMENT_BYTES", 1 << 20);
    let mut server = options.data_dir(&disk.path().join("data")).start();
    for user in [ALICE, BOB] {
        server.api().put(&format!("/users/{}", user.id), &user.profile()).await.ok();
        server.greeted("/ws/dashboard/", user).await.close().await;
    }
    // More than what makes the tables be flushed soon.
    for _ in 0..600 {
        server.api().post("/users/1/dashboard", &json!({"data": {"filler": "x".repeat(2_000)}})).await.ok();
    }
    server.api().notify("1", "before").await;
    disk.fill(leave);
    for _ in 0..2 {
        assert_refuses_changes(&server.api()).await;
        assert_goes_on(&server).await;
        server.kill_and_restart();
        assert_refuses_changes(&server.api()).await;
        assert_goes_on(&server).await;
    }
    disk.empty();
    assert_eq!(server.api().notify("1", "after").await, 2);
    server.kill_and_restart();
    assert_eq!(inbox::of(&server.api(), "1").await.len(), 2);
    server.stop();
}

#[tokio::test]
async fn a_disk_that_fills_up_and_is_freed_again_costs_nothing_that_was_answered() {
    for leave in [4 << 20, 0] {
        assert_a_full_disk_costs_nothing(leave).await;
    }
}

/// Notifications with numbers for titles, one after the other, until one is refused; how many were answered.
async fn notify_until_full(api: &Api) -> usize {
    for nth in 0.. {
        let body = json!({"user_id": 1, "title": nth.to_string(), "message": "m".repeat(10_000)});
        let answer = api.post("/notifications", &body).await;
        if answer.status != 201 {
            assert_eq!((answer.status, answer.code()), (503, "disk_full"), "{answer:?}");
            return nth;
        }
    }
    unreachable!("a full disk takes no more")
}

#[tokio::test]
async fn a_disk_that_is_used_up_without_a_reserve_still_ends_in_refusals_and_loses_nothing() {
    let Some(disk) = Disk::new() else {
        eprintln!("not tested: no permission to mount a file system");
        return;
    };
    let options = Options::default().set("STORAGE__RESERVE_BYTES", 0).set("STORAGE__SEGMENT_BYTES", 1 << 20);
    let mut server = options.data_dir(&disk.path().join("data")).start();
    disk.fill(12 << 20);
    let answered = notify_until_full(&server.api()).await;
    // How much the tables take for each depends on when they are flushed.
    assert!(answered > 20, "there was room for more than {answered}");
    for _ in 0..2 {
        let kept = inbox::of(&server.api(), "1").await;
        let titles: Vec<_> = kept.values().map(|item| item["title"].as_str().expect("a title").to_owned()).collect();
        assert_eq!(titles, (0..answered).map(|nth| nth.to_string()).collect::<Vec<_>>(), "each once, in order");
        server.kill_and_restart();
    }
    disk.empty();
    server.api().notify("1", "after").await;
    server.stop();
}
