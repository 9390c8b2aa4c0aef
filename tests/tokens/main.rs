//! Tokens at the door of the real program: which are let in, which are not and why, and where their keys come from.

#[path = "../support/mod.rs"]
mod support;

mod admitted;
mod forge;
mod hostile;
mod hostile_claims;
mod hostile_headers;
mod issuer;
mod key_sets;
