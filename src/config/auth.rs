//! `[auth]`: keys that may sign tokens, keys of the server API, origins.

use super::JwtKey;
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
    /// `typ` that tokens must have, if set; else none, `JWT` and `at+jwt` will do.
    pub token_type: Option<String>,
    /// How often key sets are fetched.
    pub jwks_refresh_seconds: u64,
    /// Clock difference that is forgiven in `exp`, `nbf` and `iat`.
    pub leeway_seconds: u64,
    /// Cookie that may carry a token; empty: none.
    pub cookie: String,
    /// Whether `?token=` is read.
    pub query_token: bool,
    /// Hosts whose pages may open sockets: `app.example.org`, `*.example.org`, `localhost:8000`.
    pub allowed_origins: Vec<String>,
    /// Whom to ask about a handshake without a token.
    pub webhook: super::Webhook,
    /// Keys for the server API.
    pub api_keys: Vec<ApiKey>,
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
    /// Let somebody in: mint tickets. Saying who is staff takes `Admin` as well.
    Tickets,
    /// Copy everything of every tenant: for whoever runs the server. Of no use with, and not part of, any other scope.
    Backup,
    /// Look after the cluster, which is no tenant's: its members, their addresses, who leads. Part of no other scope.
    Cluster,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            jwt: Vec::new(),
            issuer: None,
            audience: None,
            token_type: None,
            jwks_refresh_seconds: 300,
            leeway_seconds: 0,
            cookie: "carillon_token".into(),
            query_token: false,
            allowed_origins: Vec::new(),
            webhook: super::Webhook::default(),
            api_keys: Vec::new(),
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
    pub const ALL: [Self; 6] = [Self::Publish, Self::Read, Self::Admin, Self::Tickets, Self::Backup, Self::Cluster];

    /// Its name in configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Admin => "admin",
            Self::Tickets => "tickets",
            Self::Backup => "backup",
            Self::Cluster => "cluster",
        }
    }

    /// The scope of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}
