//! Who is at the other end: what both say, and how each proves that it knows the secret. Pure.
//!
//! ```text
//! dialer    preamble, hello (who, of which cluster, for whom, which kind, a random number)
//! acceptor  preamble, a random number
//! dialer    HMAC(secret, "dialer" · hello · both numbers)
//! acceptor  reply (who, of which cluster, welcome or not), HMAC(secret, "acceptor" · hello · both numbers · reply)
//! ```
//!
//! The secret is never on the wire. Both numbers are in both proofs, so none is good for another connection, and the
//! labels differ, so none is good for the other direction. Nothing of the acceptor is told before the dialer has proven
//! itself. What follows is not authenticated by this: beyond one machine links are TLS.

use super::kind::Kind;
use crate::{
    cluster::{
        codec,
        identity::{ClusterId, Incarnation},
    },
    protocol::NodeId,
};
use aws_lc_rs::hmac;
use carillon_storage::CodecError;
use serde::{Deserialize, Serialize};

/// The version of what is said over links.
pub(crate) const PROTOCOL: u16 = 1;
const MAGIC: &[u8; 4] = b"CARL";
/// First bytes from each side.
pub(crate) const PREAMBLE_BYTES: usize = 6;
/// Of a proof.
pub(crate) const PROOF_BYTES: usize = 32;
/// Largest message of a handshake.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// To whoever is at an address, whatever its id.
pub(crate) const ANYBODY: NodeId = 0;

/// A random number for one handshake.
pub(crate) type Nonce = [u8; 32];

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Party {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    /// Its present boot.
    pub(crate) epoch: u64,
    /// `None`: it belongs to none yet.
    pub(crate) cluster: Option<ClusterId>,
    /// What it understands ([`crate::records::features`]).
    pub(crate) features: u32,
    /// What it knows every member of its cluster to understand.
    pub(crate) level: u32,
}

/// What the dialer says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) from: Party,
    /// [`ANYBODY`], or whom it wants.
    pub(crate) to: NodeId,
    pub(crate) kind: Kind,
    pub(crate) nonce: Nonce,
}

/// What the acceptor answers to a dialer that has proven itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) from: Party,
    pub(crate) verdict: Result<(), Refusal>,
}

/// Why two nodes don't talk. Told to the peer, which has proven that it is one of ours; only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "it belongs to cluster {theirs}, this node to {ours}: two clusters have the same secret. Check cluster.peers; \
         a node that is to change its cluster needs a new server.node_id and an empty data directory"
    )]
    OtherCluster { ours: ClusterId, theirs: ClusterId },
    #[error(
        "node {wanted} was dialled, and this is node {found}: an address in cluster.peers, or a server.node_id, is wrong"
    )]
    OtherNode { wanted: NodeId, found: NodeId },
    #[error("it says that it is node {node}, which this node is itself: give every node a server.node_id of its own")]
    SameNode { node: NodeId },
    #[error(
        "node {node} has lost the data directory that it joined the cluster with, and with it what it had promised: \
         take it out (`carillon cluster remove {node}`), give the machine a new server.node_id and an empty data \
         directory, and add it again"
    )]
    Wiped { node: NodeId },
    #[error(
        "node {node} was removed from this cluster, and its id is never used again: give the machine a new \
         server.node_id and an empty data directory, and add it again"
    )]
    Removed { node: NodeId },
    #[error(
        "node {node} is no member of this cluster: add it with `carillon cluster add {node} HOST:PORT`, or start it with --join"
    )]
    NotMember { node: NodeId },
    #[error(
        "node {node} understands feature level {features}, and the cluster is at level {level} already: run a newer release \
         there, or a larger cluster.feature_level"
    )]
    TooOld { node: NodeId, features: u32, level: u32 },
}

impl Refusal {
    /// Whether the refused node can't be one of this cluster any more, whatever happens.
    pub(crate) fn is_final_for(&self, node: NodeId) -> bool {
        matches!(self, Self::Wiped { node: gone } | Self::Removed { node: gone } if *gone == node)
    }
}

/// What this node knows of another's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// It is in the membership, or in the list that forms it.
    pub(crate) is_member: bool,
    /// The data directory that it joined with.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) is_removed: bool,
}

/// Whether this node (`own`) talks to `other`, which takes it for `own_as` and wants a link of `kind`.
pub(crate) fn judge(own: &Party, own_as: NodeId, (other, known, kind): (&Party, Known, Kind)) -> Result<(), Refusal> {
    if own_as != ANYBODY && own_as != own.node {
        return Err(Refusal::OtherNode { wanted: own_as, found: own.node });
    }
    if other.node == own.node {
        return Err(Refusal::SameNode { node: own.node });
    }
    if let (Some(ours), Some(theirs)) = (own.cluster, other.cluster)
        && ours != theirs
    {
        return Err(Refusal::OtherCluster { ours, theirs });
    }
    for (node, ahead) in [(other, own), (own, other)] {
        if node.features < ahead.level && own.cluster.is_some() {
            return Err(Refusal::TooOld { node: node.node, features: node.features, level: ahead.level });
        }
    }
    if known.is_removed {
        return Err(Refusal::Removed { node: other.node });
    }
    if known.incarnation.is_some_and(|incarnation| incarnation != other.incarnation) {
        return Err(Refusal::Wiped { node: other.node });
    }
    // A node without a cluster takes its first one from whoever has the secret. One that names this cluster belongs to it,
    // or did: that this node does not know it only says that it is behind, and nobody else may have what it lacks.
    let is_of_cluster = own.cluster.is_none() || other.cluster == own.cluster;
    if !is_of_cluster && !known.is_member && kind != Kind::Join {
        return Err(Refusal::NotMember { node: other.node });
    }
    Ok(())
}

/// What each side sends first, so that versions can be told apart before anything else is read.
pub(crate) fn preamble() -> [u8; PREAMBLE_BYTES] {
    let [low, high] = PROTOCOL.to_le_bytes();
    [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], low, high]
}

/// The other side's version; `None` if it is no Carillon peer.
pub(crate) fn version(preamble: &[u8; PREAMBLE_BYTES]) -> Option<u16> {
    let (magic, version) = preamble.split_at(MAGIC.len());
    (magic == MAGIC).then(|| version.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes)))
}

/// Proves and checks. Holds the secret; its `Debug` does not show it.
pub(crate) struct Prover(hmac::Key);

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prover")
    }
}

impl Prover {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Of the dialer, whose hello has these bytes.
    pub(crate) fn of_dialer(&self, hello: &[u8], nonce: &Nonce) -> Vec<u8> {
        hmac::sign(&self.0, &transcript(b"carillon link, dialer", &[hello, nonce])).as_ref().to_vec()
    }

    pub(crate) fn is_of_dialer(&self, (hello, nonce): (&[u8], &Nonce), proof: &[u8]) -> bool {
        hmac::verify(&self.0, &transcript(b"carillon link, dialer", &[hello, nonce]), proof).is_ok()
    }

    /// Of the acceptor, whose reply has these bytes.
    pub(crate) fn of_acceptor(&self, (hello, nonce): (&[u8], &Nonce), reply: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, &transcript(b"carillon link, acceptor", &[hello, nonce, reply])).as_ref().to_vec()
    }

    pub(crate) fn is_of_acceptor(&self, (hello, nonce): (&[u8], &Nonce), (reply, proof): (&[u8], &[u8])) -> bool {
        hmac::verify(&self.0, &transcript(b"carillon link, acceptor", &[hello, nonce, reply]), proof).is_ok()
    }
}

/// Lengths go in front, so that no two lists of parts read the same.
fn transcript(label: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let preamble = preamble();
    let mut bytes = Vec::with_capacity(256);
    for part in [label, &preamble].iter().chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    codec::encode(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::identity::Identity;

    fn cluster(n: u64) -> ClusterId {
        let dir = tempfile::tempdir().expect("a directory");
        let identity = Identity::open(dir.path(), n).expect("new");
        identity.found_cluster().expect("drawn");
        identity.cluster().expect("drawn")
    }

    fn party(node: NodeId, cluster: Option<ClusterId>) -> Party {
        Party { node, incarnation: [u8::try_from(node).expect("small"); 16], epoch: 1, cluster, features: 2, level: 1 }
    }

    #[test]
    fn a_peer_is_refused_for_what_is_wrong_with_it() {
        let (ours, theirs) = (cluster(1), cluster(2));
        let own = party(1, Some(ours));
        let fresh = party(1, None);
        let member = Known { is_member: true, incarnation: Some([2; 16]), is_removed: false };
        let stranger = Known::default();
        let refused = |own: &Party, to, other: &Party, known, kind| judge(own, to, (other, known, kind)).err();
        let two = party(2, Some(ours));
        let table = [
            (&own, 1, two.clone(), member, Kind::Raft, None),
            (&own, ANYBODY, two.clone(), member, Kind::Calls, None),
            (&own, 3, two.clone(), member, Kind::Raft, Some(Refusal::OtherNode { wanted: 3, found: 1 })),
            (&own, 1, party(1, Some(ours)), member, Kind::Raft, Some(Refusal::SameNode { node: 1 })),
            (&own, 1, party(2, Some(theirs)), member, Kind::Raft, Some(Refusal::OtherCluster { ours, theirs })),
            (&own, 1, party(2, None), member, Kind::Raft, None),
            (
                &own,
                1,
                Party { incarnation: [9; 16], ..two.clone() },
                member,
                Kind::Raft,
                Some(Refusal::Wiped { node: 2 }),
            ),
            (
                &own,
                1,
                two.clone(),
                Known { is_removed: true, ..member },
                Kind::Raft,
                Some(Refusal::Removed { node: 2 }),
            ),
            (
                &own,
                1,
                two.clone(),
                Known { is_removed: true, ..stranger },
                Kind::Join,
                Some(Refusal::Removed { node: 2 }),
            ),
            (
                &own,
                1,
                Party { features: 0, ..two.clone() },
                member,
                Kind::Raft,
                Some(Refusal::TooOld { node: 2, features: 0, level: 1 }),
            ),
            (
                &own,
                1,
                Party { level: 3, ..two.clone() },
                member,
                Kind::Raft,
                Some(Refusal::TooOld { node: 1, features: 2, level: 3 }),
            ),
            (&own, 1, party(2, None), stranger, Kind::Raft, Some(Refusal::NotMember { node: 2 })),
            (&own, 1, two.clone(), stranger, Kind::Raft, None),
            (&own, 1, party(2, None), stranger, Kind::Join, None),
            (&fresh, 1, two.clone(), stranger, Kind::Raft, None),
        ];
        for (own, to, other, known, kind, expected) in table {
            assert_eq!(refused(own, to, &other, known, kind), expected, "{other:?} {known:?}");
        }
    }

    #[test]
    fn a_proof_is_good_for_one_handshake_one_direction_and_one_secret() {
        let prover = Prover::new(&[7; 32]);
        let (hello, reply) = (b"hello".as_slice(), b"reply".as_slice());
        let nonce = [1; 32];
        let dialer = prover.of_dialer(hello, &nonce);
        assert!(prover.is_of_dialer((hello, &nonce), &dialer));
        assert!(!prover.is_of_dialer((hello, &[2; 32]), &dialer), "replayed");
        assert!(!prover.is_of_dialer((b"hallo", &nonce), &dialer), "changed");
        assert!(!Prover::new(&[8; 32]).is_of_dialer((hello, &nonce), &dialer), "another secret");
        assert!(!prover.is_of_acceptor((hello, &nonce), (b"", &dialer)), "reflected");
        let acceptor = prover.of_acceptor((hello, &nonce), reply);
        assert!(prover.is_of_acceptor((hello, &nonce), (reply, &acceptor)));
        assert!(!prover.is_of_acceptor((hello, &nonce), (b"other", &acceptor)));
        assert!(!prover.is_of_dialer((hello, &nonce), &acceptor[..31]), "cut off");
    }

    #[test]
    fn versions_are_told_apart_before_anything_else() {
        assert_eq!(version(&preamble()), Some(PROTOCOL));
        assert_eq!(version(b"CARL\x07\x00"), Some(7));
        assert_eq!(version(b"GET / "), None);
    }
}
