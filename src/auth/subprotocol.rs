//! `Sec-WebSocket-Protocol`: which protocol is spoken, and the token that may travel beside it.
//!
//! A browser fails when it offers subprotocols and none is selected, and it cannot set headers. So a page that
//! sends its token this way offers an edition beside `carillon.token.<jwt>`; the token is never selected,
//! so it is never echoed.

use super::Refusal;
use crate::protocol::Edition;
use hyper::{HeaderMap, header};

const TOKEN_PREFIX: &str = "carillon.token.";

/// What a client's offer comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offer<'a> {
    /// What to select, if anything.
    pub(super) selected: Option<Edition>,
    /// The token that was offered, if any.
    pub(super) token: Option<&'a str>,
}

impl<'a> Offer<'a> {
    /// Reads all `Sec-WebSocket-Protocol` headers. Entries that are not ours are passed over.
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let (mut v0, mut v1, mut token) = (false, false, None);
        for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
            let Ok(text) = value.to_str() else { continue };
            for entry in text.split(',').map(str::trim) {
                v0 |= entry == Edition::V0.subprotocol();
                v1 |= entry == Edition::V1.subprotocol();
                if let Some(jwt) = entry.strip_prefix(TOKEN_PREFIX)
                    && token.replace(jwt).is_some()
                {
                    return Err(Refusal::CredentialRepeated { place: "subprotocol" });
                }
            }
        }
        match (v0, v1) {
            (_, true) => Ok(Self { selected: Some(Edition::V1), token }),
            (true, false) => Ok(Self { selected: Some(Edition::V0), token }),
            (false, false) if token.is_some() => Err(Refusal::ProtocolMissing),
            (false, false) => Ok(Self::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Edition::{V0, V1};

    #[test]
    fn a_protocol_is_selected_only_when_it_was_offered_and_is_spoken() {
        let table: [(&[&str], Result<Offer<'_>, Refusal>); 10] = [
            (&[], Ok(Offer::default())),
            (&["graphql-ws, mqtt"], Ok(Offer::default())),
            (&["carillon.v0"], Ok(Offer { selected: Some(V0), token: None })),
            (&["carillon.v0, carillon.v1"], Ok(Offer { selected: Some(V1), token: None })),
            (&["carillon.v0,carillon.token.a.b.c"], Ok(Offer { selected: Some(V0), token: Some("a.b.c") })),
            (&["carillon.token.a.b.c", "carillon.v0"], Ok(Offer { selected: Some(V0), token: Some("a.b.c") })),
            (&["carillon.v1"], Ok(Offer { selected: Some(V1), token: None })),
            (&["carillon.v1, carillon.token.a.b.c"], Ok(Offer { selected: Some(V1), token: Some("a.b.c") })),
            (&["carillon.token.a.b.c"], Err(Refusal::ProtocolMissing)),
            (
                &["carillon.v0, carillon.token.a, carillon.token.b"],
                Err(Refusal::CredentialRepeated { place: "subprotocol" }),
            ),
        ];
        for (offered, expected) in table {
            let mut headers = HeaderMap::new();
            for value in offered {
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, value.parse().expect(value));
            }
            assert_eq!(Offer::read(&headers), expected, "{offered:?}");
        }
    }
}
