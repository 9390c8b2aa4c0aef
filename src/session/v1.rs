//! What only sessions that speak `carillon.v1` do: wait for a resume, make up for what was missed, take a new token.

use super::{
    handle::Session,
    metrics::End,
    reader::Inbound,
    resume::{self, Step},
    task::{House, Task, expiry},
};
use crate::{
    auth::{Identity, Refusal},
    config::limits::RESUME_WAIT,
    endpoints::AdmitError,
    protocol::{Close, Cursor, Edition, Timestamp, Token, edition::with_id, frames},
    wall_clock::now,
};
use std::{future::poll_fn, task::Poll};
use tokio::time::Instant;

impl<P: Send + 'static> Task<P> {
    /// Greets; then a client that may resume has a moment to say so, while what happens waits.
    pub(super) async fn begin(&mut self, identity: Box<Identity>) -> Result<(), End> {
        self.greet(identity).await?;
        if self.stay.session.client.edition == Edition::V0 {
            return Ok(());
        }
        let until = Instant::now() + RESUME_WAIT;
        loop {
            match tokio::time::timeout_at(until, poll_fn(|cx| self.poll_event(cx))).await {
                Ok(Ok(Inbound::Control)) => {}
                Ok(Ok(inbound)) => {
                    let close = self.treat(inbound).await;
                    self.stay.session.release();
                    return close.map_or(Ok(()), |why| Err(End::Ours(why)));
                }
                Ok(Err(end)) => return Err(end),
                Err(_elapsed) => {
                    self.stay.session.release();
                    return Ok(());
                }
            }
        }
    }

    /// See [`super::resume`].
    pub(super) async fn resume(&mut self, after: Option<Cursor>, id: Option<String>) -> Result<(), End> {
        let (house, session) = (self.stay.house.clone(), self.stay.session.clone());
        let place = (house.endpoints.as_ref(), session.as_ref());
        if let Some(after) = after {
            // Meanwhile nothing durable goes out: the journal has it.
            session.skip();
            if !self.while_writing(house.endpoints.comes_up_to(after)).await? {
                // Saying that the way is not known would turn the client back: another node knows it.
                return Err(End::Ours(Close::LostPlace));
            }
        }
        let Some(mut after) = resume::begin(place, after, id.as_deref())? else { return Ok(()) };
        loop {
            match resume::step(place, after)? {
                Step::Done => return Ok(()),
                Step::GoOn(last) => after = last,
                // Resuming again, the client is told.
                Step::TooLate => return Err(End::Ours(Close::Slow.said_in(Edition::V1))),
            }
            poll_fn(|cx| match self.poll_write(cx) {
                Poll::Ready(end) => Poll::Ready(Err(end)),
                Poll::Pending if session.waiting_bytes() <= resume::LOW_WATER_BYTES => Poll::Ready(Ok(())),
                Poll::Pending => Poll::Pending,
            })
            .await?;
            // Others have their turn between two pages.
            tokio::task::yield_now().await;
        }
    }

    /// A new token for the session's user prolongs the session.
    pub(super) async fn refresh(&mut self, token: Token, id: Option<String>) -> Option<Close> {
        let (session, house) = (self.stay.session.clone(), self.stay.house.clone());
        // Its key may have to be fetched: what comes meanwhile is written.
        let renewed = self.while_writing(renew((&session, &house), &token)).await;
        let frame = match &renewed {
            Ok(expires_at) => frames::refreshed(*expires_at),
            Err(NotRenewed::Bad(why)) => frames::error("bad_token", why),
            Err(NotRenewed::NotNow(why)) => frames::error("overloaded", why),
        };
        session.reply(&with_id(&frame, id.as_deref()));
        match renewed {
            Ok(_) => self.conduct.good(),
            Err(NotRenewed::Bad(_)) => return self.conduct.bad(Close::BadFrames),
            Err(NotRenewed::NotNow(_)) => {}
        }
        None
    }
}

/// Until when the session may stay with this token, for which it is seen to.
async fn renew((session, house): (&Session, &House), token: &Token) -> Result<Timestamp, NotRenewed> {
    let client = &session.client;
    let identity = house.entrance.ask(|door| door.verify_token(&token.0, now())).await?;
    if identity.user != client.user || identity.tenant != client.tenant {
        return Err(NotRenewed::Bad("the token is another user's".into()));
    }
    house.endpoints.admit(&identity, client.endpoint).await?;
    session.renew(expiry(&session.common, identity.expires_at));
    house.broker.renew(session).await;
    Ok(identity.expires_at)
}

/// Why a token does not prolong a session.
enum NotRenewed {
    /// It is no good.
    Bad(String),
    /// That can't be said now.
    NotNow(String),
}

impl From<Refusal> for NotRenewed {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::KeysMissing => Self::NotNow(refusal.to_string()),
            refusal => Self::Bad(refusal.to_string()),
        }
    }
}

impl From<AdmitError> for NotRenewed {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Refused(why) => Self::Bad(why.into()),
            AdmitError::Unavailable(why) => Self::NotNow(why.into()),
        }
    }
}
