//! The handshake of [`super::hello`] over a stream, on either side.

use super::{
    Links,
    frame::Stream,
    hello::{
        self, Hello, MESSAGE_BYTES_MAX, Nonce, PREAMBLE_BYTES, PROOF_BYTES, PROTOCOL, Party, Refusal, Reply, judge,
    },
    kind::Kind,
};
use crate::{cluster::codec, protocol::NodeId};
use std::{io, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Pause before a dialer with the wrong secret is told so: guessing is slow.
const WRONG_SECRET_PAUSE: Duration = Duration::from_millis(200);
/// What a dialer with the wrong secret gets instead of a reply.
const WRONG_SECRET: &[u8] = b"secret";

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error("it took too long")]
    Slow,
    #[error(
        "there is no Carillon peer at the other end: cluster.listen is a port of its own, not the one of WebSocket and HTTP"
    )]
    NotAPeer,
    #[error(
        "the other end speaks version {theirs} of the peers' protocol, this node version {PROTOCOL}: run releases that fit together"
    )]
    Version { theirs: u16 },
    #[error("cluster.secret is not the same at both ends: every node needs the same one")]
    Secret,
    #[error("this node refuses the other: {0}")]
    Refuses(Refusal),
    #[error("the other node refuses this one: {0}")]
    Refused(Refusal),
    #[error("the other end says what this program does not understand: {0}")]
    Codec(#[from] carillon_storage::CodecError),
    #[error("who this node is cannot be kept: {0}")]
    Identity(#[from] crate::cluster::identity::IdentityError),
    #[error("a thread ended")]
    Thread,
}

/// A peer that has proven itself, and whom it wants.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    pub(crate) peer: Party,
    pub(crate) kind: Kind,
}

/// The dialer's side.
pub(super) async fn dial(
    links: &Links,
    stream: &mut Stream,
    (to, kind): (NodeId, Kind),
) -> Result<Party, HandshakeError> {
    let hello = hello::encode(&Hello { from: links.own(), to, kind, nonce: links.nonce() })?;
    stream.write_all(&hello::preamble()).await?;
    write(stream, &hello).await?;
    check_version(stream).await?;
    let nonce = read_nonce(stream).await?;
    write(stream, &links.prover().of_dialer(&hello, &nonce)).await?;
    let answer = read(stream).await?;
    if answer == WRONG_SECRET {
        return Err(HandshakeError::Secret);
    }
    let (reply_bytes, proof) = answer.split_at(answer.len().saturating_sub(PROOF_BYTES));
    if !links.prover().is_of_acceptor((&hello, &nonce), (reply_bytes, proof)) {
        return Err(HandshakeError::Secret);
    }
    let reply: Reply = codec::decode(reply_bytes)?;
    // The other's complaint first: it may know what this node does not.
    reply.verdict.map_err(HandshakeError::Refused)?;
    let known = links.known(reply.from.node);
    if to != hello::ANYBODY && reply.from.node != to {
        return Err(HandshakeError::Refuses(Refusal::OtherNode { wanted: to, found: reply.from.node }));
    }
    // Whom this node dials, it wants: membership is for the other to check.
    let known = hello::Known { is_member: true, ..known };
    judge(&links.own(), hello::ANYBODY, (&reply.from, known, kind)).map_err(HandshakeError::Refuses)?;
    if kind != Kind::Join {
        adopt(links, &reply.from).await?;
    }
    Ok(reply.from)
}

/// The acceptor's side.
pub(super) async fn accept(links: &Links, stream: &mut Stream) -> Result<Met, HandshakeError> {
    // Told even to a peer of another version, so that both can say what is wrong.
    stream.write_all(&hello::preamble()).await?;
    check_version(stream).await?;
    let hello_bytes = read(stream).await?;
    let nonce = links.nonce();
    write(stream, &nonce).await?;
    let proof = read(stream).await?;
    if !links.prover().is_of_dialer((&hello_bytes, &nonce), &proof) {
        tokio::time::sleep(WRONG_SECRET_PAUSE).await;
        write(stream, WRONG_SECRET).await?;
        return Err(HandshakeError::Secret);
    }
    let hello: Hello = codec::decode(&hello_bytes)?;
    let verdict = judge(&links.own(), hello.to, (&hello.from, links.known(hello.from.node), hello.kind));
    if verdict.is_ok() && hello.kind != Kind::Join {
        adopt(links, &hello.from).await?;
    }
    let reply = hello::encode(&Reply { from: links.own(), verdict: verdict.clone() })?;
    let proof = links.prover().of_acceptor((&hello_bytes, &nonce), &reply);
    write(stream, &[reply, proof].concat()).await?;
    verdict.map_err(HandshakeError::Refuses)?;
    Ok(Met { peer: hello.from, kind: hello.kind })
}

/// A node without a cluster becomes one of its peer's.
async fn adopt(links: &Links, peer: &Party) -> Result<(), HandshakeError> {
    let Some(theirs) = peer.cluster else { return Ok(()) };
    if links.own().cluster.is_some() {
        return Ok(());
    }
    let identity = links.identity().clone();
    let adopted = tokio::task::spawn_blocking(move || identity.adopt(theirs)).await;
    if adopted.map_err(|_| HandshakeError::Thread)?? {
        tracing::info!(cluster = %theirs, from = peer.node, "this node is one of the cluster now");
        return Ok(());
    }
    // Another peer was quicker, and had another cluster.
    let ours = links.own().cluster.unwrap_or(theirs);
    Err(HandshakeError::Refuses(Refusal::OtherCluster { ours, theirs }))
}

async fn check_version(stream: &mut Stream) -> Result<(), HandshakeError> {
    let mut preamble = [0; PREAMBLE_BYTES];
    stream.read_exact(&mut preamble).await?;
    match hello::version(&preamble) {
        Some(PROTOCOL) => Ok(()),
        Some(theirs) => Err(HandshakeError::Version { theirs }),
        None => Err(HandshakeError::NotAPeer),
    }
}

async fn read_nonce(stream: &mut Stream) -> Result<Nonce, HandshakeError> {
    let bytes = read(stream).await?;
    bytes.try_into().map_err(|_| HandshakeError::NotAPeer)
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> Result<(), HandshakeError> {
    let length = u16::try_from(bytes.len()).map_err(|_| HandshakeError::NotAPeer)?;
    stream.write_all(&[&length.to_le_bytes()[..], bytes].concat()).await?;
    stream.flush().await?;
    Ok(())
}

async fn read(stream: &mut Stream) -> Result<Vec<u8>, HandshakeError> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_le_bytes(length));
    if length > MESSAGE_BYTES_MAX {
        return Err(HandshakeError::NotAPeer);
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
