//! `[auth]`: keys that may sign tokens, keys of the server API, origins.

use crate::protocol::Tenant;

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// Keys that may sign tokens.
    pub jwt: Vec<JwtKey>,
    /// `iss` that tokens must have, if set.
    pub issuer: Option<String>,
    /// `aud` that tokens must have, if set.
    pub audience: Option<String>,
    /// Clock difference that is forgiven in `exp`, `nbf` and `iat`.
    pub leeway_seconds: u64,
    /// Cookie that may carry a token; empty: none.
    pub cookie: String,
    /// Whether `?token=` is read.
    pub query_token: bool,
    /// Hosts whose pages may open sockets: `app.example.org`, `*.example.org`, `localhost:8000`.
    pub allowed_origins: Vec<String>,
    /// Keys for the server API.
    pub api_keys: Vec<ApiKey>,
}

/// One entry of `auth.jwt`.
#[derive(Clone)]
pub struct JwtKey {
    /// The `kid` that names it; a token without `kid` is tried only when there is exactly one key.
    pub id: String,
    /// The one algorithm it is for.
    pub algorithm: JwtAlgorithm,
    /// The shared secret, at least 32 bytes.
    pub secret: Vec<u8>,
    /// Tenants that it may sign for.
    pub tenants: Vec<Tenant>,
}

/// Algorithms a key can be pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
}

// The secret stays out of debug output, and so out of every log.
impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtKey").field("id", &self.id).field("tenants", &self.tenants).finish_non_exhaustive()
    }
}

/// One entry of `auth.api_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// A name for logs.
    pub id: String,
    /// SHA-256 of the key, 64 hexadecimal digits (`carillon key new` prints it).
    pub hash: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Whose data it may touch.
    pub tenant: Tenant,
}

/// What an API key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Send: notifications, updates, broadcasts, group sends.
    Publish,
    /// Look: inboxes, presence, users, stats.
    Read,
    /// Change users, disconnect, everything else of its tenant.
    Admin,
    /// Copy everything of every tenant: for whoever runs the server. Of no use with, and not part of, any other scope.
    Backup,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            jwt: Vec::new(),
            issuer: None,
            audience: None,
            leeway_seconds: 0,
            cookie: "carillon_token".into(),
            query_token: false,
            allowed_origins: Vec::new(),
            api_keys: Vec::new(),
        }
    }
}

/// Signs tokens in development mode when no key is configured. Known to everybody, hence loopback only.
const DEV_SECRET: &[u8] = b"carillon development secret: never use it in production";

impl JwtKey {
    /// The fixed key of development mode.
    pub fn development() -> Self {
        Self {
            id: "dev".into(),
            algorithm: JwtAlgorithm::Hs256,
            secret: DEV_SECRET.to_vec(),
            tenants: vec![Tenant::default()],
        }
    }
}

impl ApiKey {
    /// Whether the key has this scope. No scope contains another.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

impl Scope {
    /// Every scope, in the order people write them.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Read, Self::Admin, Self::Backup];

    /// Its name in configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Admin => "admin",
            Self::Backup => "backup",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}
