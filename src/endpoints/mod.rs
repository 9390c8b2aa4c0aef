//! What each `/ws/` path does: the greeting, and the answer to each command.
//!
//! The session owns the socket and the outbox; this module only says what to send.

use crate::{
    auth::Identity,
    protocol::{Endpoint, Pos, SessionId, Tenant, UserId},
};

/// The part of a session that endpoints need: who it is and what it was opened for.
#[derive(Clone, Debug)]
pub struct Client {
    /// The session; events that it caused itself are not sent back to it.
    pub id: SessionId,
    /// What it was opened for.
    pub endpoint: Endpoint,
    /// Whose data it sees.
    pub tenant: Tenant,
    /// Who it is.
    pub user: UserId,
}

/// The first frames of a socket and the log position they stand for.
#[derive(Debug)]
pub struct Greeting {
    /// JSON texts, in order.
    pub frames: Vec<String>,
    /// Durable frames at or before it are already in the greeting; later ones follow it.
    pub at: Pos,
}

/// What a client's message leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is sent.
    Silence,
    /// One JSON text, to this socket only.
    Reply(String),
    /// An `error` frame; counts towards the limit of bad frames in a row.
    Bad(String),
}

/// Why a verified user may not open a socket all the same, before the upgrade.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// Deactivated, or the token was revoked, or staff was lost: 403.
    #[error("{0}")]
    Refused(&'static str),
    /// The server can't say now: 503 with `Retry-After`.
    #[error("{0}")]
    Unavailable(&'static str),
}

/// All endpoints of a server.
#[derive(Debug)]
pub struct Endpoints {}

impl Endpoints {
    /// May this user open this endpoint now? Also enters the user into the directory.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub async fn admit(&self, _identity: &Identity, _endpoint: Endpoint) -> Result<(), AdmitError> {
        Ok(())
    }

    /// The session has joined its group and holds back what arrives: what greets it?
    ///
    /// # Errors
    /// When presence could not be recorded; the session closes with 1013.
    pub async fn greet(&self, _client: &Client, _identity: &Identity) -> Result<Greeting, AdmitError> {
        Ok(Greeting { frames: vec![r#"{"type":"connection_established"}"#.into()], at: Pos(0) })
    }

    /// A text message came in.
    pub async fn answer(&self, _client: &Client, _text: &str) -> Answer {
        Answer::Silence
    }

    /// A binary message came in: the protocol has none.
    pub fn refuse_binary(&self) -> Answer {
        Answer::Bad(r#"{"type":"error","code":"bad_frame","message":"binary"}"#.into())
    }

    /// The session has ended, for whatever reason. Called exactly once for each `greet` that was called.
    pub fn closed(&self, _client: &Client) {}
}
