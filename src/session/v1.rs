//! What only sessions that speak `carillon.v1` do: wait for a resume, make up for what was missed, take a new token.

use super::{
    metrics::End,
    reader::Inbound,
    resume::{self, Step},
    task::{Stay, Task, expiry},
};
use crate::{
    auth::{Identity, Refusal},
    config::limits::RESUME_WAIT,
    endpoints::AdmitError,
    protocol::{Close, Cursor, Edition, Token, edition::with_id, frames},
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
        let Stay { session, house, .. } = &self.stay;
        let identity = house.entrance.ask(|door| door.verify_token(&token.0, now())).await;
        if let Err(why @ Refusal::KeysMissing) = identity {
            session.reply(&with_id(&frames::error("overloaded", &why.to_string()), id.as_deref()));
            return None;
        }
        let same = identity.map_err(|refusal| refusal.to_string()).and_then(|identity| {
            let client = &session.client;
            let is_same = identity.user == client.user && identity.tenant == client.tenant;
            if is_same { Ok(identity) } else { Err("the token is another user's".to_owned()) }
        });
        let admitted = match same {
            Ok(identity) => house.endpoints.admit(&identity, session.client.endpoint).await.map(|()| identity),
            Err(why) => {
                session.reply(&with_id(&frames::error("bad_token", &why), id.as_deref()));
                return self.conduct.bad(Close::BadFrames);
            }
        };
        match admitted {
            Ok(identity) => {
                session.renew(expiry(&session.common, identity.expires_at));
                house.broker.renew(session).await;
                session.reply(&with_id(&frames::refreshed(identity.expires_at), id.as_deref()));
                self.conduct.good();
                None
            }
            Err(AdmitError::Refused(why)) => {
                session.reply(&with_id(&frames::error("bad_token", why), id.as_deref()));
                self.conduct.bad(Close::BadFrames)
            }
            Err(AdmitError::Unavailable(why)) => {
                session.reply(&with_id(&frames::error("overloaded", why), id.as_deref()));
                None
            }
        }
    }
}
