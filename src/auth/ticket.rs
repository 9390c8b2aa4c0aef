//! One-time tickets: made once, kept as a hash, shown once as `?ticket=`.
//!
//! A ticket is 32 random bytes, so a plain SHA-256 is enough at rest: there is nothing to guess, and comparing hashes
//! tells an attacker nothing of a ticket.

use super::Refusal;
use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

const PREFIX: &str = "ct_";
/// 32 bytes in base64 without padding.
const ENCODED_CHARS: usize = 43;

/// What is kept of a ticket: its SHA-256.
pub type TicketHash = [u8; 32];

/// A ticket that nobody has seen yet. No `Debug`: it is shown once, on purpose.
pub struct NewTicket(String);

impl NewTicket {
    /// `ct_` and 32 random bytes in URL-safe base64; `None` when the system has no randomness to give.
    pub fn generate() -> Option<Self> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).ok()?;
        Some(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The ticket itself.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> TicketHash {
        hash(&self.0)
    }
}

/// The hash of the ticket in a query, if there is one.
pub(super) fn in_query(query: Option<&str>) -> Result<Option<TicketHash>, Refusal> {
    let mut values = query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("ticket="));
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::CredentialRepeated { place: "query" }),
        (Some(ticket), None) if !is_well_formed(ticket) => Err(Refusal::TicketMalformed),
        (found, None) => Ok(found.map(hash)),
    }
}

fn is_well_formed(ticket: &str) -> bool {
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    ticket.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == ENCODED_CHARS && rest.bytes().all(is_base64))
}

fn hash(ticket: &str) -> TicketHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, ticket.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_known_by_its_hash_and_two_are_never_alike() {
        let (one, other) = (NewTicket::generate().expect("randomness"), NewTicket::generate().expect("randomness"));
        assert_ne!(one.secret(), other.secret());
        let found = |query: &str| in_query(Some(query));
        assert_eq!(found(&format!("a=b&ticket={}&c=d", one.secret())), Ok(Some(one.hash())));
        assert_ne!(one.hash(), other.hash());
    }

    #[test]
    fn what_is_no_ticket_is_refused_before_anybody_looks_for_it() {
        let good = NewTicket::generate().expect("randomness");
        let (good, cut) = (good.secret(), &good.secret()[..45]);
        for query in [None, Some(""), Some("tickets=x"), Some("xticket=x"), Some("a=ticket=x")] {
            assert_eq!(in_query(query), Ok(None), "{query:?}");
        }
        for bad in ["", "x", "ct_", cut, &format!("{cut}%"), &format!("{good}a"), &good.replace("ct_", "cT_")] {
            assert_eq!(in_query(Some(&format!("ticket={bad}"))), Err(Refusal::TicketMalformed), "{bad:?}");
        }
        let twice = in_query(Some(&format!("ticket={good}&ticket={good}")));
        assert_eq!(twice, Err(Refusal::CredentialRepeated { place: "query" }));
    }
}
