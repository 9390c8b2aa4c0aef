//! Copies of a cluster, and the way back when most of it is lost.

use crate::{
    harness::{self, Cluster, titles},
    support::{
        Options, Server,
        program::{Run, carillon, command, run},
        until,
    },
};
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn recover(from: &Path, into: &Path, more: &[&str]) -> Run {
    carillon(&[&["cluster", "recover", "--data-dir", text(from), "--into", text(into)], more].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_clusters_backup_becomes_a_server_that_has_what_was_answered() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let asked = cluster.others(cluster.leader().await)[0];
    for n in 0..20 {
        cluster.api(n % 3).notify("1", &format!("n{n}")).await;
    }
    cluster.caught_up(asked).await;
    let home = tempfile::tempdir().expect("a directory");
    let (file, dir) = (home.path().join("copy"), home.path().join("restored"));
    let url = format!("http://{}", cluster.nodes[asked].address());
    let copied = run(command(&["backup", text(&file), "--url", &url]).env("CARILLON_API_KEY", "dev"));
    assert_eq!(copied.code, Some(0), "{copied:?}");
    // Alone, under any number, and able to grow into a cluster of its own.
    let id = (asked + 1).to_string();
    let restored = carillon(&["restore", text(&file), "--data-dir", text(&dir)]);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let address = &harness::free_addresses(1)[0];
    let server = tokio::task::block_in_place(|| harness::options(asked + 1, address).data_dir(&dir).start());
    assert_eq!(titles(&server.api(), "1").await.len(), 20);
    server.api().notify("1", "after").await;
    let members = server.api().get("/cluster").await.ok()["members"].clone();
    assert_eq!((members.as_array().map(Vec::len), members[0]["id"].to_string()), (Some(1), id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_majority_is_recovered_by_naming_what_is_given_up_and_not_otherwise() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    for n in 0..10 {
        cluster.api(n % 3).notify("1", &format!("n{n}")).await;
    }
    let left = cluster.leader().await;
    let home = tempfile::tempdir().expect("a directory");
    let (old, new) = (cluster.nodes[left].data_dir().to_owned(), home.path().join("new"));
    let in_use = recover(&old, &new, &[]);
    assert_eq!(in_use.code, Some(69), "{in_use:?}");
    tokio::task::block_in_place(|| cluster.nodes.iter_mut().for_each(Server::kill));
    let others: Vec<String> = (1..=3).filter(|id| *id != left + 1).map(|id| id.to_string()).collect();
    for wrong in [vec![], vec!["--giving-up", &others[0]], vec!["--giving-up", "7,8"]] {
        let refused = recover(&old, &new, &wrong);
        let is_clear = refused.err.contains("nothing was done") && refused.err.contains(&others.join(","));
        assert!(refused.code == Some(64) && is_clear && !new.exists(), "{refused:?}");
    }
    let done = recover(&old, &new, &["--giving-up", &others.join(",")]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let again = recover(&old, &new, &["--giving-up", &others.join(",")]);
    assert!(again.code == Some(64), "what is there is not replaced: {again:?}");
    // It goes on alone, takes a new node in, and one of the lost ones not.
    let addresses = harness::free_addresses(2);
    let one = harness::options(left + 1, &addresses[0]).data_dir(&new);
    let server = tokio::task::block_in_place(|| one.start());
    assert_eq!(titles(&server.api(), "1").await.len(), 10);
    let another = harness::options(9, &addresses[1]).set("CLUSTER__JOIN", &addresses[0]);
    let another: Server = tokio::task::block_in_place(|| another.start());
    server.api().notify("1", "of two").await;
    harness::caught_up_with(&another.api(), &server.api()).await;
    assert_eq!(titles(&another.api(), "1").await.len(), 11);
    // One of the lost ones finds the new cluster where it knew a node of the old one.
    let lost = (left + 1) % 3;
    let own = &cluster.addresses[lost];
    cluster.nodes[lost].set("CLUSTER__PEERS", format!("{}={own},{}={}", lost + 1, left + 1, addresses[0]));
    cluster.nodes[lost].launch();
    until("it is refused", || async {
        cluster.nodes[lost].log().contains("two clusters have the same secret").then_some(())
    })
    .await;
    alone_is_refused(home.path(), Options::default()).await;
}

async fn alone_is_refused(home: &Path, options: Options) {
    let dir = home.join("alone");
    let mut server = tokio::task::block_in_place(|| options.data_dir(&dir).start());
    tokio::task::block_in_place(|| server.stop());
    let refused = recover(&dir, &home.join("never"), &["--giving-up", "2"]);
    assert!(refused.code == Some(64) && refused.err.contains("is alone"), "{refused:?}");
}
