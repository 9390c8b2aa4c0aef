//! The claims of a token whose signature is right: each has its type, its range and its time, or is refused.
//!
//! Claims are read as any JSON first, so that a claim of a wrong type is refused by name, never passed over.
//! `null` counts as absent; a claim given twice is refused by the reader.

use super::{Identity, Refusal};
use crate::{
    config::limits::NAME_CHARS_MAX,
    protocol::{Tenant, Timestamp, UserId},
};
use serde::Deserialize;
use serde_json::Value;

/// The last second of the year 9999: a later `exp` is milliseconds by mistake, or an attack on arithmetic.
const SECONDS_MAX: i64 = 253_402_300_799;

/// What a token says, unjudged. Claims that mean nothing here are passed over.
#[derive(Deserialize)]
pub(super) struct Claims {
    sub: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    iss: Option<Value>,
    aud: Option<Value>,
    tenant: Option<Value>,
    username: Option<Value>,
    first_name: Option<Value>,
    last_name: Option<Value>,
    is_staff: Option<Value>,
}

/// What claims must satisfy, whichever key signed them.
#[derive(Debug)]
pub(super) struct Rules {
    /// `iss`, if it is checked.
    pub(super) issuer: Option<String>,
    /// `aud`, if it is checked.
    pub(super) audience: Option<String>,
    /// Clock difference that is forgiven.
    pub(super) leeway_seconds: u64,
}

impl Rules {
    /// Turns the claims into an identity that may be trusted, or says which claim is wrong.
    pub(super) fn judge(&self, claims: Claims, tenants: &[Tenant], now: Timestamp) -> Result<Identity, Refusal> {
        let (issued_at, expires_at) = self.times(&claims, now)?;
        self.addressed(&claims)?;
        Ok(Identity {
            tenant: tenant(claims.tenant.as_ref(), tenants)?,
            user: subject("sub", claims.sub.as_ref())?,
            username: name("username", claims.username)?,
            first_name: name("first_name", claims.first_name)?,
            last_name: name("last_name", claims.last_name)?,
            is_staff: staff(claims.is_staff.as_ref())?,
            issued_at,
            expires_at,
        })
    }

    /// The earliest that `iat` may mean and the end of validity, if `now` lies between `nbf`, `iat` and `exp`.
    fn times(&self, claims: &Claims, now: Timestamp) -> Result<(Option<Timestamp>, Timestamp), Refusal> {
        let leeway = i64::try_from(self.leeway_seconds).unwrap_or(i64::MAX);
        let exp = seconds("exp", claims.exp.as_ref())?.ok_or(Refusal::ClaimMissing { claim: "exp" })?;
        let expires_at = exp.plus_seconds(leeway);
        if expires_at <= now {
            return Err(Refusal::Expired);
        }
        let latest = now.plus_seconds(leeway);
        let begun = |claim, value: Option<&Value>| match seconds(claim, value)? {
            Some(at) if at > latest => Err(Refusal::TooEarly { claim }),
            at => Ok(at),
        };
        begun("nbf", claims.nbf.as_ref())?;
        // A signer's clock may be ahead by the leeway: then the token is older than it says, and what was revoked since
        // must not outlive that.
        let issued_at = begun("iat", claims.iat.as_ref())?.map(|at| at.plus_seconds(-leeway));
        Ok((issued_at, expires_at))
    }

    /// Whether the token is from whom and for whom it must be.
    fn addressed(&self, claims: &Claims) -> Result<(), Refusal> {
        if let Some(issuer) = &self.issuer
            && claims.iss.as_ref().and_then(Value::as_str) != Some(issuer)
        {
            return Err(Refusal::Issuer);
        }
        let Some(audience) = &self.audience else { return Ok(()) };
        let named = match &claims.aud {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        };
        if named { Ok(()) } else { Err(Refusal::Audience) }
    }
}

/// A NumericDate (RFC 7519, section 2): seconds since 1970, a fraction is cut off.
fn seconds(claim: &'static str, value: Option<&Value>) -> Result<Option<Timestamp>, Refusal> {
    let Some(value) = value else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "a float's `as` saturates, and the range is checked next")]
    let whole = value.as_i64().or_else(|| value.as_f64().map(|fraction| fraction.floor() as i64));
    match whole {
        Some(at) if (0..=SECONDS_MAX).contains(&at) => Ok(Some(Timestamp::from_seconds(at))),
        _ => Err(Refusal::ClaimWrong { claim, expected: "seconds since 1970, as a number" }),
    }
}

/// `sub`: Django's ids are integers, others' are strings; both name a user.
pub(super) fn subject(claim: &'static str, value: Option<&Value>) -> Result<UserId, Refusal> {
    let value = value.ok_or(Refusal::ClaimMissing { claim })?;
    UserId::from_wire(value).map_err(|_| Refusal::ClaimWrong {
        claim,
        expected: "a user id: a non-negative integer, or 1 to 64 characters of A-Z a-z 0-9 _ . @ + -",
    })
}

/// The tenant that the token names and its key may sign for; without a name, the one that goes without saying.
pub(super) fn tenant(value: Option<&Value>, allowed: &[Tenant]) -> Result<Tenant, Refusal> {
    let named = match value {
        None => match allowed {
            [only] => only.clone(),
            _ => Tenant::default(),
        },
        Some(value) => value
            .as_str()
            .and_then(|text| Tenant::new(text).ok())
            .ok_or(Refusal::ClaimWrong { claim: "tenant", expected: "the name of a tenant" })?,
    };
    if allowed.contains(&named) { Ok(named) } else { Err(Refusal::Tenant) }
}

pub(super) fn name(claim: &'static str, value: Option<Value>) -> Result<String, Refusal> {
    match value {
        None => Ok(String::new()),
        Some(Value::String(text)) if text.chars().count() <= NAME_CHARS_MAX => Ok(text),
        Some(_) => Err(Refusal::ClaimWrong { claim, expected: "a string of at most 150 characters" }),
    }
}

pub(super) fn staff(value: Option<&Value>) -> Result<bool, Refusal> {
    match value {
        None => Ok(false),
        Some(Value::Bool(staff)) => Ok(*staff),
        Some(_) => Err(Refusal::ClaimWrong { claim: "is_staff", expected: "true or false" }),
    }
}
