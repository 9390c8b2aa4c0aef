//! Who is it: tokens and API keys; may it: origin, staff, tenant, scope.
//!
//! Pure: requests and the time come in as values, answers go out. Nothing in here reads a clock, a socket or a
//! file, and nothing in here prints a token.

mod api_key;
mod claims;
mod credential;
mod door;
mod forward;
mod header;
mod identity;
mod keyring;
mod origin;
mod refusal;
mod sign;
mod subprotocol;
#[cfg(test)]
mod tests;
mod ticket;
mod token;
mod vouched;

pub use api_key::{ApiKeys, DEV_API_KEY, NewApiKey, hash_api_key};
pub use door::{Admission, Door, Shown};
pub use forward::{Fingerprint, Forwarded};
pub use identity::Identity;
pub use keyring::{FetchedKeys, keys_in_force};
pub use origin::{canonical_origin, is_loopback_host};
pub use refusal::Refusal;
pub use sign::{Grant, SignError, can_sign, sign};
pub use ticket::{NewTicket, TicketHash};
pub use vouched::Vouched;
