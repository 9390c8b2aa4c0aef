//! What each `/ws/` path does: who may open it, the greeting, and the answer to each request.
//!
//! The session owns the socket and the outbox; this module only says what to send.

mod activity;
mod answer;
mod desk;
mod tabs;
mod tickets;

pub use desk::PresenceDesk;

use crate::{
    auth::Identity,
    protocol::{BadFrame, Endpoint, Pos, SessionId, Tenant, Timestamp, UserId, frames},
    records::{Op, ProposeError, Records, RecordsError, directory, inbox, rows::User},
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

impl From<ProposeError> for AdmitError {
    fn from(error: ProposeError) -> Self {
        Self::Unavailable(match error {
            ProposeError::DiskFull => "the server's disk is nearly full: it takes no new users now",
            ProposeError::Overloaded => "the server is busy: try again shortly",
            ProposeError::NoQuorum | ProposeError::OutcomeUnknown => "the server cannot record changes now",
        })
    }
}

impl From<RecordsError> for AdmitError {
    fn from(error: RecordsError) -> Self {
        tracing::error!(%error, "rows cannot be read");
        Self::Unavailable("the server cannot read its records")
    }
}

/// All endpoints of a server.
#[derive(Clone, Debug)]
pub struct Endpoints {
    records: Records,
    desk: PresenceDesk,
}

impl Endpoints {
    /// Endpoints over these records.
    pub fn new(records: Records, desk: PresenceDesk) -> Self {
        Self { records, desk }
    }

    /// May this user open this endpoint now? Also enters the user into the directory.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub async fn admit(&self, identity: &Identity, endpoint: Endpoint) -> Result<(), AdmitError> {
        let row = self.row_of(identity)?;
        match &row {
            Some(row) => check_standing(row, identity)?,
            None => self.check_locked_out(identity)?,
        }
        let claims = directory::Claims {
            username: &identity.username,
            first_name: &identity.first_name,
            last_name: &identity.last_name,
            is_staff: identity.is_staff,
            issued_at: identity.issued_at,
        };
        let news = claims.news_for(row.as_ref());
        let is_staff = news.as_ref().or(row.as_ref()).is_some_and(|row| row.is_staff);
        check_staff(endpoint, is_staff)?;
        if news.is_some() {
            self.records.propose(&identity.tenant, see(identity)).await?;
        }
        Ok(())
    }

    /// The session has joined its group and holds back what arrives: what greets it?
    ///
    /// What was true when it was admitted is asked again: whoever was deactivated, revoked, erased or lost staff since
    /// was not yet a member when the sockets concerned were closed.
    ///
    /// # Errors
    /// Refused: closes with 4403. Unavailable, when presence could not be recorded: closes with 1013.
    pub async fn greet(&self, client: &Client, identity: &Identity) -> Result<Greeting, AdmitError> {
        let Some(row) = self.row_of(identity)? else {
            return Err(AdmitError::Refused("this user was erased"));
        };
        check_standing(&row, identity)?;
        check_staff(client.endpoint, row.is_staff)?;
        let established = || frames::connection_established(client.endpoint, &client.user);
        match client.endpoint {
            Endpoint::Presence => self.desk.opened(&client.tenant, &client.user).await,
            Endpoint::Notifications => {
                let (unread, at) =
                    self.records.read_at(|rows| inbox::unread_count(rows, &client.tenant, &client.user))?;
                Ok(Greeting { frames: vec![established(), frames::unread_count(unread)], at })
            }
            // Nothing of what was committed is in the greeting: everything that was held back follows it.
            _ => Ok(Greeting { frames: vec![established()], at: Pos::default() }),
        }
    }

    fn row_of(&self, identity: &Identity) -> Result<Option<User>, RecordsError> {
        self.records.read(|rows| directory::of(rows, &identity.tenant, &identity.user))
    }

    fn check_locked_out(&self, identity: &Identity) -> Result<(), AdmitError> {
        let until = self.records.read(|rows| directory::locked_out(rows, &identity.tenant, &identity.user))?;
        check_revoked(until, identity)
    }

    /// A text message came in.
    pub async fn answer(&self, client: &Client, text: &str) -> Answer {
        self.desk.heard_from(&client.tenant, &client.user);
        answer::answer(&self.records, client, text).await
    }

    /// A binary message came in: the protocol has none.
    pub fn refuse_binary(&self) -> Answer {
        Answer::Bad(frames::bad_frame(&BadFrame::Binary))
    }

    /// The session has ended, for whatever reason. Called exactly once for each `greet` that was called.
    pub fn closed(&self, client: &Client) {
        if client.endpoint == Endpoint::Presence {
            self.desk.closed(&client.tenant, &client.user);
        }
    }
}

fn check_standing(row: &User, identity: &Identity) -> Result<(), AdmitError> {
    if !row.is_active {
        return Err(AdmitError::Refused("this user is deactivated"));
    }
    check_revoked(row.revoked_before, identity)
}

fn check_revoked(before: Option<Timestamp>, identity: &Identity) -> Result<(), AdmitError> {
    // A token that does not say when it was issued may have been issued before.
    let is_revoked = |before| identity.issued_at.is_none_or(|issued| issued <= before);
    if before.is_some_and(is_revoked) {
        return Err(AdmitError::Refused("this token was revoked: sign in again"));
    }
    Ok(())
}

fn check_staff(endpoint: Endpoint, is_staff: bool) -> Result<(), AdmitError> {
    if endpoint.staff_only() && !is_staff {
        return Err(AdmitError::Refused("the backend has taken staff rights from this user"));
    }
    Ok(())
}

fn see(identity: &Identity) -> Op {
    Op::SeeUser {
        user: identity.user.clone(),
        username: identity.username.clone(),
        first_name: identity.first_name.clone(),
        last_name: identity.last_name.clone(),
        is_staff: identity.is_staff,
        issued_at: identity.issued_at,
    }
}
