//! The names of every metric, as constants, and the one table that says what each is.

/// Open sessions, by `endpoint`.
pub const SESSIONS: &str = "carillon_sessions";
/// Sessions greeted, by `endpoint`.
pub const CONNECTS: &str = "carillon_connects_total";
/// Handshakes refused, by `reason`.
pub const REFUSALS: &str = "carillon_refusals_total";
/// From the request's head to the greeting.
pub const CONNECT_SECONDS: &str = "carillon_connect_seconds";
/// WebSocket messages from clients.
pub const FRAMES_IN: &str = "carillon_frames_in_total";
/// WebSocket messages to clients.
pub const FRAMES_OUT: &str = "carillon_frames_out_total";
/// Bytes written to clients.
pub const BYTES_OUT: &str = "carillon_bytes_out_total";
/// Frames that were not delivered, by `reason`.
pub const DROPS: &str = "carillon_drops_total";
/// Sessions closed, by `code`.
pub const CLOSES: &str = "carillon_closes_total";
/// Bytes waiting in outboxes.
pub const OUTBOX_BYTES: &str = "carillon_outbox_bytes";
/// Events published, by `kind`: `durable`, `ephemeral`.
pub const PUBLISHES: &str = "carillon_publishes_total";
/// Commands that the log took.
pub const PROPOSALS: &str = "carillon_proposals_total";
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
/// Server API calls, by `route` and `status`.
pub const API_CALLS: &str = "carillon_api_calls_total";
/// Duration of server API calls, by `route`.
pub const API_SECONDS: &str = "carillon_api_seconds";
/// Resident memory.
pub const PROCESS_RSS_BYTES: &str = "carillon_process_resident_memory_bytes";
/// Open file descriptors.
pub const PROCESS_OPEN_FDS: &str = "carillon_process_open_fds";
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
    pub(super) help: &'static str,
}

const fn metric(name: &'static str, shape: Shape, unit: Option<metrics::Unit>, help: &'static str) -> Metric {
    Metric { name, shape, unit, help }
}

const BYTES: Option<metrics::Unit> = Some(metrics::Unit::Bytes);
const SECONDS: Option<metrics::Unit> = Some(metrics::Unit::Seconds);
const COUNT: Option<metrics::Unit> = None;

/// Every metric there is.
pub(super) const METRICS: &[Metric] = &[
    metric(SESSIONS, Shape::Gauge, COUNT, "Open sessions, by endpoint."),
    metric(CONNECTS, Shape::Counter, COUNT, "Sessions greeted, by endpoint."),
    metric(REFUSALS, Shape::Counter, COUNT, "Handshakes refused, by reason."),
    metric(CONNECT_SECONDS, Shape::Seconds, SECONDS, "From the head of the request to the greeting."),
    metric(FRAMES_IN, Shape::Counter, COUNT, "WebSocket messages from clients."),
    metric(FRAMES_OUT, Shape::Counter, COUNT, "WebSocket messages to clients."),
    metric(BYTES_OUT, Shape::Counter, BYTES, "Bytes written to clients."),
    metric(DROPS, Shape::Counter, COUNT, "Frames not delivered, by reason: slow_reader, expired, overload."),
    metric(CLOSES, Shape::Counter, COUNT, "Sessions closed, by WebSocket close code."),
    metric(OUTBOX_BYTES, Shape::Gauge, BYTES, "Bytes waiting for slow readers."),
    metric(PUBLISHES, Shape::Counter, COUNT, "Events published, by kind: durable, ephemeral."),
    metric(PROPOSALS, Shape::Counter, COUNT, "Durable commands that the log took."),
    metric(PROPOSAL_SECONDS, Shape::Seconds, SECONDS, "From a proposal to its commit."),
    metric(FSYNC_SECONDS, Shape::Seconds, SECONDS, "Duration of fdatasync."),
    metric(LOG_BYTES, Shape::Gauge, BYTES, "Bytes of the log on disk."),
    metric(LOG_ENTRIES, Shape::Gauge, COUNT, "Entries of the log."),
    metric(TABLES_BYTES, Shape::Gauge, BYTES, "Bytes of the tables on disk."),
    metric(SNAPSHOT_BYTES, Shape::Gauge, BYTES, "Bytes of the newest snapshot."),
    metric(SNAPSHOT_AGE_SECONDS, Shape::Gauge, SECONDS, "Age of the newest snapshot."),
    metric(PRESENCE_USERS_ONLINE, Shape::Gauge, COUNT, "Users online."),
    metric(API_CALLS, Shape::Counter, COUNT, "Server API calls, by route and status."),
    metric(API_SECONDS, Shape::Seconds, SECONDS, "Duration of server API calls, by route."),
    metric(PROCESS_RSS_BYTES, Shape::Gauge, BYTES, "Resident memory of the process."),
    metric(PROCESS_OPEN_FDS, Shape::Gauge, COUNT, "Open file descriptors of the process."),
    metric(BUILD_INFO, Shape::Gauge, COUNT, "1, with the version of the program."),
];
