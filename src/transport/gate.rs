//! From a request under `/ws/` to a promise of a session, or a refusal: everything that happens before the upgrade.

use super::{
    caps::{Caps, Place},
    metrics::Meters,
    refuse::Refused,
};
use crate::{
    endpoints::{AdmitError, Client},
    jwks::Entrance,
    protocol::{Endpoint, SessionId, handshake},
    session::{Guest, House},
    wall_clock::now,
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

/// Bits of a session id that count; the rest names the node.
const COUNTER_BITS: u32 = 48;

/// Lets WebSockets in.
#[derive(Debug)]
pub struct Gate {
    /// Who is it, and may it?
    pub entrance: Entrance,
    /// What sessions need.
    pub house: Arc<House>,
    /// How many there may be.
    pub caps: Caps,
    ids: AtomicU64,
}

/// Somebody who may have a session once the upgrade is done.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) guest: Guest,
    pub(super) place: Place,
}

impl Gate {
    /// `node` becomes part of every session's id.
    pub fn new(entrance: Entrance, house: Arc<House>, (caps, node): (Caps, u64)) -> Self {
        Self { entrance, house, caps, ids: AtomicU64::new(node << COUNTER_BITS | 1) }
    }

    /// Checks everything and answers 101, or says why not.
    pub(super) async fn admit(&self, parts: &Parts, address: IpAddr) -> Result<(Admitted, Response<Body>), Refused> {
        let endpoint = Endpoint::at(parts.uri.path()).ok_or(Refused::UnknownPath)?;
        let accept = handshake::accept(parts).map_err(Refused::NotAHandshake)?;
        if self.house.broker.is_draining() {
            return Err(Refused::Leaving);
        }
        let mut place = self.caps.take(address).map_err(Refused::Full)?;
        let admission = self.entrance.ask(|door| door.admit(parts, endpoint, now())).await.map_err(Refused::Door)?;
        let identity = admission.identity;
        place.claim(&identity.tenant, &identity.user).map_err(Refused::Full)?;
        self.house.endpoints.admit(&identity, endpoint).await.map_err(|error| match error {
            AdmitError::Refused(why) => Refused::Forbidden(why.to_owned()),
            AdmitError::Unavailable(why) => Refused::Unavailable(why.to_owned()),
        })?;
        let client = Client {
            id: SessionId(self.ids.fetch_add(1, Relaxed)),
            endpoint,
            edition: admission.edition,
            tenant: identity.tenant.clone(),
            user: identity.user.clone(),
        };
        let response = handshake::switching(&accept, admission.subprotocol);
        Ok((Admitted { guest: Guest { client, identity: Box::new(identity) }, place }, response))
    }

    pub(super) fn refuse(refused: &Refused, (parts, address): (&Parts, IpAddr)) -> Response<Body> {
        tracing::debug!(path = parts.uri.path(), %address, reason = refused.reason(), "WebSocket refused");
        Meters::refused(refused.label());
        refused.response()
    }
}
