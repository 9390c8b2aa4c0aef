//! PLACEHOLDER, replaced at merge: lets everybody in as `?user=`.

use super::Identity;
use crate::protocol::{Endpoint, Tenant, Timestamp, UserId};

/// Who came in, and with which subprotocol.
#[derive(Debug)]
pub struct Admission {
    /// The verified user.
    pub identity: Identity,
    /// The subprotocol to select, if one was offered.
    pub subprotocol: Option<&'static str>,
}

/// Why somebody may not come in.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub &'static str);

/// See the module.
#[derive(Debug, Default)]
pub struct Door {}

impl Door {
    /// Who is it, and may it?
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn admit(
        &self,
        parts: &hyper::http::request::Parts,
        endpoint: Endpoint,
        now: Timestamp,
    ) -> Result<Admission, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let field = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(ToOwned::to_owned)
        };
        let bearer = parts.headers.get("authorization").and_then(|v| v.to_str().ok()?.strip_prefix("Bearer "));
        let user = field("user")
            .or(bearer.map(ToOwned::to_owned))
            .and_then(|id| UserId::new(&id).ok())
            .ok_or(Refusal("no user"))?;
        let is_staff = field("staff").is_some() || bearer.is_some();
        if endpoint.staff_only() && !is_staff {
            return Err(Refusal("staff only"));
        }
        let ttl = field("ttl").and_then(|ttl| ttl.parse().ok()).unwrap_or(3_600);
        let identity = Identity {
            tenant: Tenant::default(),
            user,
            username: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            is_staff,
            issued_at: Some(now),
            expires_at: now.plus_seconds(ttl),
        };
        Ok(Admission { identity, subprotocol: None })
    }
}
