//! Watches over open sockets that live on the app's word: asks again in time, and closes those it says no to.

use super::{
    Webhook,
    call::{Outcome, Why},
};
use crate::{
    auth::Forwarded,
    broker::{Broker, CloseTarget},
    endpoints::{AdmitError, Endpoints},
    protocol::Close,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often is looked whom to ask about, and who has to go.
const TICK: Duration = Duration::from_millis(250);

impl Webhook {
    /// From now on, whoever closes a user's sockets flushes what the app said of that user first. The future watches
    /// until `stop`.
    pub fn watch(
        self,
        (endpoints, broker): (Arc<Endpoints>, Broker),
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        let flushing = self.clone();
        broker.before_closing(move |tenant, user| flushing.flush(tenant, user));
        self.keep_watch((endpoints, broker), stop)
    }

    async fn keep_watch(self, (endpoints, broker): (Arc<Endpoints>, Broker), stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            self.ask_again(&endpoints);
            // Again and again until they have gone: one that was let in a moment ago may not have joined yet.
            let leaving = self.inner.book.lock().leaving();
            for ((tenant, user), session, why) in leaving {
                let _counted = broker.close(CloseTarget::Session { tenant, user, session }, why).await;
            }
        }
    }

    /// Starts as many calls as there are places.
    fn ask_again(&self, endpoints: &Arc<Endpoints>) {
        let now = Instant::now();
        let due = {
            let mut book = self.inner.book.lock();
            book.tidy(now);
            book.take_due(now, self.inner.rechecks.available_permits())
        };
        for forwarded in due {
            let Ok(place) = self.inner.rechecks.clone().try_acquire_owned() else { return };
            let (webhook, endpoints) = (self.clone(), endpoints.clone());
            self.inner.tracker.spawn(async move {
                webhook.recheck(&forwarded, &endpoints).await;
                drop(place);
            });
        }
    }

    async fn recheck(&self, forwarded: &Forwarded, endpoints: &Endpoints) {
        let fingerprint = &forwarded.fingerprint;
        match self.ask(forwarded, Why::OpenSockets).await {
            Outcome::Yes(known) => {
                // What the app says now goes into the directory, and may not open everything any more.
                let open = self.inner.book.lock().endpoints(fingerprint);
                for endpoint in open {
                    if let Err(AdmitError::Refused(_)) = endpoints.admit(&known.identity, endpoint).await {
                        self.inner.book.lock().show_out(fingerprint, endpoint, Close::Disconnected);
                    }
                }
            }
            // The call itself has seen to it.
            Outcome::No => {}
            // A fault that the app finds with every request, after a bad deployment, throws nobody out at once.
            Outcome::Misfit | Outcome::Trouble => {
                let mut book = self.inner.book.lock();
                if book.ran_out(fingerprint, self.inner.grace, Instant::now()) {
                    book.condemn(fingerprint, Close::TokenExpired);
                }
            }
        }
    }
}
