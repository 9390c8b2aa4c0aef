//! Minting one-time tickets, so that no token stands in an address or in a page.

use super::users::{NAME, USERNAME};
use crate::{
    auth::{NewTicket, canonical_origin},
    config::{
        Scope,
        limits::{TICKET_SECONDS, TICKET_SESSION_SECONDS_MAX},
    },
    http::{
        Api, ApiError, Object,
        answer::Answer,
        openapi::{Field, Kind, Operation, kind::TEXT},
        request::Request,
    },
    protocol::{Endpoint, Pos, Tenant, UserId},
    records::{Op, ProposeError, Reply, TicketGrant},
    wall_clock::now,
};
use serde_json::json;

/// A path of an endpoint, with or without its trailing slash.
const PATH: Kind = Kind::Pattern {
    pattern: "^/ws/(dashboard|dashboard/admin|subscriptions|subscriptions/admin|notifications|presence)/?$",
    matches: |text| Endpoint::at(text).is_some(),
};
const SESSION_SECONDS: Field = Field::optional(
    "session_seconds",
    Kind::Integer { min: 1, max: TICKET_SESSION_SECONDS_MAX as u64 },
    "How long the socket may stay open; as long as one may, if it is not said.",
);

/// `POST /tickets`
pub(in crate::http) const ISSUE: Operation = Operation::stores(
    "issueTicket",
    "A ticket that opens one socket, once, as `?ticket=`. It takes no `Idempotency-Key`.",
)
.takes(Kind::Arguments(&[
    Field::required("user_id", Kind::User, "Who comes in with it."),
    Field::optional("username", USERNAME.kind, ""),
    Field::optional("first_name", NAME, ""),
    Field::optional("last_name", NAME, ""),
    Field::optional("is_staff", Kind::Bool, "Takes the scope `admin`, too."),
    Field::optional("endpoint", PATH, "The only path it opens."),
    Field::optional("origin", TEXT, "The only origin of pages that may use it, `https://app.example.org`."),
    SESSION_SECONDS,
]))
.answers(
    201,
    Kind::Record(&[
        Field::required("ticket", TEXT, "Shown this once."),
        Field::required("expires_in", Kind::Integer { min: 1, max: TICKET_SECONDS as u64 }, "Seconds."),
    ]),
)
.fails(&["too_many_tickets"]);

/// What a ticket is to stand for. `None` of a claim: as the directory has it when the ticket is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueTicket {
    /// Who comes in with it.
    pub user: UserId,
    /// Login name, 1 to 150 characters.
    pub username: Option<String>,
    /// At most 150 characters.
    pub first_name: Option<String>,
    /// At most 150 characters.
    pub last_name: Option<String>,
    /// Whether the user is staff, and may open staff endpoints with it; `None`: they may not.
    pub is_staff: Option<bool>,
    /// The only endpoint it opens.
    pub endpoint: Option<Endpoint>,
    /// The only origin of pages that may use it, as browsers write it.
    pub origin: Option<String>,
    /// How long the session may last; `None`: as long as one may.
    pub session_seconds: Option<u32>,
}

/// A ticket, shown this once. `Debug` does not show it.
pub struct IssuedTicket {
    ticket: NewTicket,
    /// Seconds until it is no good.
    pub expires_in: i64,
    at: Pos,
}

impl IssuedTicket {
    /// What goes into `?ticket=`.
    pub fn secret(&self) -> &str {
        self.ticket.secret()
    }
}

impl std::fmt::Debug for IssuedTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedTicket").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

impl IssueTicket {
    /// `{user_id, username?, first_name?, last_name?, is_staff?, endpoint?, origin?, session_seconds?}`
    fn read(object: &mut Object) -> Result<Self, ApiError> {
        let endpoint = object.optional_string("endpoint")?;
        let session_seconds = object.optional_integer("session_seconds")?;
        Ok(Self {
            user: object.user("user_id")?,
            username: object.optional_string("username")?,
            first_name: object.optional_string("first_name")?,
            last_name: object.optional_string("last_name")?,
            is_staff: object.optional_bool("is_staff")?,
            endpoint: endpoint.and_then(|path| Endpoint::at(&path)),
            origin: object.optional_string("origin")?,
            session_seconds: session_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
        })
    }

    fn grant(self) -> Result<TicketGrant, ApiError> {
        for (field, kind, name) in [
            ("username", USERNAME.kind, &self.username),
            ("first_name", NAME, &self.first_name),
            ("last_name", NAME, &self.last_name),
        ] {
            name.as_deref().map_or(Ok(()), |name| kind.check_text(field, name))?;
        }
        let origin = self.origin.map(|text| {
            canonical_origin(&text).ok_or_else(|| {
                ApiError::invalid("origin", "origin must be that of a page, like https://app.example.org".to_owned())
            })
        });
        let session_seconds = self.session_seconds.unwrap_or(TICKET_SESSION_SECONDS_MAX);
        SESSION_SECONDS.kind.check_number(SESSION_SECONDS.name, session_seconds.into())?;
        Ok(TicketGrant {
            user: self.user,
            username: self.username,
            first_name: self.first_name,
            last_name: self.last_name,
            is_staff: self.is_staff,
            endpoint: self.endpoint.map(|endpoint| endpoint.path().to_owned()),
            origin: origin.transpose()?,
            session_seconds,
        })
    }
}

impl Api {
    /// A ticket that lets a user in once.
    ///
    /// # Errors
    /// What the HTTP call would answer.
    pub async fn issue_ticket(&self, tenant: &Tenant, call: IssueTicket) -> Result<IssuedTicket, ApiError> {
        let grant = Box::new(call.grant()?);
        let ticket = NewTicket::generate().ok_or_else(|| {
            tracing::error!("the system has no randomness for a ticket");
            ApiError::Internal
        })?;
        let op = Op::IssueTicket { hash: ticket.hash(), grant, expires_at: now().plus_seconds(TICKET_SECONDS) };
        let committed = self.inner.records.propose(tenant, op).await?;
        match committed.reply {
            Reply::Done => Ok(IssuedTicket { ticket, expires_in: TICKET_SECONDS, at: committed.pos }),
            Reply::Rejected(rejection) => Err(rejection.into()),
            _ => Err(ProposeError::OutcomeUnknown.into()),
        }
    }
}

/// `POST /tickets` → 201 `{ticket, expires_in}`. A retry can't be shown the same ticket again, as nobody keeps it: an
/// idempotency key would promise what can't be held, so it is refused. A ticket whose answer was lost just expires.
pub(in crate::http) async fn issue_ticket(request: Request) -> Result<Answer, ApiError> {
    if request.retry.is_some() {
        let message = "a ticket is not kept and can't be answered twice: leave the header out, and ask for another ticket if the answer was lost";
        return Err(ApiError::invalid("Idempotency-Key", message));
    }
    let mut object = request.object()?;
    let call = IssueTicket::read(&mut object)?;
    object.finish()?;
    if call.is_staff.is_some() {
        request.needs(Scope::Admin)?;
    }
    let issued = request.api.issue_ticket(&request.tenant, call).await?;
    let body = json!({"ticket": issued.secret(), "expires_in": issued.expires_in});
    Ok(Answer::new(201, &body).stored_at(Some(issued.at)))
}
