//! Coming in with a ticket: who it is for, and spending it.
//!
//! First everything is checked that may refuse (place, origin, standing, caps), then the ticket is spent: a refusal
//! for another reason costs no ticket, and of two who show the same one the log lets in the first.

use super::{AdmitError, Endpoints};
use crate::{
    auth::{Identity, TicketHash},
    protocol::{Endpoint, Tenant, Timestamp},
    records::{Op, Rejection, Reply, rows, tickets},
};

/// The one sentence for tickets that were used, have expired or never were.
const GONE: &str = "this ticket is not valid: it was used, it has expired, or there never was one";

impl Endpoints {
    /// Whom a ticket would let in, shown at `endpoint` by a page of `origin` at `now`. It is not spent. One that this
    /// node does not know may have been issued at another a moment ago.
    ///
    /// # Errors
    /// Refused, with what it is bound to if that is why. Unavailable when rows can't be read, or when this node cannot make
    /// sure that it knows all tickets.
    pub async fn holder(
        &self,
        hash: &TicketHash,
        (endpoint, origin): (Endpoint, Option<&str>),
        now: Timestamp,
    ) -> Result<Identity, AdmitError> {
        let find = || self.records.read(|rows| tickets::find(rows, hash));
        let ticket = match find()? {
            Some(ticket) => Some(ticket),
            None => {
                self.records.catch_up().await?;
                find()?
            }
        };
        // Whether it has expired is decided by the cluster's time, when it is spent, and not by this node's clock.
        let ticket = ticket.ok_or(AdmitError::Refused(GONE))?;
        check_bounds(&ticket, (endpoint, origin))?;
        let rows::Ticket { tenant, grant, issued_at, .. } = ticket;
        let known = self.records.read(|rows| crate::records::directory::of(rows, &tenant, &grant.user))?;
        let known = known.unwrap_or_default();
        Ok(Identity {
            tenant,
            user: grant.user,
            username: grant.username.unwrap_or(known.username),
            first_name: grant.first_name.unwrap_or(known.first_name),
            last_name: grant.last_name.unwrap_or(known.last_name),
            is_staff: grant.is_staff.unwrap_or(known.is_staff),
            issued_at: Some(issued_at),
            expires_at: now.plus_seconds(grant.session_seconds.into()),
        })
    }

    /// Spends a ticket, once for all nodes.
    ///
    /// # Errors
    /// Refused when somebody else was first. Unavailable when the log takes nothing; then it may be spent all the same.
    pub async fn spend(&self, tenant: &Tenant, hash: TicketHash) -> Result<(), AdmitError> {
        match self.records.propose(tenant, Op::SpendTicket { hash }).await?.reply {
            Reply::Done => Ok(()),
            Reply::Rejected(Rejection::TicketGone) => Err(AdmitError::Refused(GONE)),
            _ => Err(AdmitError::Unavailable("the server cannot record changes now")),
        }
    }
}

fn check_bounds(ticket: &rows::Ticket, (endpoint, origin): (Endpoint, Option<&str>)) -> Result<(), AdmitError> {
    let grant = &ticket.grant;
    if grant.endpoint.as_deref().is_some_and(|path| path != endpoint.path()) {
        return Err(AdmitError::Refused("this ticket is for another path"));
    }
    if grant.origin.is_some() && grant.origin.as_deref() != origin {
        return Err(AdmitError::Refused("this ticket is for pages of another origin"));
    }
    if endpoint.staff_only() && grant.is_staff != Some(true) {
        return Err(AdmitError::Refused("only staff may open this endpoint, and this ticket does not say so"));
    }
    Ok(())
}
