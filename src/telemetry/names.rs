//! The names of every metric, as constants, and the one table that says what each is.

/// Open sessions, by `endpoint`.
pub const SESSIONS: &str = "carillon_sessions";
/// WebSockets opened.
pub const CONNECTS: &str = "carillon_connects_total";
/// Handshakes refused, by `reason`.
pub const REFUSALS: &str = "carillon_refusals_total";
/// From the request's head to the upgrade.
pub const CONNECT_SECONDS: &str = "carillon_connect_seconds";
/// Errors of `accept`.
pub const ACCEPT_ERRORS: &str = "carillon_accept_errors_total";
/// Bytes that the unfinished heads of requests hold.
pub const HEAD_BYTES: &str = "carillon_http_head_bytes";
/// WebSocket messages from clients, pings and pongs included.
pub const FRAMES_IN: &str = "carillon_frames_in_total";
/// WebSocket frames written to clients: greetings, answers, events, pings, pongs, closes.
pub const FRAMES_OUT: &str = "carillon_frames_out_total";
/// Bytes written to clients.
pub const BYTES_OUT: &str = "carillon_bytes_out_total";
/// Frames that were not delivered, by `reason`.
pub const DROPS: &str = "carillon_drops_total";
/// Sessions ended, by `code`: a name of [`crate::protocol::Close`], `peer`, `gone` or `dead`.
pub const CLOSES: &str = "carillon_closes_total";
/// Bytes waiting in outboxes, each seen once in a ping interval.
pub const OUTBOX_BYTES: &str = "carillon_outbox_bytes";
/// Events published, by `kind`: `durable`, `ephemeral`.
pub const PUBLISHES: &str = "carillon_publishes_total";
/// Commands that the log took.
pub const PROPOSALS: &str = "carillon_proposals_total";
/// Log entries that they were packed into.
pub const PROPOSAL_BATCHES: &str = "carillon_proposal_batches_total";
/// From a proposal to its commit.
pub const PROPOSAL_SECONDS: &str = "carillon_proposal_seconds";
/// Calls of fdatasync; their number is `_count`.
pub const FSYNC_SECONDS: &str = "carillon_fsync_seconds";
/// Bytes of the log on disk.
pub const LOG_BYTES: &str = "carillon_log_bytes";
/// Entries of the log.
pub const LOG_ENTRIES: &str = "carillon_log_entries";
/// Bytes of the tables on disk.
pub const TABLES_BYTES: &str = "carillon_tables_bytes";
/// Bytes of the newest snapshot.
pub const SNAPSHOT_BYTES: &str = "carillon_snapshot_bytes";
/// Age of the newest snapshot.
pub const SNAPSHOT_AGE_SECONDS: &str = "carillon_snapshot_age_seconds";
/// Users online.
pub const PRESENCE_USERS_ONLINE: &str = "carillon_presence_users_online";
/// Links to peers that are up, by `kind`.
pub const LINKS_UP: &str = "carillon_links_up";
/// Bytes over links, by `kind` and `direction`.
pub const LINK_BYTES: &str = "carillon_link_bytes_total";
/// Links that were made again, by `kind`.
pub const LINK_RECONNECTS: &str = "carillon_link_reconnects_total";
/// How long a ping to a peer took, by `peer`.
pub const LINK_RTT_SECONDS: &str = "carillon_link_rtt_seconds";
/// Ephemeral events that did not get to a peer that has members for them.
pub const PEER_EVENTS_LOST: &str = "carillon_peer_events_lost_total";
/// Server API calls, by `route` and `status`.
pub const API_CALLS: &str = "carillon_api_calls_total";
/// Duration of server API calls, by `route`.
pub const API_SECONDS: &str = "carillon_api_seconds";
/// Streams of calls that are open.
pub const INGEST_STREAMS: &str = "carillon_ingest_streams";
/// Calls of the auth webhook, by `outcome`.
pub const WEBHOOK_CALLS: &str = "carillon_webhook_calls_total";
/// Duration of calls of the auth webhook.
pub const WEBHOOK_SECONDS: &str = "carillon_webhook_seconds";
/// Resident memory.
pub const PROCESS_RSS_BYTES: &str = "carillon_process_resident_memory_bytes";
/// Open file descriptors.
pub const PROCESS_OPEN_FDS: &str = "carillon_process_open_fds";
/// Fetches of key sets (JWKS), by `result`: `ok`, `no_keys`, or why there was no answer.
pub const JWKS_FETCHES: &str = "carillon_jwks_fetches_total";
/// Reloads of the settings, by `result`: `ok`, `refused`.
pub const RELOADS: &str = "carillon_reloads_total";
/// 1, with the `version` of the program.
pub const BUILD_INFO: &str = "carillon_build_info";

/// `reason` of [`DROPS`]: an outbox was full.
pub const DROP_SLOW_READER: &str = "slow_reader";
/// `reason` of [`DROPS`]: it waited too long in an outbox.
pub const DROP_EXPIRED: &str = "expired";
/// `reason` of [`DROPS`]: a queue of the server was full.
pub const DROP_OVERLOAD: &str = "overload";

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Only grows.
    Counter,
    /// A level.
    Gauge,
    /// A distribution of seconds.
    Seconds,
}

/// What the exporter is told about a metric.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) unit: Option<metrics::Unit>,
    /// Label names; a metric without any is shown as 0 from the start.
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

const BYTES: Option<metrics::Unit> = Some(metrics::Unit::Bytes);
const SECONDS: Option<metrics::Unit> = Some(metrics::Unit::Seconds);

macro_rules! metrics_table {
    ($($name:ident $shape:ident $unit:expr, $labels:expr, $help:literal;)*) => {
        &[$(Metric { name: $name, shape: Shape::$shape, unit: $unit, labels: &$labels, help: $help },)*]
    };
}

/// Every metric there is.
pub(super) const METRICS: &[Metric] = metrics_table! {
    SESSIONS Gauge None, ["endpoint"], "Open sessions, by endpoint.";
    CONNECTS Counter None, [], "WebSockets opened.";
    REFUSALS Counter None, ["reason"], "Handshakes refused, by reason.";
    CONNECT_SECONDS Seconds SECONDS, [], "From the head of the request to the upgrade.";
    ACCEPT_ERRORS Counter None, [], "Connections that could not be accepted.";
    HEAD_BYTES Gauge BYTES, [], "Bytes that the unfinished heads of HTTP requests hold.";
    FRAMES_IN Counter None, [], "WebSocket messages from clients, pings and pongs included.";
    FRAMES_OUT Counter None, [], "WebSocket frames written to clients: greetings, answers, events, pings, pongs, closes.";
    BYTES_OUT Counter BYTES, [], "Bytes written to clients.";
    DROPS Counter None, ["reason"], "Frames not delivered, by reason: slow_reader, expired, overload.";
    CLOSES Counter None, ["code"], "Sessions ended, by the name of the close code, or peer (closed), gone (vanished), dead (no pong).";
    OUTBOX_BYTES Gauge BYTES, [], "Bytes waiting for slow readers, as of at most one ping interval ago.";
    PUBLISHES Counter None, ["kind"], "Events published, by kind: durable, ephemeral.";
    PROPOSALS Counter None, [], "Durable commands that the log took.";
    PROPOSAL_BATCHES Counter None, [], "Log entries that they were packed into.";
    PROPOSAL_SECONDS Seconds SECONDS, [], "From a proposal to its commit.";
    FSYNC_SECONDS Seconds SECONDS, [], "Duration of fdatasync.";
    LOG_BYTES Gauge BYTES, [], "Bytes of the log on disk.";
    LOG_ENTRIES Gauge None, [], "Entries of the log.";
    TABLES_BYTES Gauge BYTES, [], "Bytes of the tables on disk.";
    SNAPSHOT_BYTES Gauge BYTES, [], "Bytes of the newest snapshot.";
    SNAPSHOT_AGE_SECONDS Gauge SECONDS, [], "Age of the newest snapshot.";
    PRESENCE_USERS_ONLINE Gauge None, [], "Users online.";
    LINKS_UP Gauge None, ["kind"], "Links to peers that are up, by kind.";
    LINK_BYTES Counter BYTES, ["kind", "direction"], "Bytes over links to and from peers, by kind and direction.";
    LINK_RECONNECTS Counter None, ["kind"], "Links to peers that were made again, by kind.";
    LINK_RTT_SECONDS Gauge SECONDS, ["peer"], "How long the last ping to a peer took.";
    PEER_EVENTS_LOST Counter None, [], "Ephemeral events that did not get to a peer that has members for them.";
    API_CALLS Counter None, ["route", "status"], "Server API calls, by route and status.";
    API_SECONDS Seconds SECONDS, ["route"], "Duration of server API calls, by route.";
    INGEST_STREAMS Gauge None, [], "Streams of server API calls that are open.";
    WEBHOOK_CALLS Counter None, ["outcome"], "Calls of the auth webhook, by outcome: yes, no, malformed, what failed, left_alone or crowded (not made).";
    WEBHOOK_SECONDS Seconds SECONDS, [], "Duration of calls of the auth webhook.";
    PROCESS_RSS_BYTES Gauge BYTES, [], "Resident memory of the process.";
    PROCESS_OPEN_FDS Gauge None, [], "Open file descriptors of the process.";
    JWKS_FETCHES Counter None, ["result"], "Fetches of key sets, by result: ok, no_keys, timeout, connect, tls, broken, too_large, status.";
    RELOADS Counter None, ["result"], "Reloads of the settings, by result: ok, refused.";
    BUILD_INFO Gauge None, ["version"], "1, with the version of the program.";
};
