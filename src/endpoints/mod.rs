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
    config::limits::{
        RESUME_AHEAD_ENTRIES, RESUME_AHEAD_WAIT, RESUME_MESSAGE_BYTES, RESUME_MESSAGE_FRAMES, RESUME_PAGE_BYTES,
        RESUME_PAGE_EVENTS,
    },
    protocol::{
        BadFrame, Cursor, Edition, Endpoint, Pos, SessionId, Tenant, Token, UserId,
        edition::{self, with_pos},
        frames,
    },
    records::{
        Op, ProposeError, Records, RecordsError, directory, inbox,
        journal::{self, PageSize},
        rows::User,
    },
};

/// The part of a session that endpoints need: who it is and what it was opened for.
#[derive(Clone, Debug)]
pub struct Client {
    /// The session; events that it caused itself are not sent back to it.
    pub id: SessionId,
    /// What it was opened for.
    pub endpoint: Endpoint,
    /// What it speaks.
    pub edition: Edition,
    /// Whose data it sees.
    pub tenant: Tenant,
    /// Who it is.
    pub user: UserId,
    /// Which of the node's places among others it was let in under ([`crate::broker::Broker::place_number`]).
    pub place: u32,
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
    /// The session resumes, v1.
    Resume {
        /// From where; `None`: from a place that is none of this server's.
        after: Option<Cursor>,
        /// For the reply.
        id: Option<String>,
    },
    /// The session goes on with a new token, v1.
    Refresh {
        /// Unverified.
        token: Token,
        /// For the reply.
        id: Option<String>,
    },
}

/// A page of what a client has missed.
#[derive(Debug)]
pub struct Missed {
    /// Messages of v1, each with one frame or several.
    pub messages: Vec<String>,
    /// The position of the last event in them.
    pub last: Pos,
    /// The position that the page was read at.
    pub at: Pos,
    /// Whether more had happened by then.
    pub more: bool,
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

    /// May this user open this endpoint now? Also enters the user into the directory. A refusal is only given once this
    /// node has applied all that was answered at others, where the user may have been let in again a moment ago.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub async fn admit(&self, identity: &Identity, endpoint: Endpoint) -> Result<(), AdmitError> {
        let has_news = match self.look(identity, endpoint) {
            Err(AdmitError::Refused(_)) => {
                self.records.catch_up().await?;
                self.look(identity, endpoint)?
            }
            looked => looked?,
        };
        if has_news {
            self.records.propose(&identity.tenant, see(identity)).await?;
        }
        Ok(())
    }

    /// Whether the directory lets this user in, and whether it is to learn something.
    fn look(&self, identity: &Identity, endpoint: Endpoint) -> Result<bool, AdmitError> {
        let (row, known) = self.records.read(|rows| directory::known(rows, &identity.tenant, &identity.user))?;
        check_standing(&known, identity)?;
        let claims = directory::Claims {
            username: &identity.username,
            first_name: &identity.first_name,
            last_name: &identity.last_name,
            is_staff: identity.is_staff,
            issued_at: identity.issued_at,
        };
        let news = if row.is_some() { claims.news_for(&known) } else { Some(claims.enter(&known)) };
        check_staff(endpoint, news.as_ref().unwrap_or(&known).is_staff)?;
        Ok(news.is_some())
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
        let established = frames::connection_established(client.endpoint, &client.user);
        let mut greeting = match (client.endpoint, client.edition) {
            (Endpoint::Presence, _) => self.desk.opened(client).await?,
            (Endpoint::Notifications, _) => {
                let (unread, at) =
                    self.records.read_at(|rows| inbox::unread_count(rows, &client.tenant, &client.user))?;
                Greeting { frames: vec![established, frames::unread_count(unread)], at }
            }
            // Nothing of what was committed is in the greeting: everything that was held back follows it.
            (_, Edition::V0) => Greeting { frames: vec![established], at: Pos::default() },
            // It begins at a position that the client can resume from.
            (_, Edition::V1) => Greeting { frames: vec![established], at: self.stands_at()?.pos },
        };
        if client.edition == Edition::V1 {
            let at = self.records.cursor(greeting.at);
            greeting.frames.iter_mut().for_each(|frame| *frame = with_pos(frame, at));
        }
        Ok(greeting)
    }

    /// The position that the rows stand at now.
    ///
    /// # Errors
    /// When rows can't be read.
    pub fn stands_at(&self) -> Result<Cursor, AdmitError> {
        let ((), at) = self.records.read_at(|_| Ok(()))?;
        Ok(self.records.cursor(at))
    }

    /// Waits for this node to come up to a cursor that was had at another, which was ahead of it; whether it has. A
    /// cursor that no node can have given out is not waited for.
    ///
    /// # Errors
    /// When rows can't be read.
    pub async fn comes_up_to(&self, after: Cursor) -> Result<bool, AdmitError> {
        let at = self.stands_at()?;
        let lacking = after.pos.index().saturating_sub(at.pos.index());
        if after.history != at.history || lacking == 0 || lacking > RESUME_AHEAD_ENTRIES {
            return Ok(true);
        }
        Ok(self.records.applied_at_least(after.pos.index(), RESUME_AHEAD_WAIT).await)
    }

    /// Whether everything that has happened since a cursor is still known.
    ///
    /// # Errors
    /// When rows can't be read.
    pub fn knows_way_from(&self, after: Cursor) -> Result<bool, AdmitError> {
        // A position of a greeting stands at the end of its entry, one of an event within it.
        let applied = self.stands_at()?.pos;
        Ok(self.records.read(|rows| journal::is_known(rows, after, applied))?)
    }

    /// What happened on a client's endpoint after a position, a page of it; `None` if a part of that is forgotten.
    ///
    /// # Errors
    /// When rows can't be read.
    pub fn missed(&self, client: &Client, after: Pos) -> Result<Option<Missed>, AdmitError> {
        let group = client.endpoint.group(&client.tenant, &client.user);
        let size = PageSize { events: RESUME_PAGE_EVENTS, bytes: RESUME_PAGE_BYTES };
        let (page, at) = self.records.read_at(|rows| journal::after(rows, &group, (after, size)))?;
        let Some(page) = page else { return Ok(None) };
        let mut messages = Vec::new();
        let mut waiting: Vec<String> = Vec::new();
        let (mut stands, mut bytes) = (after, 0);
        for (pos, frames) in page.events {
            // What happened at one position stays in one message: a cursor never stands within it.
            let is_full = waiting.len() >= RESUME_MESSAGE_FRAMES || bytes >= RESUME_MESSAGE_BYTES;
            if is_full && pos != stands {
                messages.push(edition::message(&std::mem::take(&mut waiting), None));
                bytes = 0;
            }
            bytes += frames.iter().map(String::len).sum::<usize>();
            let cursor = self.records.cursor(pos);
            waiting.extend(frames.iter().map(|frame| with_pos(frame, cursor)));
            stands = pos;
        }
        if !waiting.is_empty() {
            messages.push(edition::message(&waiting, None));
        }
        Ok(Some(Missed { messages, last: stands, at, more: page.more }))
    }

    fn row_of(&self, identity: &Identity) -> Result<Option<User>, RecordsError> {
        self.records.read(|rows| directory::of(rows, &identity.tenant, &identity.user))
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
    // A token that does not say when it was issued may have been issued before.
    let is_revoked = |before| identity.issued_at.is_none_or(|issued| issued <= before);
    if row.revoked_before.is_some_and(is_revoked) {
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
