//! Every bound there is: configurable ones with their defaults, fixed ones as constants.

use std::time::Duration;

/// `[limits]`
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections of this node.
    pub connections_total: usize,
    /// Connections of one user on this node.
    pub connections_per_user: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// Largest WebSocket message and frame from a client.
    pub message_bytes: usize,
    /// Connections from one address that are not, or not yet, WebSockets.
    pub http_connections_per_address: usize,
    /// How long such a connection is kept between two requests.
    pub http_idle_seconds: u64,
    /// Messages per second that one socket may send, on average.
    pub messages_per_second: u32,
    /// Messages that one socket may send at once.
    pub messages_burst: u32,
    /// Server API calls per second of one key.
    pub api_calls_per_second: u32,
    /// Largest body of a server API call.
    pub api_body_bytes: usize,
    /// Frames that wait for one slow reader.
    pub outbox_frames: usize,
    /// Bytes that wait for one slow reader.
    pub outbox_bytes: usize,
    /// How often a socket is pinged.
    pub ping_interval_seconds: u64,
    /// How long a pong may take.
    pub ping_timeout_seconds: u64,
    /// Log commands waiting for the proposer.
    pub proposals_waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_total: 100_000,
            connections_per_user: 100,
            connections_per_address: 20_000,
            message_bytes: 64 << 10,
            http_connections_per_address: 2_048,
            http_idle_seconds: 75,
            messages_per_second: 50,
            messages_burst: 200,
            api_calls_per_second: 20_000,
            api_body_bytes: 1 << 20,
            outbox_frames: 1_024,
            outbox_bytes: 1 << 20,
            ping_interval_seconds: 25,
            ping_timeout_seconds: 10,
            proposals_waiting: 4_096,
        }
    }
}

/// Handshakes that are worked on at once; bounds the peak of their buffers.
pub const HANDSHAKES_MAX: usize = 128;
/// Of these, handshakes of one address; trusted proxies may have all.
pub const HANDSHAKES_PER_ADDRESS: usize = 32;
/// How long a client may take for its request head.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest head of a request: request line and headers.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most header lines of a request.
pub const HEAD_LINES_MAX: usize = 100;
/// Bytes of an unfinished head that every connection may hold.
pub const HEAD_BYTES_FREE: usize = 2 << 10;
/// Bytes that all unfinished heads of one listener may hold beyond [`HEAD_BYTES_FREE`] each.
pub const HEADS_BYTES_MAX: usize = 8 << 20;
/// Of these, bytes of one address; trusted proxies may hold all.
pub const HEADS_BYTES_PER_ADDRESS: usize = 2 << 20;
/// Largest `ClientHello` of a TLS client.
pub const HELLO_BYTES_MAX: usize = 16 << 10;
/// Largest piece of a request body, or of what waits to be written, that HTTP keeps for one connection.
pub const HTTP_BUFFER_BYTES_MAX: usize = 64 << 10;
/// How much longer than announced a connection is kept between requests, so that no request meets its end.
pub const HTTP_IDLE_GRACE: Duration = Duration::from_secs(2);
/// Bytes that are taken in after a refusal, so that the peer gets to read it.
pub const LINGER_BYTES_MAX: usize = 256 << 10;
/// How long that may take.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Publishes, joins and leaves waiting for one shard.
pub const SHARD_QUEUE_MAX: usize = 8_192;
/// Frames, and bytes, that a shard takes in for its sessions before it has written to each that waits.
pub const SHARD_PASS_FRAMES_MAX: u32 = 128;
/// See [`SHARD_PASS_FRAMES_MAX`].
pub const SHARD_PASS_BYTES_MAX: usize = 256 << 10;
/// How long a closing socket may take for what is queued, the close frame and its own goodbye.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a new socket that speaks v1 holds events back for the client to resume.
pub const RESUME_WAIT: Duration = Duration::from_secs(1);
/// How long a resume waits for this node to apply what the client has seen at another.
pub const RESUME_AHEAD_WAIT: Duration = Duration::from_secs(2);
/// Entries that a node may lack of a client's cursor and still be waited for: one that is further ahead was never given out.
pub const RESUME_AHEAD_ENTRIES: u64 = 1 << 20;
/// Events in one page of a resume, and bytes of their frames.
pub const RESUME_PAGE_EVENTS: usize = 256;
/// See [`RESUME_PAGE_EVENTS`].
pub const RESUME_PAGE_BYTES: usize = 64 << 10;
/// Frames in one message of a resume, and bytes after which none is added: a slow reader gets somewhere with each.
pub const RESUME_MESSAGE_FRAMES: usize = 64;
/// See [`RESUME_MESSAGE_FRAMES`].
pub const RESUME_MESSAGE_BYTES: usize = 4 << 10;
/// Entries in one page of a greeting's `online_users`, v1.
pub const ONLINE_PAGE: usize = 500;
/// Connections of this node that are not (or not yet) WebSockets.
pub const HTTP_CONNECTIONS_MAX: usize = 4_096;
/// How long a peer may take nothing of an HTTP response.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request body that are taken in although nobody reads them, so that the caller gets to read the refusal.
pub const UNREAD_BODY_BYTES_MAX: usize = 8 << 20;
/// How long that may take.
pub const UNREAD_BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a handshake may keep its place among [`HANDSHAKES_MAX`]; one that takes longer goes on without it.
pub const HANDSHAKE_PLACE_TIMEOUT: Duration = Duration::from_secs(1);
/// Age at which an ephemeral frame in an outbox is dropped.
pub const EPHEMERAL_AGE_MAX: Duration = Duration::from_secs(60);
/// Bad frames in a row after which a socket is closed.
pub const BAD_FRAMES_MAX: u32 = 10;
/// How long an answer waits for all recipients to be counted.
pub const RECIPIENTS_WAIT: Duration = Duration::from_millis(250);
/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// Largest notification with its data, encoded.
pub const NOTIFICATION_BYTES_MAX: usize = 16 << 10;
/// Largest payload of any other event.
pub const EVENT_BYTES_MAX: usize = 48 << 10;
/// Users in one call.
pub const USER_IDS_MAX: usize = 1_000;
/// How deep a JSON body may be nested.
pub const JSON_DEPTH_MAX: usize = 64;
/// Largest record of a file that is imported; of models that are skipped, too.
pub const IMPORT_RECORD_BYTES_MAX: u64 = 16 << 20;
/// Bytes of records that an import sends in one call.
pub const IMPORT_CALL_BYTES: usize = 512 << 10;
/// How long an import tries again while the server does not take what it sends.
pub const IMPORT_PATIENCE: Duration = Duration::from_secs(60);
/// Records in one call of an import.
pub const IMPORT_RECORDS_MAX: usize = 1_000;
/// Largest key of an imported notification: ids go on behind it, and stay exact in every JSON reader for long.
pub const IMPORT_KEY_MAX: u64 = 1 << 52;
/// How often an import may go on behind notifications that were sent meanwhile.
pub const IMPORT_RUNS_MAX: usize = 1_000;
/// How long a reader of a backup may take for a piece of it before it is cut off, so that its disk space is free again.
pub const BACKUP_STALL_MAX: Duration = Duration::from_secs(60);
/// Bytes of a backup that are read from the disk at once.
pub const BACKUP_PIECE_BYTES: usize = 256 << 10;
/// Pieces of a backup that wait for its reader.
pub const BACKUP_PIECES_MAX: usize = 4;
/// How long the body of a server API call may take to arrive.
pub const API_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Calls in one batch.
pub const BATCH_CALLS_MAX: usize = 1_000;
/// Entries of a list when the caller does not say.
pub const PAGE_DEFAULT: usize = 50;
/// Most entries of a list.
pub const PAGE_MAX: usize = 200;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long idempotency keys are kept.
pub const IDEMPOTENCY_SECONDS: i64 = 24 * 3_600;
/// How many idempotency keys are kept.
pub const IDEMPOTENCY_KEYS_MAX: u64 = 1_000_000;
/// Ingest streams of one key.
pub const INGEST_PER_KEY_MAX: usize = 256;
/// Ingest streams of this node.
pub const INGEST_TOTAL_MAX: usize = 1_024;
/// Calls of one ingest stream that are under way; while there are so many, nothing more is read from it.
pub const INGEST_WINDOW_CALLS: usize = 1_024;
/// Bytes of these calls.
pub const INGEST_WINDOW_BYTES: usize = 4 << 20;
/// Bytes of answers that go out together.
pub const INGEST_ANSWER_BYTES: usize = 32 << 10;
/// Longest `id` of an ingest call, in bytes of JSON.
pub const INGEST_ID_BYTES_MAX: usize = 256;
/// Lines in a row that are no good call after which an ingest stream is closed.
pub const INGEST_BAD_LINES_MAX: u32 = 100;
/// How long an ingest stream may take to read its answers.
pub const INGEST_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an ingest stream may stay without a call.
pub const INGEST_IDLE_MAX: Duration = Duration::from_secs(600);
/// Longest JWT, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Longest `username`, `first_name` or `last_name`, in characters (Django's own limit).
pub const NAME_CHARS_MAX: usize = 150;
/// Smallest RSA key that may sign tokens (RFC 7518, section 3.3).
pub const RSA_BITS_MIN: usize = 2_048;
/// Longest `kid` of a token or a key.
pub const KID_BYTES_MAX: usize = 256;
/// Largest file with a secret or a public key.
pub const KEY_FILE_BYTES_MAX: u64 = 64 << 10;
/// Largest key set (JWKS).
pub const JWKS_BYTES_MAX: usize = 256 << 10;
/// Most keys of a key set.
pub const JWKS_KEYS_MAX: usize = 64;
/// How long fetching a key set may take, from the name's resolution to its last byte.
pub const JWKS_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failure, a key set is fetched again this much later, or earlier if it is refreshed more often.
pub const JWKS_RETRY: Duration = Duration::from_secs(30);
/// Between two fetches of one key set that were asked for by tokens with a `kid` that nobody knows.
pub const JWKS_MISS_INTERVAL: Duration = Duration::from_secs(10);
/// Largest configuration file.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Headers of one handshake that go to the webhook, in bytes.
pub const FORWARDED_BYTES_MAX: usize = 16 << 10;
/// Largest answer of the webhook.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 16 << 10;
/// Calls of the webhook under way for handshakes; more wait their turn, as long as an answer may take.
pub const WEBHOOK_CALLS_MAX: usize = 64;
/// Calls of the webhook under way for sockets that are open.
pub const WEBHOOK_RECHECKS_MAX: usize = 32;
/// Answers of the webhook that are kept for nobody who is here now.
pub const WEBHOOK_ANSWERS_MAX: usize = 10_000;
/// How long an answer of the webhook is good when it does not say.
pub const VOUCHED_SECONDS_DEFAULT: u32 = 300;
/// Longest that one may be good.
pub const VOUCHED_SECONDS_MAX: u32 = 86_400;
/// Tickets of one tenant that are neither spent nor expired.
pub const TICKETS_LIVE_MAX: u64 = 10_000;
/// How long a ticket is good.
pub const TICKET_SECONDS: i64 = 30;
/// Longest session that a ticket opens, and how long one lasts when the caller does not say.
pub const TICKET_SESSION_SECONDS_MAX: u32 = 12 * 3_600;
/// Connections to one other server that are kept for its next call.
pub const OUTBOUND_IDLE_CONNECTIONS_MAX: usize = 8;
/// How long they are kept.
pub const OUTBOUND_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Nodes of one cluster.
pub const PEERS_MAX: usize = 15;
/// Longest `HOST:PORT` of a peer, in bytes.
pub const PEER_ADDRESS_BYTES_MAX: usize = 260;
/// How long a peer may take to be connected and to prove itself.
pub const LINK_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// Peers that prove themselves at once.
pub const LINK_HANDSHAKES_MAX: usize = 64;
/// Links that peers may hold open to this node.
pub const LINKS_MAX: usize = 256;
/// How long a write to a peer may take before the link is given up.
pub const LINK_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a link is tried.
pub const LINK_PING_EVERY: Duration = Duration::from_millis(500);
/// How long a link may be silent before it is given up.
pub const LINK_SILENCE_MAX: Duration = Duration::from_secs(3);
/// Shortest and longest pause before a peer is dialled again.
pub const LINK_BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Requests that wait for one link.
pub const LINK_QUEUE_MAX: usize = 64;
/// Requests of one peer that are worked on at once.
pub const LINK_REQUESTS_AT_ONCE: usize = 32;
/// Events that wait for one link, and their bytes.
pub const LINK_EVENTS_MAX: usize = 4_096;
/// See [`LINK_EVENTS_MAX`].
pub const LINK_EVENT_BYTES_MAX: usize = 8 << 20;
/// One piece of a snapshot on its way.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 << 10;
/// The feature level that this program understands.
///
/// | level | since | what |
/// |---|---|---|
/// | 1 | the first cluster | everything that is not named below |
/// | 2 | | [`crate::records::Op::EndStays`]: users of a lost node go offline many at a time |
pub const FEATURES: u32 = 2;
/// Events that wait to be sent to other nodes.
pub const OUTWARD_QUEUE_MAX: usize = 8_192;
/// Events of other nodes that wait to be published here; then their links wait.
pub const INWARD_QUEUE_MAX: usize = 1_024;
/// Counts for other nodes that wait for their sockets.
pub const COUNTS_WAITING_MAX: usize = 8_192;
/// How long a session waits until every node knows of it; then it is not let in.
pub const GREETING_WAIT: Duration = Duration::from_secs(2);
/// How long a durable call of a lone node may wait for the disk.
pub const DISK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a durable call may wait for a leader and its majority.
pub const COMMIT_TIMEOUT: Duration = Duration::from_millis(1_900);
