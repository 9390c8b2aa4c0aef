//! The header of a token: which key and which algorithm it claims. It is read before anything is verified, so it
//! chooses among what is configured and brings nothing of its own: `jwk`, `jku`, `x5u` and `x5c` are not looked at.

use super::Refusal;
use crate::config::limits::KID_BYTES_MAX;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

/// What a header may say (RFC 7515, section 4.1). A field given twice, or of a wrong type, is refused by the reader.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    typ: Option<String>,
    cty: Option<String>,
    crit: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
    zip: Option<IgnoredAny>,
    enc: Option<IgnoredAny>,
}

impl Header {
    /// Reads the first part of a token.
    pub(super) fn read(part: &str) -> Result<Self, Refusal> {
        let malformed = Refusal::TokenMalformed { part: "header" };
        let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed.clone())?;
        let header: Self = serde_json::from_slice(&json).map_err(|_| malformed.clone())?;
        // Extensions that change what is signed or how it is read (RFC 7797, RFC 7516): none is understood.
        if header.crit.is_some() || header.b64.is_some() || header.zip.is_some() || header.enc.is_some() {
            return Err(Refusal::CriticalHeader);
        }
        if header.kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
            return Err(malformed);
        }
        Ok(header)
    }

    /// Whether the token is of the type that is wanted; names are media types (RFC 7515, section 4.1.9).
    pub(super) fn check_type(&self, wanted: Option<&str>) -> Result<(), Refusal> {
        // A token within a token: nothing of it would be claims.
        if self.cty.is_some() {
            return Err(Refusal::Type);
        }
        let fits = match (wanted, self.typ.as_deref()) {
            (Some(wanted), Some(found)) => same_type(wanted, found),
            (Some(_), None) => false,
            (None, Some(found)) => same_type("JWT", found) || same_type("at+jwt", found),
            (None, None) => true,
        };
        if fits { Ok(()) } else { Err(Refusal::Type) }
    }
}

fn same_type(a: &str, b: &str) -> bool {
    bare(a).eq_ignore_ascii_case(bare(b))
}

fn bare(name: &str) -> &str {
    match name.get(..12) {
        Some(prefix) if prefix.eq_ignore_ascii_case("application/") => &name[12..],
        _ => name,
    }
}
