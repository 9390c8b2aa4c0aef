//! One entry of `auth.jwt`: whose signatures count, made how, and what they may say.

use super::{JwkSet, Target, VerificationKey};
use crate::protocol::Tenant;
use std::path::PathBuf;

/// One entry of `auth.jwt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtKey {
    /// The `kid` that names it; a token without `kid` is tried only when there is exactly one key. A key set's keys have
    /// their own, and this is a name for logs.
    pub id: String,
    /// The key, or where keys are.
    pub source: KeySource,
    /// Tenants that it may sign for.
    pub tenants: Vec<Tenant>,
    /// `iss` that its tokens must have, instead of `auth.issuer`.
    pub issuer: Option<String>,
    /// `aud` that its tokens must have, instead of `auth.audience`.
    pub audience: Option<String>,
    /// `typ` that its tokens must have, instead of `auth.token_type`.
    pub token_type: Option<String>,
}

/// Where the keys of an entry come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// `secret`, `secret_file`, `public_key`, `public_key_file`.
    Key(VerificationKey),
    /// `jwks_file`, as it was when the settings were read.
    File(JwkSet),
    /// `jwks_url`: fetched, and fetched again.
    Url(JwksUrl),
}

/// A key set that somebody else keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JwksUrl {
    /// `https://…`, or `http://…` of this machine.
    pub target: Target,
    /// Algorithms that its keys may be for.
    pub algorithms: Vec<JwtAlgorithm>,
    /// Certificate authorities that are trusted beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Algorithms a key can be pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// ECDSA over P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    /// Every one, with its name in tokens and settings (RFC 7518, section 3.1; RFC 8037).
    const NAMES: [(Self, &'static str); 9] = [
        (Self::Hs256, "HS256"),
        (Self::Hs384, "HS384"),
        (Self::Hs512, "HS512"),
        (Self::Rs256, "RS256"),
        (Self::Rs384, "RS384"),
        (Self::Rs512, "RS512"),
        (Self::Es256, "ES256"),
        (Self::Es384, "ES384"),
        (Self::EdDsa, "EdDSA"),
    ];

    /// Those whose verifying key is no secret.
    pub const ASYMMETRIC: [Self; 6] = [Self::Rs256, Self::Rs384, Self::Rs512, Self::Es256, Self::Es384, Self::EdDsa];

    /// The algorithm of that name, in exactly this spelling.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map(|(algorithm, _)| algorithm)
    }

    /// Its name in tokens and settings.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.into_iter().find(|(algorithm, _)| *algorithm == self).map_or("", |(_, name)| name)
    }

    /// The names of all.
    pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
        Self::NAMES.into_iter().map(|(_, name)| name)
    }

    /// Whether one secret both signs and verifies.
    pub fn is_symmetric(self) -> bool {
        !Self::ASYMMETRIC.contains(&self)
    }

    /// Shortest secret, in bytes: as long as the hash (RFC 7518, section 3.2). 0 for those that have none.
    pub fn secret_bytes_min(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
            _ => 0,
        }
    }
}

/// Signs tokens in development mode when no key is configured. Known to everybody, hence loopback only.
const DEV_SECRET: &[u8] = b"carillon development secret: never use it in production";

impl JwtKey {
    /// A key that both signs and verifies, for the default tenant.
    pub fn secret(id: &str, algorithm: JwtAlgorithm, secret: &[u8]) -> Self {
        Self::new(id, KeySource::Key(VerificationKey::secret(algorithm, secret)))
    }

    /// An entry for the default tenant without rules of its own.
    pub fn new(id: &str, source: KeySource) -> Self {
        let tenants = vec![Tenant::default()];
        Self { id: id.into(), source, tenants, issuer: None, audience: None, token_type: None }
    }

    /// The fixed key of development mode.
    pub fn development() -> Self {
        Self::secret("dev", JwtAlgorithm::Hs256, DEV_SECRET)
    }
}
