//! Where the token of a handshake is: exactly one place is looked at, the first that has one.
//!
//! The order is `Authorization: Bearer`, subprotocol, cookie, query. A bad token in an earlier place is never
//! made good by a better one in a later place.

use super::{Refusal, subprotocol::Offer};
use hyper::{HeaderMap, header, http::request::Parts};

/// A token and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credential<'a> {
    /// The text of the token, unverified.
    pub(super) token: &'a str,
    /// Whether it came as `Authorization: Bearer`, which no page can make a browser send.
    pub(super) bearer: bool,
}

/// The places that configuration opens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'a> {
    /// Name of the cookie; empty: none.
    pub(super) cookie: &'a str,
    /// Whether `?token=` is read.
    pub(super) query: bool,
}

impl Places<'_> {
    /// Finds the one token that counts.
    pub(super) fn find<'a>(&self, head: &'a Parts, offer: &Offer<'a>) -> Result<Credential<'a>, Refusal> {
        if let Some(token) = bearer(&head.headers)? {
            return Ok(Credential { token, bearer: true });
        }
        let ambient = |token| Credential { token, bearer: false };
        if let Some(token) = offer.token {
            return Ok(ambient(token));
        }
        if let Some(token) = cookie(&head.headers, self.cookie)? {
            return Ok(ambient(token));
        }
        match query_token(head.uri.query())? {
            Some(token) if self.query => Ok(ambient(token)),
            Some(_) => Err(Refusal::QueryTokenOff),
            None => Err(Refusal::CredentialMissing),
        }
    }
}

/// The token of `Authorization: Bearer`. Another scheme is no token: a proxy's Basic login rides on every request.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::AuthorizationRepeated);
    }
    let text = value.to_str().map_err(|_| Refusal::TokenMalformed { part: "Authorization header" })?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    Ok(scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()))
}

/// The value of the cookie `name`. Twice the same name is refused: another subdomain can add one.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    if name.is_empty() {
        return Ok(None);
    }
    let mut found = None;
    for value in headers.get_all(header::COOKIE) {
        // Bytes: another cookie in the same header may hold anything.
        for pair in value.as_bytes().split(|byte| *byte == b';') {
            let Some(value) = pair.trim_ascii().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
            else {
                continue;
            };
            let value = std::str::from_utf8(value).map_err(|_| Refusal::TokenMalformed { part: "cookie" })?;
            if found.replace(value.trim_matches('"')).is_some() {
                return Err(Refusal::CredentialRepeated { place: "cookies" });
            }
        }
    }
    Ok(found)
}

/// The value of `?token=`, as it stands: every character of a token may stand in a query unescaped.
fn query_token(query: Option<&str>) -> Result<Option<&str>, Refusal> {
    let mut values = query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("token="));
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::CredentialRepeated { place: "query" }),
        (found, None) => Ok(found),
    }
}
