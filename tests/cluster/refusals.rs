//! Whoever is none of ours is refused, and both sides say what is wrong.

use crate::{
    harness::{Cluster, options, peers},
    support::{Server, until},
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

/// Waits until a node has said something.
async fn says(node: &Server, what: &str) {
    until(what, || async { node.log().contains(what).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_thing_that_is_wrong_with_a_peer_has_a_sentence_of_its_own() {
    let mut cluster = tokio::task::block_in_place(Cluster::start);
    let third = 2;
    cluster.nodes[third].kill();

    // Another secret: both ends say so, and the node does not become ready.
    let dir = cluster.nodes[third].data_dir().to_owned();
    let settings =
        |id: usize, at: usize| options(id, &cluster.addresses[at]).set("CLUSTER__PEERS", peers(&cluster.addresses));
    let mut wrong = settings(3, third).data_dir(&dir).set("CLUSTER__SECRET", "x".repeat(40)).prepare();
    wrong.launch();
    says(&wrong, "cluster.secret is not the same at both ends").await;
    says(&cluster.nodes[0], "cluster.secret is not the same at both ends").await;
    wrong.kill();

    // The directory of another node.
    let mut wrong = settings(2, 1).data_dir(&dir).prepare();
    let ended = tokio::task::block_in_place(|| wrong.try_start()).expect_err("refused");
    assert!(ended.code == Some(78) && ended.said.contains("the data directory belongs to node 3"), "{ended:#?}");

    // Its own directory, but another's id in the list: whoever is dialled is not who was meant.
    let swapped = format!("1={},2={},3={}", cluster.addresses[1], cluster.addresses[0], cluster.addresses[2]);
    let mut wrong = options(3, &cluster.addresses[third]).set("CLUSTER__PEERS", swapped).data_dir(&dir).prepare();
    wrong.launch();
    says(&wrong, "node 1 was dialled, and this is node 2").await;
    wrong.kill();

    // Not a peer at all, and a peer of another version.
    for (bytes, sentence) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "there is no Carillon peer at the other end"),
        (&b"CARL\x09\x00"[..], "the other end speaks version 9"),
    ] {
        let mut stream = TcpStream::connect(&cluster.addresses[0]).expect("connected");
        stream.write_all(bytes).expect("written");
        let mut answer = Vec::new();
        // Nothing but the version is told; the connection ends.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"CARL\x01\x00", "{sentence}");
        says(&cluster.nodes[0], sentence).await;
    }

    // Another cluster with the same secret.
    let mut foreign = options(3, &cluster.addresses[third]).prepare();
    tokio::task::block_in_place(|| {
        foreign.start();
        foreign.stop();
    });
    let mut wrong = settings(3, third).data_dir(foreign.data_dir()).prepare();
    tokio::task::block_in_place(|| wrong.start());
    says(&wrong, "two clusters have the same secret").await;
    says(&cluster.nodes[0], "two clusters have the same secret").await;
    wrong.kill();

    // Wiped: it is not the node that it says it is.
    fs::remove_dir_all(&dir).expect("wiped");
    let ended = tokio::task::block_in_place(|| cluster.nodes[third].try_start()).expect_err("refused");
    assert!(ended.code == Some(78) && ended.said.contains("carillon cluster remove 3"), "{ended:#?}");
    // Nobody took notice otherwise.
    cluster.api(0).notify("1", "two are enough").await;
}
