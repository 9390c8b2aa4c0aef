//! The one table of settings: name, meaning, range, and how each gets into [`Config`] and out of it.

use super::{
    Config, OriginPattern, Tls, cluster::CLUSTER, jwt_entry::read_jwt_keys, keys::read_api_keys,
    limits::HTTP_CONNECTIONS_MAX, log_filter, mistake::Mistake, raw::Node, webhook,
};
use std::{net::SocketAddr, ops::RangeInclusive};

/// A setting.
pub(super) struct Setting {
    /// `section.key`
    pub(super) path: &'static str,
    /// One or more lines for people.
    pub(super) doc: &'static str,
    pub(super) kind: Kind,
}

/// What a setting is.
pub(super) enum Kind {
    Integer {
        range: RangeInclusive<u64>,
        get: fn(&Config) -> u64,
        /// Called only with a number within the range.
        set: fn(&mut Config, u64),
    },
    Switch {
        get: fn(&Config) -> bool,
        set: fn(&mut Config, bool),
    },
    Text {
        /// Shown where there is no default.
        example: &'static str,
        get: fn(&Config) -> Option<String>,
        /// Answers what would be right when the text isn't.
        set: fn(&mut Config, &str) -> Result<(), String>,
    },
    List {
        example: &'static str,
        get: fn(&Config) -> Vec<String>,
        clear: fn(&mut Config),
        push: fn(&mut Config, &str) -> Result<(), String>,
    },
    /// A string that no message quotes.
    Secret {
        /// Empty for one that stands in for another: a file shows only that one.
        example: &'static str,
        /// Whether two configurations have the same secret.
        is_same: fn(&Config, &Config) -> bool,
        read: fn(&mut Config, &Node, &mut Vec<Mistake>),
    },
    Tables {
        /// TOML, uncommented.
        example: &'static str,
        /// Whether two configurations have the same tables.
        is_same: fn(&Config, &Config) -> bool,
        read: fn(&mut Config, &Node, &mut Vec<Mistake>),
    },
}

impl Setting {
    /// Its section and its key.
    pub(super) fn split(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').unwrap_or(("", self.path))
    }

    /// `CARILLON_SECTION__KEY`
    pub(super) fn env_name(&self) -> String {
        format!("CARILLON_{}", self.path.replace('.', "__").to_ascii_uppercase())
    }

    /// What values it takes, for people.
    pub(super) fn expects(&self) -> String {
        match &self.kind {
            Kind::Integer { range, .. } => format!("an integer from {} to {}", range.start(), range.end()),
            Kind::Switch { .. } => "true or false".into(),
            Kind::Text { example, .. } => format!("a string like {example:?}"),
            Kind::List { example, .. } => format!("an array of strings like {example}"),
            Kind::Tables { .. } => "an array of tables".into(),
            Kind::Secret { .. } => "a string".into(),
        }
    }
}

macro_rules! integer {
    ($section:ident . $key:ident, $range:expr, $doc:literal) => {
        Setting {
            path: concat!(stringify!($section), ".", stringify!($key)),
            doc: $doc,
            kind: Kind::Integer {
                range: $range,
                get: |config| config.$section.$key as u64,
                set: |config, value| config.$section.$key = value as _,
            },
        }
    };
}

macro_rules! switch {
    ($section:ident . $key:ident, $doc:literal) => {
        Setting {
            path: concat!(stringify!($section), ".", stringify!($key)),
            doc: $doc,
            kind: Kind::Switch {
                get: |config| config.$section.$key,
                set: |config, value| config.$section.$key = value,
            },
        }
    };
}
pub(super) use {integer, switch};

/// What is kept of one level, `retention.LEVEL_per_user` and `retention.LEVEL_days`.
macro_rules! kept {
    ($level:ident . $key:ident, $range:expr, $doc:literal) => {
        Setting {
            path: concat!("retention.", stringify!($level), "_", stringify!($key)),
            doc: $doc,
            kind: Kind::Integer {
                range: $range,
                get: |config| config.retention.$level.$key,
                set: |config, value| config.retention.$level.$key = value,
            },
        }
    };
}

const SECONDS_MAX: u64 = 86_400;
const KEPT_MAX: u64 = 10_000_000;
const DAYS_MAX: u64 = 36_500;
const BYTES_MAX: u64 = 1 << 40;

/// Every setting, in the order of the file.
pub(super) fn settings() -> impl Iterator<Item = &'static Setting> + Clone {
    NODE_SETTINGS.iter().chain(CLUSTER)
}

/// All but `[cluster]`, which has a file of its own. Tables stand last in their section: in TOML, a key after
/// `[[auth.jwt]]` belongs to that table.
static NODE_SETTINGS: &[Setting] = &[
    Setting {
        path: "server.listen",
        doc: "Address of WebSocket and HTTP.",
        kind: Kind::Text {
            example: "127.0.0.1:8000",
            get: |config| Some(config.server.listen.to_string()),
            set: |config, text| address(text).map(|listen| config.server.listen = listen),
        },
    },
    Setting {
        path: "server.data_dir",
        doc: "Where log, tables and snapshots live. Made with mode 0700 if it isn't there.",
        kind: Kind::Text {
            example: "./carillon-data",
            get: |config| Some(config.server.data_dir.display().to_string()),
            set: |config, text| filled(text).map(|dir| config.server.data_dir = dir.into()),
        },
    },
    Setting {
        path: "server.admin_listen",
        doc: "Address of /healthz, /readyz and /metrics, if they are to have a listener of their own.",
        kind: Kind::Text {
            example: "127.0.0.1:8001",
            get: |config| config.server.admin_listen.map(|listen| listen.to_string()),
            set: |config, text| address(text).map(|listen| config.server.admin_listen = Some(listen)),
        },
    },
    Setting {
        path: "server.tls_cert",
        doc: "Certificate chain, PEM. TLS is spoken when this and tls_key are set.",
        kind: Kind::Text {
            example: "/etc/carillon/tls.crt",
            get: |config| config.server.tls.as_ref().map(|tls| tls.cert.display().to_string()),
            set: |config, text| filled(text).map(|path| tls(config).cert = path.into()),
        },
    },
    Setting {
        path: "server.tls_key",
        doc: "Private key, PEM.",
        kind: Kind::Text {
            example: "/etc/carillon/tls.key",
            get: |config| config.server.tls.as_ref().map(|tls| tls.key.display().to_string()),
            set: |config, text| filled(text).map(|path| tls(config).key = path.into()),
        },
    },
    Setting {
        path: "server.trusted_proxies",
        doc: "Addresses of proxies whose X-Forwarded-For is believed.",
        kind: Kind::List {
            example: r#"["10.0.0.1", "::1"]"#,
            get: |config| config.server.trusted_proxies.iter().map(ToString::to_string).collect(),
            clear: |config| config.server.trusted_proxies.clear(),
            push: |config, text| {
                let address = text.parse().map_err(|_| "write an IP address without a port, 10.0.0.1".to_owned())?;
                config.server.trusted_proxies.push(address);
                Ok(())
            },
        },
    },
    switch!(
        server.dev,
        "Development mode: loopback only, a fixed secret and API key, demo users and pages. Never in production."
    ),
    integer!(server.node_id, 1..=65_535, "This node's number in its cluster; never given to another node."),
    Setting {
        path: "auth.issuer",
        doc: "The `iss` that tokens must have. Not checked when unset.",
        kind: Kind::Text {
            example: "https://app.example.org",
            get: |config| config.auth.issuer.clone(),
            set: |config, text| filled(text).map(|issuer| config.auth.issuer = Some(issuer.into())),
        },
    },
    Setting {
        path: "auth.audience",
        doc: "The `aud` that tokens must have. Not checked when unset.",
        kind: Kind::Text {
            example: "carillon",
            get: |config| config.auth.audience.clone(),
            set: |config, text| filled(text).map(|audience| config.auth.audience = Some(audience.into())),
        },
    },
    Setting {
        path: "auth.token_type",
        doc: "The `typ` that tokens must have in their header. When unset, none, JWT and at+jwt will do.",
        kind: Kind::Text {
            example: "at+jwt",
            get: |config| config.auth.token_type.clone(),
            set: |config, text| filled(text).map(|name| config.auth.token_type = Some(name.into())),
        },
    },
    integer!(auth.jwks_refresh_seconds, 5..=86_400, "How often key sets (jwks_url) are fetched."),
    integer!(auth.leeway_seconds, 0..=300, "Clock difference that is forgiven in exp, nbf and iat."),
    Setting {
        path: "auth.cookie",
        doc: "Cookie that may carry a token; empty: none.",
        kind: Kind::Text {
            example: "carillon_token",
            get: |config| Some(config.auth.cookie.clone()),
            set: |config, text| cookie_name(text).map(|name| config.auth.cookie = name.into()),
        },
    },
    switch!(auth.query_token, "Whether ?token= is read. Addresses end up in logs: prefer a cookie or a subprotocol."),
    Setting {
        path: "auth.allowed_origins",
        doc: "Hosts whose pages may open sockets. *.example.org is every subdomain, not example.org itself.",
        kind: Kind::List {
            example: r#"["app.example.org", "*.example.org", "localhost:3000"]"#,
            get: |config| config.auth.allowed_origins.clone(),
            clear: |config| config.auth.allowed_origins.clear(),
            push: |config, text| {
                OriginPattern::parse(text)?;
                config.auth.allowed_origins.push(text.to_owned());
                Ok(())
            },
        },
    },
    webhook::URL,
    webhook::HEADERS,
    webhook::TENANTS,
    webhook::CA,
    webhook::TIMEOUT,
    webhook::GRACE,
    Setting {
        path: "auth.jwt",
        doc: "Keys that may sign tokens. A plain string is the secret of one key with the id \"main\".",
        kind: Kind::Tables {
            example: r#"[[auth.jwt]]
id = "2026-01"                        # the `kid` of its tokens
algorithm = "HS256"                   # HS256, HS384, HS512 with a secret; RS256, RS384, RS512, ES256, ES384, EdDSA
secret = "base64:<32 bytes or more>"  # head -c 32 /dev/urandom | base64
# secret_file = "/run/secrets/jwt"    # instead of secret; not readable by everybody
# public_key_file = "/etc/app.pem"    # instead, for RS, ES and EdDSA; or public_key, the PEM text
# jwks_url = "https://id.example.org/.well-known/jwks.json"   # instead of algorithm and key; or jwks_file
# algorithms = ["RS256"]              # with a key set: what its keys may be for; else all but HS
# jwks_ca_file = "/etc/ca.pem"        # trusted beside the system's authorities
# jwks_allow_http = true              # only on a network where nobody else can answer
# issuer = "https://id.example.org"   # instead of auth.issuer; likewise audience and token_type
tenants = ["default"]                 # whom it may sign for"#,
            is_same: |a, b| a.auth.jwt == b.auth.jwt,
            read: read_jwt_keys,
        },
    },
    Setting {
        path: "auth.api_keys",
        doc: "Keys of the server API; `carillon key new` makes one and prints this.",
        kind: Kind::Tables {
            example: r#"[[auth.api_keys]]
id = "backend"                        # a name for logs
hash = "<64 hexadecimal digits>"      # SHA-256 of the key
scopes = ["publish", "read"]          # publish, read, admin, tickets, backup
tenant = "default""#,
            is_same: |a, b| a.auth.api_keys == b.auth.api_keys,
            read: read_api_keys,
        },
    },
    integer!(limits.connections_total, 1..=10_000_000, "Connections of this node."),
    integer!(limits.connections_per_user, 1..=10_000_000, "Connections of one user on this node."),
    integer!(limits.connections_per_address, 1..=10_000_000, "Connections from one address."),
    integer!(
        limits.http_connections_per_address,
        1..=HTTP_CONNECTIONS_MAX as u64,
        "Connections from one address that are not, or not yet, WebSockets; trusted proxies may have more."
    ),
    integer!(
        limits.http_idle_seconds,
        1..=3_600,
        "How long an HTTP connection is kept for its next request; longer than clients and proxies keep theirs."
    ),
    integer!(limits.message_bytes, 1_024..=16_777_216, "Largest WebSocket message and frame from a client."),
    integer!(limits.messages_per_second, 1..=1_000_000, "Messages per second that one socket may send, on average."),
    integer!(limits.messages_burst, 1..=1_000_000, "Messages that one socket may send at once."),
    integer!(limits.api_calls_per_second, 1..=10_000_000, "Server API calls per second of one key."),
    integer!(limits.api_body_bytes, 1_024..=67_108_864, "Largest body of a server API call."),
    integer!(limits.outbox_frames, 8..=1_048_576, "Frames that wait for one slow reader."),
    integer!(limits.outbox_bytes, 65_536..=1_073_741_824, "Bytes that wait for one slow reader."),
    integer!(limits.ping_interval_seconds, 1..=3_600, "How often a socket is pinged."),
    integer!(limits.ping_timeout_seconds, 1..=3_600, "How long a pong may take; less than the interval."),
    integer!(limits.proposals_waiting, 16..=1_048_576, "Durable commands that wait for the log."),
    integer!(presence.grace_seconds, 0..=SECONDS_MAX, "How long a user stays online after the last tab has gone."),
    integer!(retention.notifications_per_user, 0..=KEPT_MAX, "Newest notifications kept per user; 0: all."),
    integer!(retention.notifications_days, 0..=DAYS_MAX, "Days that a notification is kept; 0: for ever."),
    kept!(info.per_user, 0..=KEPT_MAX, "Newest notifications of level info kept per user; 0: all."),
    kept!(info.days, 0..=DAYS_MAX, "Days that a notification of level info is kept; 0: for ever."),
    kept!(success.per_user, 0..=KEPT_MAX, "Newest of level success kept per user; 0: all."),
    kept!(success.days, 0..=DAYS_MAX, "Days that one of level success is kept; 0: for ever."),
    kept!(warning.per_user, 0..=KEPT_MAX, "Newest of level warning kept per user; 0: all."),
    kept!(warning.days, 0..=DAYS_MAX, "Days that one of level warning is kept; 0: for ever."),
    kept!(error.per_user, 0..=KEPT_MAX, "Newest of level error kept per user; 0: all."),
    kept!(error.days, 0..=DAYS_MAX, "Days that one of level error is kept; 0: for ever."),
    integer!(
        retention.resume_seconds,
        0..=2_592_000,
        "Seconds that events are kept for clients that come back and resume (carillon.v1)."
    ),
    integer!(retention.resume_bytes, 0..=BYTES_MAX, "About how many bytes of such events are kept."),
    integer!(drain.seconds, 0..=3_600, "Over how many seconds closes are spread at SIGTERM."),
    integer!(
        storage.reserve_bytes,
        0..=BYTES_MAX,
        "Below this much free disk, and below 4 MiB in any case, durable calls are refused."
    ),
    integer!(
        storage.snapshot_log_bytes,
        1_048_576..=BYTES_MAX,
        "The log is cut by a snapshot once it is larger than this and than the last snapshot."
    ),
    integer!(storage.segment_bytes, 65_536..=1_073_741_824, "Size of one log segment."),
    integer!(storage.cache_bytes, 1_048_576..=BYTES_MAX, "Cache of the tables."),
    Setting {
        path: "log.level",
        doc: "error, warn, info, debug, trace or off; or levels by module, info,carillon::auth=debug.",
        kind: Kind::Text {
            example: "info",
            get: |config| Some(config.log.level.clone()),
            set: |config, text| log_filter::parse(text).map(|level| config.log.level = level),
        },
    },
    Setting {
        path: "log.format",
        doc: "human or json.",
        kind: Kind::Text {
            example: "human",
            get: |config| Some(if config.log.json { "json" } else { "human" }.to_owned()),
            set: |config, text| log_format(text).map(|json| config.log.json = json),
        },
    },
];

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "write an IP address and a port, 127.0.0.1:8000 or [::1]:8000".to_owned())
}

pub(super) fn filled(text: &str) -> Result<&str, String> {
    if text.trim().is_empty() { Err("it must not be empty; leave the setting out instead".into()) } else { Ok(text) }
}

/// A token in the sense of RFC 6265, section 4.1.1.
fn cookie_name(text: &str) -> Result<&str, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.bytes().all(fits) { Ok(text) } else { Err("write a cookie's name, like carillon_token".into()) }
}

fn log_format(text: &str) -> Result<bool, String> {
    match text {
        "human" => Ok(false),
        "json" => Ok(true),
        _ => Err("write human or json".into()),
    }
}

/// Both halves come one by one; [`super::checks`] sees to it that both did.
fn tls(config: &mut Config) -> &mut Tls {
    config.server.tls.get_or_insert_with(|| Tls { cert: "".into(), key: "".into() })
}
