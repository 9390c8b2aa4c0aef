//! From a request under `/ws/` to a promise of a session, or a refusal: everything that happens before the upgrade.

use super::{
    caps::{Caps, Place},
    metrics::Meters,
    refuse::Refused,
};
use crate::{
    auth::{Admission, Door, Forwarded, Refusal, Shown, TicketHash},
    endpoints::{AdmitError, Client},
    jwks::Entrance,
    protocol::{Edition, Endpoint, SessionId, handshake},
    session::{Guest, House, Interest},
    wall_clock::now,
    webhook::{Stay, Vouch, Webhook},
};
use axum::body::Body;
use hyper::{Response, http::request::Parts};
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Lets WebSockets in.
#[derive(Debug)]
pub struct Gate {
    /// Who is it, and may it?
    pub entrance: Entrance,
    /// What sessions need.
    pub house: Arc<House>,
    /// How many there may be.
    pub caps: Caps,
    /// Whom the app knows by its cookies.
    webhook: Option<Webhook>,
    ids: AtomicU64,
}

/// How somebody came in, as far as something is left to do.
enum Way {
    Token,
    Ticket(TicketHash),
    Vouched(Vouch),
}

/// Somebody who may have a session once the upgrade is done.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) guest: Guest,
    /// What is given back when the session is over.
    pub(super) place: (Place, Option<Box<Stay>>, Option<Box<Interest>>),
}

impl Gate {
    /// Sessions are numbered from `first` on.
    pub fn new(entrance: Entrance, house: Arc<House>, (caps, first): (Caps, SessionId)) -> Self {
        Self { entrance, house, caps, webhook: None, ids: AtomicU64::new(first.0) }
    }

    /// Lets in whom the app vouches for, too.
    #[must_use]
    pub fn asking(mut self, webhook: Option<Webhook>) -> Self {
        self.webhook = webhook;
        self
    }

    /// Checks everything and answers 101, or says why not. `on_wait` is called before another server is waited for.
    pub(super) async fn admit(
        &self,
        (parts, address): (&Parts, IpAddr),
        on_wait: impl Fn(),
    ) -> Result<(Admitted, Response<Body>), Refused> {
        let endpoint = Endpoint::at(parts.uri.path()).ok_or(Refused::UnknownPath)?;
        let accept = handshake::accept(parts).map_err(Refused::NotAHandshake)?;
        if self.house.broker.is_draining() {
            return Err(Refused::Leaving);
        }
        let mut place = self.caps.take(address).map_err(Refused::Full)?;
        let look = |door: &Door| door.look(parts, endpoint, now());
        if matches!(look(&self.entrance.door.get()), Err(Refusal::KeyUnknown)) {
            // Its key may have to be fetched.
            on_wait();
        }
        let (identity, selected, way) = match self.entrance.ask(look).await.map_err(Refused::Door)? {
            Shown::Token(Admission { identity, selected }) => (identity, selected, Way::Token),
            Shown::Ticket { hash, origin, selected } => {
                self.may_wait_for_others(&on_wait);
                let identity = self.house.endpoints.holder(&hash, (endpoint, origin.as_deref()), now()).await?;
                (identity, selected, Way::Ticket(hash))
            }
            Shown::Forwarded(forwarded, selected) => {
                on_wait();
                // Boxed: only a handshake that waits for the app is as large as this.
                let vouch = Box::pin(self.vouched_for(forwarded, endpoint)).await?;
                (vouch.identity().clone(), selected, Way::Vouched(vouch))
            }
        };
        self.may_wait_for_others(&on_wait);
        place.claim(&identity.tenant, &identity.user).map_err(Refused::Full)?;
        let admitted = self.house.endpoints.admit(&identity, endpoint).await;
        if let (Err(AdmitError::Refused(_)), Way::Vouched(vouch), Some(webhook)) = (&admitted, &way, &self.webhook) {
            webhook.forget(vouch);
        }
        admitted?;
        let broker = &self.house.broker;
        let among_others = broker.place_number();
        let group = endpoint.group(&identity.tenant, &identity.user);
        let interest = broker.take_interest(group).await.map_err(|error| Refused::Unavailable(error.to_string()))?;
        let id = SessionId(self.ids.fetch_add(1, Relaxed));
        let stay = match (way, &self.webhook) {
            (Way::Ticket(hash), _) => {
                // Last, so that no other refusal costs the ticket.
                self.house.endpoints.spend(&identity.tenant, hash).await?;
                None
            }
            (Way::Vouched(vouch), Some(webhook)) => Some(Box::new(webhook.enter(vouch, id, endpoint))),
            (Way::Token | Way::Vouched(_), _) => None,
        };
        let client = Client {
            id,
            endpoint,
            edition: selected.unwrap_or_default(),
            tenant: identity.tenant.clone(),
            user: identity.user.clone(),
            place: among_others,
        };
        let response = handshake::switching(&accept, selected.map(Edition::subprotocol));
        let guest = Guest { client, identity: Box::new(identity) };
        Ok((Admitted { guest, place: (place, stay, interest) }, response))
    }

    /// Other nodes may know what this one does not know yet, and learn whom it lets in.
    fn may_wait_for_others(&self, on_wait: &impl Fn()) {
        if self.house.broker.has_place() {
            on_wait();
        }
    }

    async fn vouched_for(&self, forwarded: Forwarded, endpoint: Endpoint) -> Result<Vouch, Refused> {
        // The door forwards nothing when there is no webhook.
        let webhook = self.webhook.as_ref().ok_or(Refused::Door(Refusal::CredentialMissing))?;
        let vouch = webhook.identify(forwarded).await.map_err(Refused::NotVouched)?;
        if endpoint.staff_only() && !vouch.identity().is_staff {
            return Err(Refused::Door(Refusal::NotStaff));
        }
        Ok(vouch)
    }

    pub(super) fn refuse(refused: &Refused, (parts, address): (&Parts, IpAddr)) -> Response<Body> {
        tracing::debug!(path = parts.uri.path(), %address, reason = refused.reason(), "WebSocket refused");
        Meters::refused(refused.label());
        refused.response()
    }
}
