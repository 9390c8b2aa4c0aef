//! A cluster forms by itself, once; a single node grows to three; what is written anywhere is readable there at once.

use crate::{
    harness::{Cluster, free_addresses, options, peers, titles},
    support::{Api, Options, until},
};
use serde_json::{Value, json};
use std::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_form_one_cluster_and_each_reads_what_was_written_through_it() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let mut written = Vec::new();
    for round in 0..5 {
        for n in 0..3 {
            let title = format!("{round}-{n}");
            cluster.api(n).notify("1", &title).await;
            written.push(title);
            assert_eq!(titles(&cluster.api(n), "1").await, written, "asked at node {}", n + 1);
        }
    }
    let mut ids = Vec::new();
    for n in 0..3 {
        cluster.caught_up(n).await;
        assert_eq!(titles(&cluster.api(n), "1").await, written, "at node {}", n + 1);
        let status = cluster.api(n).get("/cluster").await.ok();
        let roles: Vec<_> = status["members"].as_array().expect("members").iter().map(|m| m["role"].clone()).collect();
        assert_eq!(roles, ["voter", "voter", "voter"], "{status}");
        ids.push(status["cluster_id"].clone());
        assert_eq!(cluster.api(n).get_root("/readyz").await.status, 200);
    }
    assert!(ids[0].is_string() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stored_through_one_node_is_shown_at_all_of_them() {
    let cluster = tokio::task::block_in_place(Cluster::start);
    let mut sockets = Vec::new();
    for node in &cluster.nodes {
        sockets.push(node.greeted("/ws/notifications/", crate::support::User::named("7")).await);
    }
    for n in 0..3 {
        cluster.api(n).notify("7", &format!("through {n}")).await;
    }
    for socket in &mut sockets {
        for n in 0..3 {
            let mut frame = socket.next().await;
            while frame["type"] != "new_notification" {
                frame = socket.next().await;
            }
            assert_eq!(frame["data"]["title"], format!("through {n}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cluster_is_formed_until_every_founder_is_there() {
    let mut cluster = Cluster::prepare(3, |options| options);
    // Two of three would be a majority; but the third could be the one that remembers.
    let address = free_addresses(1).remove(0);
    cluster.nodes[0].launch_at(&address);
    cluster.nodes[1].launch();
    let said = |n: usize| cluster.nodes[n].log();
    until("waiting", || async { said(0).contains("no link to node 3").then_some(()) }).await;
    assert!(!said(0).contains("forming the cluster"), "{}", said(0));
    // It says that it lives, and that it is not ready, for whoever watches over it.
    let waiting = Api::new(address.parse().expect("an address"));
    assert_eq!(waiting.get_root("/healthz").await.status, 200);
    let ready = waiting.get_root("/readyz").await;
    assert_eq!((ready.status, ready.body["status"].as_str()), (503, Some("starting")));
    assert_eq!(waiting.get("/stats").await.code(), "not_ready");
    cluster.nodes[0].kill();
    cluster.nodes[1].kill();
    tokio::task::block_in_place(|| cluster.start_all());
    assert!(cluster.nodes[0].log().contains("forming the cluster"));
    cluster.api(2).notify("1", "formed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_grows_to_three_and_loses_nothing() {
    let mut cluster = Cluster::prepare(1, |options| options);
    let addresses = free_addresses(2);
    let written: Vec<String> = (0..20).map(|n| format!("alone {n}")).collect();
    tokio::task::block_in_place(|| {
        // As it always was: no settings of a cluster.
        let dir = cluster.nodes[0].data_dir().to_owned();
        let mut alone = Options::default().data_dir(&dir).set("DRAIN__SECONDS", 0).start();
        tokio::runtime::Handle::current().block_on(async {
            for title in &written {
                alone.api().notify("1", title).await;
            }
        });
        alone.stop();
        cluster.nodes[0].start();
    });
    let joining = |id: usize| options(id, &addresses[id - 2]).set("CLUSTER__JOIN", &cluster.addresses[0]).prepare();
    let (mut second, mut third) = (joining(2), joining(3));
    tokio::task::block_in_place(|| {
        second.start();
        third.start();
    });
    cluster.nodes.extend([second, third]);
    until("three voters", || async {
        let status = cluster.api(0).get("/cluster").await.ok();
        let voters = status["members"].as_array().expect("members").iter().filter(|member| member["role"] == "voter");
        (voters.count() == 3).then_some(())
    })
    .await;
    for n in 0..3 {
        cluster.caught_up(n).await;
        assert_eq!(titles(&cluster.api(n), "1").await, written, "at node {}", n + 1);
    }
    cluster.nodes[0].kill();
    cluster.leader().await;
    cluster.api(1).notify("1", "without the first").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_where_nobody_is_says_so() {
    let addresses = free_addresses(2);
    let mut joining = options(2, &addresses[1]).set("CLUSTER__JOIN", &addresses[0]).prepare();
    joining.launch();
    until("it says what is wrong", || async {
        let log = joining.log();
        let line = log.lines().find(|line| line.contains("the cluster does not add this node yet"))?;
        (line.contains("Connection refused") && line.contains(&addresses[0])).then_some(())
    })
    .await;
    assert!(!joining.log().contains("no leader"), "{}", joining.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_shows_a_cluster_and_takes_a_node_out_for_ever() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let leader = cluster.leader().await;
    let gone = cluster.others(leader)[0];
    let asked = cluster.others(gone)[0];
    let url = format!("http://{}", cluster.nodes[asked].address());
    let id = (gone + 1).to_string();
    let shown = carillon(&["cluster", "status", "--url", &url]);
    assert!(shown.contains("leads") && shown.matches("voter").count() == 3, "{shown}");
    // Without a person to ask, it takes a word more.
    let unsure = command(&["cluster", "remove", &id, "--url", &url]);
    assert_eq!(unsure.status.code(), Some(64), "{unsure:?}");
    assert!(String::from_utf8_lossy(&unsure.stderr).contains("give --yes"), "{unsure:?}");
    assert!(carillon(&["cluster", "remove", &id, "--yes", "--url", &url]).contains("out of the cluster"));
    // It learns of it, and ends by itself.
    let ended = tokio::task::block_in_place(|| cluster.nodes[gone].ended());
    assert!(ended.code == Some(78) && ended.said.contains("was removed from this cluster"), "{ended:#?}");
    let again = tokio::task::block_in_place(|| cluster.nodes[gone].try_start()).expect_err("refused");
    assert!(again.code == Some(78) && again.said.contains("was removed from this cluster"), "{again:#?}");
    let added = json!({"id": gone + 1, "address": cluster.addresses[gone]});
    let refused = cluster.api(asked).post("/cluster/members", &added).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    let members: Value = cluster.api(asked).get("/cluster").await.ok()["members"].clone();
    assert_eq!(members.as_array().map(Vec::len), Some(2), "{members}");
    cluster.api(asked).notify("1", "two are enough").await;
}

fn command(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carillon"));
    command.args(arguments).env("CARILLON_API_KEY", "dev").stdin(std::process::Stdio::null()).output().expect("it runs")
}

fn carillon(arguments: &[&str]) -> String {
    let output = command(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_tls_if_there_are_certificates_and_a_strangers_is_refused() {
    let file = |name: &str| format!("{}/tests/cluster/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let with = |options: Options, node: &str, authority: &str| {
        options
            .set("CLUSTER__TLS_CERT", file(&format!("{node}.crt")))
            .set("CLUSTER__TLS_KEY", file(&format!("{node}.key")))
            .set("CLUSTER__TLS_CA", file(&format!("{authority}.crt")))
    };
    let mut cluster = tokio::task::block_in_place(|| Cluster::start_with(|options| with(options, "node", "ca")));
    cluster.api(0).notify("1", "over TLS").await;
    cluster.caught_up(2).await;
    assert_eq!(titles(&cluster.api(2), "1").await, ["over TLS"]);
    cluster.nodes[2].kill();
    // It has the secret, and a certificate of another authority.
    let dir = cluster.nodes[2].data_dir().to_owned();
    let settings = options(3, &cluster.addresses[2]).set("CLUSTER__PEERS", peers(&cluster.addresses)).data_dir(&dir);
    let mut stranger = with(settings, "stranger", "ca").prepare();
    stranger.launch();
    until("refused", || async { cluster.nodes[0].log().contains("a link from 127.0.0.1 is refused").then_some(()) })
        .await;
    assert!(!stranger.log().contains("Carillon is ready"));
}
