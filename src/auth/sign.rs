//! Makes tokens: for `carillon token`, the development pages and tests. An app signs its own.

use super::keyring::library;
use crate::{
    config::{JwtKey, KeyMaterial, KeySource},
    protocol::{Tenant, Timestamp, UserId},
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct Grant {
    /// `sub`
    pub user: UserId,
    /// `tenant`
    pub tenant: Tenant,
    /// `username`
    pub username: String,
    /// `first_name`
    pub first_name: String,
    /// `last_name`
    pub last_name: String,
    /// `is_staff`
    pub is_staff: bool,
    /// `iss`, for servers that check it.
    pub issuer: Option<String>,
    /// `aud`, for servers that check it.
    pub audience: Option<String>,
    /// `iat`
    pub issued_at: Timestamp,
    /// `exp` is this many seconds after `iat`.
    pub ttl_seconds: u64,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key would have its own token refused.
    #[error("key {key:?} may not sign for tenant {tenant}: give one of {allowed}")]
    Tenant {
        /// The key's id.
        key: String,
        /// The tenant that was asked for.
        tenant: Tenant,
        /// Those it may sign for, for people.
        allowed: String,
    },
    /// Only whoever has the private key can sign.
    #[error(
        "{key:?} is a public key or a key set: it verifies and cannot sign. The private key is with the app or identity \
         provider that signs: have the token made there, or configure a key with a secret beside it"
    )]
    Public {
        /// The entry's id.
        key: String,
    },
    /// The library failed; its message never has the key in it.
    #[error("the token could not be signed: {0}")]
    Library(#[from] jsonwebtoken::errors::Error),
}

/// As RFC 7519 has them: `sub` a string even when it is a number, times in whole seconds.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    tenant: &'a str,
    username: &'a str,
    first_name: &'a str,
    last_name: &'a str,
    is_staff: bool,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Whether an entry can sign, which takes a shared secret.
pub fn can_sign(key: &JwtKey) -> bool {
    matches!(&key.source, KeySource::Key(own) if own.algorithm().is_symmetric())
}

/// Signs `grant` with `key`, naming the key in `kid` and the type that the key's tokens must have in `typ`.
///
/// # Errors
/// When the key has no secret, or may not sign for the tenant.
pub fn sign(key: &JwtKey, grant: &Grant) -> Result<String, SignError> {
    let public = || SignError::Public { key: key.id.clone() };
    let KeySource::Key(own) = &key.source else { return Err(public()) };
    let KeyMaterial::Secret(secret) = own.material() else { return Err(public()) };
    if !key.tenants.contains(&grant.tenant) {
        let allowed = key.tenants.iter().map(Tenant::as_str).collect::<Vec<_>>().join(", ");
        return Err(SignError::Tenant { key: key.id.clone(), tenant: grant.tenant.clone(), allowed });
    }
    let iat = grant.issued_at.0.div_euclid(1_000_000);
    let claims = Claims {
        sub: grant.user.as_str(),
        tenant: grant.tenant.as_str(),
        username: &grant.username,
        first_name: &grant.first_name,
        last_name: &grant.last_name,
        is_staff: grant.is_staff,
        iat,
        exp: iat.saturating_add_unsigned(grant.ttl_seconds),
        iss: grant.issuer.as_deref(),
        aud: grant.audience.as_deref(),
    };
    let mut header = Header::new(library(own.algorithm()));
    header.kid = Some(key.id.clone());
    if let Some(name) = &key.token_type {
        header.typ = Some(name.clone());
    }
    Ok(encode(&header, &claims, &EncodingKey::from_secret(secret))?)
}
