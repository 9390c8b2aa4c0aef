//! Damage to a stopped server's files: it comes back complete, or it says what is wrong and exits with 65.
//!
//! A template directory is filled once per test and copied for each damage. The oracle after each is the same: a
//! server that starts holds everything that the template held; anything less must be refused.

#[path = "../support/mod.rs"]
mod support;
mod template;

use std::{fs, path::Path};
use support::{Options, Random};
use template::{Template, damage, names};

/// What became of a damaged directory.
#[derive(Debug, PartialEq)]
enum Outcome {
    Complete,
    /// Exit code 65, with this message.
    Refused(String),
}

/// Damages a copy of the template, starts a server on it, and counts everything again.
async fn after(template: &Template, what: &str, damage: impl FnOnce(&Path)) -> Outcome {
    let copy = tempfile::tempdir().expect("a directory");
    template.copy_to(copy.path());
    damage(copy.path());
    let mut server = template.options().data_dir(copy.path()).prepare();
    match server.try_start() {
        Ok(()) => {
            let holds = template::everything(&server).await;
            assert!(holds == template.holds, "after {what} it serves something else, and does not say so");
            Outcome::Complete
        }
        Err(ended) => {
            assert_eq!(ended.code, Some(65), "after {what}: {ended:#?}");
            assert!(!ended.said.contains("panicked"), "after {what}: {ended:#?}");
            let said = ended.said.lines().last().unwrap_or_default().to_owned();
            Outcome::Refused(said)
        }
    }
}

#[tokio::test]
async fn tables_that_are_lost_or_damaged_are_rebuilt_from_the_log() {
    let template = Template::of_many_segments().await;
    let mut random = Random::from_env("CARILLON_TEST_SEED");
    assert_eq!(after(&template, "nothing", |_| {}).await, Outcome::Complete);
    let gone = |dir: &Path| fs::remove_dir_all(dir.join("tables")).expect("removed");
    assert_eq!(after(&template, "losing the tables", gone).await, Outcome::Complete);
    for file in ["db", "conf", "COMPLETE"] {
        let what = format!("losing tables/{file}");
        let lose = |dir: &Path| fs::remove_file(dir.join("tables").join(file)).expect("removed");
        assert_eq!(after(&template, &what, lose).await, Outcome::Complete, "{what}");
    }
    for _ in 0..6 {
        let (at, bit) = (random.next(), random.below(8));
        let (what, cut) = (format!("cutting tables/db at {at}"), |dir: &Path| damage::cut(&dir.join("tables/db"), at));
        assert_eq!(after(&template, &what, cut).await, Outcome::Complete, "{what}");
        let what = format!("flipping bit {bit} at {at} of tables/db");
        let flip = |dir: &Path| damage::flip(&dir.join("tables/db"), at, bit);
        assert_eq!(after(&template, &what, flip).await, Outcome::Complete, "{what}");
    }
}

#[tokio::test]
async fn a_damaged_log_is_refused_or_nothing_is_missing() {
    let template = Template::of_many_segments().await;
    let mut random = Random::from_env("CARILLON_TEST_SEED");
    let segments = names(&template.path().join("log"), ".seg");
    assert!(segments.len() >= 3, "{segments:?}");
    let mut refusals = Vec::new();
    let mut note = |outcome: Outcome| {
        if let Outcome::Refused(said) = outcome {
            refusals.push(said);
        }
    };
    for _ in 0..8 {
        let (at, bit, nth) = (random.next(), random.below(8), random.index(segments.len()));
        let file = format!("log/{}", segments[nth]);
        let what = format!("flipping bit {bit} at {at} of {file}");
        note(after(&template, &what, |dir| damage::flip(&dir.join(&file), at, bit)).await);
        let what = format!("cutting {file} at {at}");
        note(after(&template, &what, |dir| damage::cut(&dir.join(&file), at)).await);
    }
    for file in segments.iter().map(String::as_str).chain(["IDENTITY"]) {
        let what = format!("losing log/{file}");
        let lose = |dir: &Path| fs::remove_file(dir.join("log").join(file)).expect("removed");
        let outcome = after(&template, &what, lose).await;
        assert!(matches!(&outcome, Outcome::Refused(_)), "after {what}: {outcome:?}");
        note(outcome);
    }
    let gone = |dir: &Path| fs::remove_dir_all(dir.join("log")).expect("removed");
    let outcome = after(&template, "losing the log", gone).await;
    assert!(matches!(&outcome, Outcome::Refused(_)), "{outcome:?}");
    note(outcome);
    for said in &refusals {
        assert!(said.contains("log"), "it does not say what is wrong: {said}");
    }
    assert!(refusals.len() > 10, "{refusals:#?}");
}

#[tokio::test]
async fn when_the_log_was_cut_a_snapshot_stands_in_for_it_and_the_older_one_for_the_newer() {
    let template = Template::with_snapshots().await;
    let snapshots = names(&template.path().join("snapshots"), ".snap");
    assert_eq!(snapshots.len(), 2, "{snapshots:?}");
    let lose_tables = |dir: &Path| fs::remove_dir_all(dir.join("tables")).expect("removed");
    let hurt = |dir: &Path, name: &str| damage::flip(&dir.join("snapshots").join(name), 1 << 19, 3);
    assert_eq!(after(&template, "losing the tables", lose_tables).await, Outcome::Complete);
    for name in &snapshots {
        let what = format!("losing the tables and damaging {name}");
        let outcome = after(&template, &what, |dir| {
            lose_tables(dir);
            hurt(dir, name);
        });
        assert_eq!(outcome.await, Outcome::Complete, "{what}");
    }
    let outcome = after(&template, "losing the tables and damaging all snapshots", |dir| {
        lose_tables(dir);
        snapshots.iter().for_each(|name| hurt(dir, name));
    });
    let Outcome::Refused(said) = outcome.await else { panic!("it serves, from nothing") };
    assert!(said.contains("snapshot") && said.contains("backup"), "it does not say what to do: {said}");
    let outcome = after(&template, "losing tables and snapshots", |dir| {
        lose_tables(dir);
        fs::remove_dir_all(dir.join("snapshots")).expect("removed");
    });
    assert!(matches!(outcome.await, Outcome::Refused(_)));
    let segments = names(&template.path().join("log"), ".seg");
    let outcome = after(&template, "losing the tables and all but the first segment", |dir| {
        lose_tables(dir);
        segments[1..].iter().for_each(|name| fs::remove_file(dir.join("log").join(name)).expect("removed"));
    });
    let outcome = outcome.await;
    assert!(matches!(&outcome, Outcome::Refused(said) if said.contains("log")), "{segments:?}: {outcome:?}");
    // Whole tables need no snapshot, damaged or not.
    let all_hurt = |dir: &Path| snapshots.iter().for_each(|name| hurt(dir, name));
    assert_eq!(after(&template, "damaging all snapshots", all_hurt).await, Outcome::Complete);
}

#[tokio::test]
async fn a_log_that_is_longer_than_one_read_is_replayed_to_its_end() {
    let template = Template::of_a_long_log().await;
    let gone = |dir: &Path| fs::remove_dir_all(dir.join("tables")).expect("removed");
    assert_eq!(after(&template, "losing the tables", gone).await, Outcome::Complete);
}

/// What sled may do in a crash, and a bad backup always does.
#[tokio::test]
async fn tables_that_are_an_older_state_of_themselves_are_brought_up_to_date() {
    for snapshots in [1, 2] {
        let (template, old) = Template::with_old_tables(snapshots).await;
        let what = format!("turning back tables behind {snapshots} snapshots");
        let outcome = after(&template, &what, |dir| {
            fs::remove_dir_all(dir.join("tables")).expect("removed");
            template::copy(old.path(), &dir.join("tables"));
        });
        assert_eq!(outcome.await, Outcome::Complete);
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_named_in_the_log_once() {
    let mut server = Options::default().prepare();
    let snapshots = server.data_dir().join("snapshots");
    fs::create_dir_all(&snapshots).expect("a directory");
    fs::write(snapshots.join("00000000000000000001.snap"), "no snapshot").expect("written");
    server.start();
    for _ in 0..3 {
        // Has the snapshots listed each time.
        server.api().get("/stats").await.ok();
    }
    assert_eq!(server.log().matches("leaving out a snapshot").count(), 1, "{}", server.log());
}
