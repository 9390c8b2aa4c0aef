//! `[cluster]`: the other nodes, how they are reached, and what proves that they are ours.

use super::{
    Config,
    checks::Checks,
    limits::{FEATURES, PEER_ADDRESS_BYTES_MAX, PEERS_MAX},
    mistake::Mistake,
    raw::Node,
    schema::{Kind, Setting, address, filled, integer, switch},
    secret::{read_secret, read_secret_at},
};
use crate::protocol::NodeId;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// `[cluster]`. Without `listen` a node is alone: no listener, no peers.
#[derive(Clone)]
pub struct Cluster {
    /// Where peers are listened for.
    pub listen: Option<SocketAddr>,
    /// Where peers reach this node, if that is not what `peers` or `listen` say.
    pub advertise: Option<String>,
    /// The nodes that form the cluster, by id.
    pub peers: BTreeMap<NodeId, String>,
    /// What proves a peer: the same on all nodes, at least 32 bytes.
    pub secret: Vec<u8>,
    /// Certificates, if links are TLS.
    pub tls: Option<ClusterTls>,
    /// Whether links beyond this machine may go without TLS.
    pub plaintext: bool,
    /// A node of a cluster to join, for one that belongs to none yet.
    pub join: Option<String>,
    /// How often a leader says that it lives.
    pub heartbeat_ms: u64,
    /// Shortest time without a leader before an election.
    pub election_min_ms: u64,
    /// Longest; each node has a part of the range by its id.
    pub election_max_ms: u64,
    /// Where clients reach this node: `wss://host[:port]`.
    pub public_url: Option<String>,
    /// What this node understands at most: held back, a release can be taken back.
    pub feature_level: u32,
    /// How long a node that the leader does not answer goes on to publish ephemeral events.
    pub fence_ms: u64,
    /// How long a node may be silent before the leader marks it down; longer than `fence_ms`.
    pub down_ms: u64,
    /// How fast a snapshot is sent to a peer.
    pub snapshot_bytes_per_second: u64,
}

/// `cluster.tls_cert`, `cluster.tls_key`, `cluster.tls_ca`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterTls {
    /// This node's certificate chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authority that signs every node's certificate, PEM.
    pub ca: PathBuf,
}

impl Cluster {
    /// Whether this node has, or may get, company.
    pub fn is_configured(&self) -> bool {
        self.listen.is_some()
    }

    /// Where peers reach node `id`, this one, if that is known from the settings.
    pub fn address_of(&self, id: NodeId) -> Option<String> {
        let listened = self.listen.filter(|listen| !listen.ip().is_unspecified()).map(|listen| listen.to_string());
        self.advertise.clone().or_else(|| self.peers.get(&id).cloned()).or(listened)
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            listen: None,
            advertise: None,
            peers: BTreeMap::new(),
            secret: Vec::new(),
            tls: None,
            plaintext: false,
            join: None,
            heartbeat_ms: 80,
            election_min_ms: 250,
            election_max_ms: 500,
            public_url: None,
            feature_level: FEATURES,
            fence_ms: 1_000,
            down_ms: 1_400,
            snapshot_bytes_per_second: 64 << 20,
        }
    }
}

// The secret stays out of debug output, and so out of every log.
impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("listen", &self.listen).field("peers", &self.peers).finish_non_exhaustive()
    }
}

/// A close frame has 123 bytes for everything.
const PUBLIC_URL_BYTES_MAX: usize = 72;
/// By how much a leader waits longer than a fenced node: clocks of nodes run alike, but not exactly.
const FENCE_MARGIN_MS: u64 = 400;

/// The settings of this section.
pub(super) static CLUSTER: &[Setting] = &[
    Setting {
        path: "cluster.listen",
        doc: "Where peers are listened for; a listener of its own. Unset: this node is alone.",
        kind: Kind::Text {
            example: "10.0.0.1:9000",
            get: |config| config.cluster.listen.map(|listen| listen.to_string()),
            set: |config, text| address(text).map(|listen| config.cluster.listen = Some(listen)),
        },
    },
    Setting {
        path: "cluster.advertise",
        doc: "Where peers reach this node, if it is neither in `peers` nor at the address of `listen`.",
        kind: Kind::Text {
            example: "node4.example.org:9000",
            get: |config| config.cluster.advertise.clone(),
            set: |config, text| peer_address(text).map(|at| config.cluster.advertise = Some(at.into())),
        },
    },
    Setting {
        path: "cluster.peers",
        doc: "The nodes that form the cluster, this one included: the same list on each of them.",
        kind: Kind::List {
            example: r#"["1=10.0.0.1:9000", "2=10.0.0.2:9000", "3=10.0.0.3:9000"]"#,
            get: |config| config.cluster.peers.iter().map(|(id, at)| format!("{id}={at}")).collect(),
            clear: |config| config.cluster.peers.clear(),
            push: push_peer,
        },
    },
    Setting {
        path: "cluster.secret",
        doc: "What proves that a peer is one of ours, the same on every node: 32 bytes or more, \"base64:…\" or as it stands.",
        kind: Kind::Secret {
            example: "base64:<32 bytes or more>",
            is_same: is_same_secret,
            read: |config, node, mistakes| secret(config, (node, false), mistakes),
        },
    },
    Setting {
        path: "cluster.secret_file",
        doc: "A file with the secret, instead of `secret`: secret_file = \"/run/secrets/cluster\". Not readable by everybody.",
        kind: Kind::Secret {
            example: "",
            is_same: is_same_secret,
            read: |config, node, mistakes| secret(config, (node, true), mistakes),
        },
    },
    Setting {
        path: "cluster.join",
        doc: "A node of the cluster that this one is to join, if it belongs to none yet (serve --join).",
        kind: Kind::Text {
            example: "10.0.0.1:9000",
            get: |config| config.cluster.join.clone(),
            set: |config, text| peer_address(text).map(|at| config.cluster.join = Some(at.into())),
        },
    },
    Setting {
        path: "cluster.public_url",
        doc: "Where clients reach this node itself: told to those whom another node sends away when it stops.",
        kind: Kind::Text {
            example: "wss://node1.example.org",
            get: |config| config.cluster.public_url.clone(),
            set: |config, text| public_url(text).map(|url| config.cluster.public_url = Some(url)),
        },
    },
    Setting {
        path: "cluster.tls_cert",
        doc: "This node's certificate chain, PEM, for links of TLS; peers check it, and who they are is checked.",
        kind: Kind::Text {
            example: "/etc/carillon/peer.crt",
            get: |config| config.cluster.tls.as_ref().map(|tls| tls.cert.display().to_string()),
            set: |config, text| filled(text).map(|path| tls(config).cert = path.into()),
        },
    },
    Setting {
        path: "cluster.tls_key",
        doc: "Its private key, PEM.",
        kind: Kind::Text {
            example: "/etc/carillon/peer.key",
            get: |config| config.cluster.tls.as_ref().map(|tls| tls.key.display().to_string()),
            set: |config, text| filled(text).map(|path| tls(config).key = path.into()),
        },
    },
    Setting {
        path: "cluster.tls_ca",
        doc: "The authority that signed the certificates of all nodes, PEM.",
        kind: Kind::Text {
            example: "/etc/carillon/peers-ca.crt",
            get: |config| config.cluster.tls.as_ref().map(|tls| tls.ca.display().to_string()),
            set: |config, text| filled(text).map(|path| tls(config).ca = path.into()),
        },
    },
    switch!(
        cluster.plaintext,
        "Whether links beyond this machine may go without TLS: whoever can read or change packets there has everything."
    ),
    integer!(cluster.heartbeat_ms, 10..=1_000, "How often a leader says that it lives."),
    integer!(cluster.election_min_ms, 50..=10_000, "Shortest time without a leader before an election."),
    integer!(
        cluster.election_max_ms,
        100..=20_000,
        "Longest; divided among the nodes by their ids. A lost leader is replaced after about twice a node's own time."
    ),
    Setting {
        path: "cluster.feature_level",
        doc: "What this node takes part in at most. Held back on one node, it keeps the others from what an older release does not understand, so that an upgrade can be undone.",
        kind: Kind::Integer {
            range: 1..=FEATURES as u64,
            get: |config| config.cluster.feature_level.into(),
            set: |config, value| config.cluster.feature_level = u32::try_from(value).unwrap_or(FEATURES),
        },
    },
    integer!(
        cluster.fence_ms,
        600..=30_000,
        "How long a node that the leader does not answer goes on to publish what is not stored."
    ),
    integer!(
        cluster.down_ms,
        1_000..=60_000,
        "How long a node may be silent before it is marked down; longer than fence_ms by at least 400."
    ),
    integer!(
        cluster.snapshot_bytes_per_second,
        1_048_576..=10_737_418_240,
        "How fast a snapshot is sent to a node that was away for long."
    ),
];

fn tls(config: &mut Config) -> &mut ClusterTls {
    config.cluster.tls.get_or_insert_default()
}

/// What fits into a close frame and needs no escapes there.
fn public_url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("wss://").or_else(|| text.strip_prefix("ws://")).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if !host.is_empty() && text.len() <= PUBLIC_URL_BYTES_MAX && host.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!("write wss://host or wss://host:port, without a path, at most {PUBLIC_URL_BYTES_MAX} characters"))
}

fn is_same_secret(a: &Config, b: &Config) -> bool {
    a.cluster.secret == b.cluster.secret
}

fn secret(config: &mut Config, (node, is_file): (&Node, bool), mistakes: &mut Vec<Mistake>) {
    let read = if is_file { read_secret_at("cluster", node, mistakes) } else { read_secret("cluster", node, mistakes) };
    if let Some(secret) = read {
        config.cluster.secret = secret;
    }
}

fn push_peer(config: &mut Config, text: &str) -> Result<(), String> {
    let right = || "write ID=HOST:PORT, 1=10.0.0.1:9000".to_owned();
    let (id, at) = text.split_once('=').ok_or_else(right)?;
    let id: NodeId = id.trim().parse().ok().filter(|id| (1..=65_535).contains(id)).ok_or_else(right)?;
    let at = peer_address(at.trim())?;
    if config.cluster.peers.values().any(|other| other == at) {
        return Err(format!("{at} stands there twice: every node has an address of its own"));
    }
    if config.cluster.peers.insert(id, at.to_owned()).is_some() {
        return Err(format!("node {id} stands there twice: give every node a number of its own"));
    }
    if config.cluster.peers.len() > PEERS_MAX {
        return Err(format!("a cluster has at most {PEERS_MAX} nodes"));
    }
    Ok(())
}

/// A host or an address, and a port.
pub(crate) fn peer_address(text: &str) -> Result<&str, String> {
    let right = || "write HOST:PORT, 10.0.0.1:9000 or node1.example.org:9000".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(right)?;
    let is_bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let is_host = !host.is_empty() && host.bytes().all(fits) && !is_bare_ipv6 && text.len() <= PEER_ADDRESS_BYTES_MAX;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    if is_host && is_port { Ok(text) } else { Err(right()) }
}

/// Checks the section against itself and the node's id.
pub(super) fn check(checks: &mut Checks<'_>) {
    let (cluster, id) = (&checks.config.cluster, checks.config.server.node_id);
    let timings = (cluster.heartbeat_ms, cluster.election_min_ms, cluster.election_max_ms);
    let (heartbeat, min, max) = timings;
    if 2 * heartbeat > min || min >= max {
        checks.wrong(
            &["cluster.election_min_ms", "cluster.election_max_ms", "cluster.heartbeat_ms"],
            format!("cluster.heartbeat_ms is {heartbeat}, election_min_ms is {min}, election_max_ms is {max}"),
            "an election must not begin before two heartbeats are missed, and the longest time must be longer than the shortest",
        );
    }
    if cluster.down_ms < cluster.fence_ms + FENCE_MARGIN_MS {
        checks.wrong(
            &["cluster.down_ms", "cluster.fence_ms"],
            format!("cluster.fence_ms is {}, down_ms is {}", cluster.fence_ms, cluster.down_ms),
            "a node must have stopped publishing before it counts as down: down_ms must be longer by at least 400",
        );
    }
    check_tls(checks);
    if !cluster.is_configured() {
        let of_peers = [("cluster.peers", !cluster.peers.is_empty()), ("cluster.join", cluster.join.is_some())];
        if let Some((path, _)) = of_peers.into_iter().find(|(_, is_set)| *is_set) {
            checks.wrong(&[path], format!("{path} is set without cluster.listen"), "peers must reach this node, too");
        }
        return;
    }
    let given = ["cluster.secret", "cluster.secret_file"].map(|path| checks.given(path));
    match given {
        [true, true] => {
            checks.wrong(&["cluster.secret_file"], "cluster.secret_file stands beside secret", "keep one of the two");
        }
        [false, false] => checks.wrong(
            &["cluster.listen"],
            "cluster.listen is set without cluster.secret",
            "make one with `head -c 32 /dev/urandom | base64`, the same for all nodes",
        ),
        _ => {}
    }
    // One that joins later needs no place in the list of those that form the cluster.
    if cluster.join.is_none() && !cluster.peers.is_empty() && !cluster.peers.contains_key(&id) {
        checks.wrong(
            &["cluster.peers"],
            format!("cluster.peers has no node {id}, which is this node's server.node_id"),
            "list this node, too; or set server.node_id (CARILLON_SERVER__NODE_ID) to one of the list; or start it with --join",
        );
    }
    if cluster.address_of(id).is_none() {
        checks.wrong(
            &["cluster.listen"],
            "cluster.listen is every address, so no peer knows which one to dial",
            "set cluster.advertise, or list this node in cluster.peers",
        );
    }
    check_reach(checks);
}

fn check_tls(checks: &mut Checks<'_>) {
    let paths = ["cluster.tls_cert", "cluster.tls_key", "cluster.tls_ca"];
    let given = paths.map(|path| checks.given(path)).into_iter().filter(|given| *given).count();
    if given != 0 && given != paths.len() {
        checks.wrong(
            &paths,
            "cluster.tls_cert, tls_key and tls_ca are not all set",
            "TLS between nodes needs all three, or none",
        );
    }
}

/// Beyond this machine, TLS or a word that says that there is none.
fn check_reach(checks: &mut Checks<'_>) {
    let config = checks.config;
    let cluster = &config.cluster;
    let is_beyond = cluster.listen.is_some_and(|listen| !listen.ip().is_loopback());
    if is_beyond && cluster.tls.is_none() && !cluster.plaintext {
        checks.wrong(
            &["cluster.listen"],
            "cluster.listen is reached from other machines, and links are not encrypted",
            "set cluster.tls_cert, tls_key and tls_ca; or cluster.plaintext = true, if the network between the nodes is theirs alone",
        );
    }
    if is_beyond && config.server.dev {
        checks.wrong(
            &["cluster.listen"],
            "development mode has peers on this machine only",
            "listen on 127.0.0.1, or leave out --dev",
        );
    }
    let others = [Some(config.server.listen), config.server.admin_listen];
    if cluster.listen.is_some_and(|listen| listen.port() != 0 && others.contains(&Some(listen))) {
        checks.wrong(
            &["cluster.listen"],
            "cluster.listen is the address of another listener",
            "give it a port of its own",
        );
    }
}
