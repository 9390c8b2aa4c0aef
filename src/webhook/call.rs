//! One call of the webhook for all who ask the same at the same time, and what its answer means.

use super::{Webhook, book::Known};
use crate::{
    auth::{Fingerprint, Forwarded, Vouched},
    outbound::CallError,
    protocol::{Close, Timestamp},
    telemetry::names::{WEBHOOK_CALLS, WEBHOOK_SECONDS},
    wall_clock::now,
};
use hyper::{StatusCode, header::ACCEPT, header::HeaderValue};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

/// What came of asking.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The app knows who it is.
    Yes(Known),
    /// It says that it doesn't.
    No,
    /// It, or a proxy before it, finds fault with what was sent: no answer about who it is.
    Misfit,
    /// It said nothing that can be used; the log says why.
    Trouble,
}

/// For whom a call is made: each kind has places of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Handshake,
    /// The caller holds a place already.
    OpenSockets,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// Of the book, when it took off: who comes after a flush must not be let in by what was asked before.
    epoch: u64,
    landed: watch::Receiver<Option<Outcome>>,
}

/// Takes a flight off the list, even if its task panics.
struct Listed {
    webhook: Webhook,
    fingerprint: Fingerprint,
    epoch: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut flights = self.webhook.inner.flights.lock();
        if flights.get(&self.fingerprint).is_some_and(|flight| flight.epoch == self.epoch) {
            flights.remove(&self.fingerprint);
        }
    }
}

impl Webhook {
    /// Joins the call that is under way for the same headers, or makes one. Who stops waiting stops nobody else's.
    pub(super) async fn ask(&self, forwarded: &Forwarded, why: Why) -> Outcome {
        let mut landed = {
            let mut flights = self.inner.flights.lock();
            let epoch = {
                let book = self.inner.book.lock();
                // A call may have landed since the caller looked.
                if why == Why::Handshake
                    && let Some(known) = book.answer(&forwarded.fingerprint, Instant::now())
                {
                    return Outcome::Yes(known);
                }
                book.epoch()
            };
            match flights.get(&forwarded.fingerprint).filter(|flight| flight.epoch == epoch) {
                Some(flight) => flight.landed.clone(),
                None => {
                    let (land, landed) = watch::channel(None);
                    let fingerprint = forwarded.fingerprint;
                    flights.insert(fingerprint, Flight { epoch, landed: landed.clone() });
                    let listed = Listed { webhook: self.clone(), fingerprint, epoch };
                    self.inner.tracker.spawn(fly(listed, forwarded.clone(), (why, land)));
                    landed
                }
            }
        };
        match landed.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Outcome::Trouble),
            // Its task has panicked.
            Err(_) => Outcome::Trouble,
        }
    }

    async fn place(&self, why: Why) -> Option<Option<tokio::sync::SemaphorePermit<'_>>> {
        let calls: &Semaphore = match why {
            Why::Handshake => &self.inner.calls,
            Why::OpenSockets => return Some(None),
        };
        tokio::time::timeout(self.inner.timeout, calls.acquire()).await.ok()?.ok().map(Some)
    }

    /// Asks once. The label is for the counter.
    async fn call(&self, forwarded: Forwarded, epoch: u64) -> (Outcome, &'static str) {
        if !self.inner.breaker.lock().allows(Instant::now()) {
            return (Outcome::Trouble, "left_alone");
        }
        let (asked, begun) = (now(), Instant::now());
        let mut headers = forwarded.headers;
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answered = self.inner.client.get(&headers).await;
        metrics::histogram!(WEBHOOK_SECONDS).record(begun.elapsed().as_secs_f64());
        let understood = answered.and_then(|answer| match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            _ => answer.ok().map(|answer| Some(answer.body)),
        });
        let failure = match understood {
            Ok(None) => {
                self.inner.breaker.lock().answered();
                return (Outcome::No, "no");
            }
            Ok(Some(body)) => {
                self.inner.breaker.lock().answered();
                return self.judge(&body, (asked, begun, epoch), &forwarded.fingerprint);
            }
            // What is wrong with one request is held against nobody else.
            Err(CallError::Status(status @ (400 | 413 | 414 | 422 | 431))) => {
                tracing::debug!(url = %self.inner.client.target(), status, "the app finds fault with a handshake's headers");
                return (Outcome::Misfit, "misfit");
            }
            Err(failure) => failure,
        };
        // The breaker is about the app's own state. An answer that it should not give is no sign of either.
        if !matches!(failure, CallError::Status(300..=499)) {
            self.inner.breaker.lock().failed(Instant::now());
        }
        let hint = match failure {
            CallError::Status(300..=399) => {
                "; redirects are not followed: answer 401 or 403 for a session that is not signed in"
            }
            _ => "",
        };
        tracing::warn!(url = %self.inner.client.target(), "the auth webhook is of no use: {failure}{hint}");
        (Outcome::Trouble, failure.label())
    }

    fn judge(
        &self,
        body: &[u8],
        (asked, begun, epoch): (Timestamp, Instant, u64),
        fingerprint: &Fingerprint,
    ) -> (Outcome, &'static str) {
        match Vouched::read(body, &self.inner.tenants, asked) {
            Ok(Vouched { identity, expires_in }) => {
                let good = Duration::from_secs(expires_in.into());
                // Between 70 and 80 % of its time, so that those who came together are not asked about together.
                let part = 0.7 + 0.1 * f64::from(fingerprint[0]) / 255.0;
                let (until, renew) = (begun + good, begun + good.mul_f64(part));
                (Outcome::Yes(Known { identity: Arc::new(identity), until, renew, epoch }), "yes")
            }
            Err(refusal) => {
                let why = refusal.reason();
                tracing::warn!(url = %self.inner.client.target(), "the auth webhook's answer is none: {why}");
                (Outcome::Trouble, "malformed")
            }
        }
    }
}

async fn fly(listed: Listed, forwarded: Forwarded, (why, land): (Why, watch::Sender<Option<Outcome>>)) {
    let webhook = listed.webhook.clone();
    let fingerprint = forwarded.fingerprint;
    let (outcome, label) = match webhook.place(why).await {
        Some(_place) => webhook.call(forwarded, listed.epoch).await,
        None => (Outcome::Trouble, "crowded"),
    };
    metrics::counter!(WEBHOOK_CALLS, "outcome" => label).increment(1);
    match &outcome {
        Outcome::Yes(known) => webhook.inner.book.lock().keep(fingerprint, known.clone()),
        // Whoever lives on an earlier yes has to go.
        Outcome::No => {
            webhook.inner.refusals.lock().note(fingerprint, Instant::now());
            webhook.inner.book.lock().condemn(&fingerprint, Close::TokenExpired);
        }
        Outcome::Misfit => webhook.inner.refusals.lock().note(fingerprint, Instant::now()),
        Outcome::Trouble => {}
    }
    // Off the list first: who comes from now on finds the answer in the book.
    drop(listed);
    let _ = land.send(Some(outcome));
}
