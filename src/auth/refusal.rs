//! Why somebody was not let in: one variant for each reason, none of which holds the credential.

/// Why a handshake was refused. All but [`Refusal::KeysMissing`] are answered with HTTP 403.
///
/// `Display` is the sentence for the client: it never says anything about keys or configuration.
/// [`Refusal::reason`] is for the debug log of whoever runs the server. Neither contains the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Development mode, and the request is for a name that is not this machine's.
    #[error("development mode answers only to localhost, 127.0.0.1 and [::1]")]
    HostForeign,
    /// No `Origin`, and the credential is none that only a program can send.
    #[error("an Origin header is needed unless the token is sent as Authorization: Bearer")]
    OriginMissing,
    /// More than one `Origin` header.
    #[error("the Origin header is given more than once")]
    OriginRepeated,
    /// `null`, another scheme than http and https, or no origin at all.
    #[error("the Origin header is not the origin of a web page")]
    OriginMalformed,
    /// A well-formed origin that is not in `auth.allowed_origins`.
    #[error("this origin may not open sockets here")]
    OriginForeign {
        /// Host and port, as they were compared.
        host: String,
    },

    /// More than one `Authorization` header.
    #[error("the Authorization header is given more than once")]
    AuthorizationRepeated,
    /// Nothing to recognise anybody by.
    #[error("no token was sent")]
    CredentialMissing,
    /// The only token is in the query, where it is not read.
    #[error("no token was sent where it is accepted")]
    QueryTokenOff,
    /// Two tokens in one place, as an attacker who can add a cookie would make it.
    #[error("more than one token was sent in the same place")]
    CredentialRepeated {
        /// The place, for people.
        place: &'static str,
    },
    /// `carillon.token.…` without `carillon.v0` or `carillon.v1`: a browser would fail, as nothing can be selected.
    #[error("a token subprotocol needs carillon.v0 or carillon.v1 beside it")]
    ProtocolMissing,

    /// Longer than any token is.
    #[error("the token is too long")]
    TokenTooLong,
    /// Not three parts of base64url JSON, or with a header that is none.
    #[error("the token is malformed")]
    TokenMalformed {
        /// What of it.
        part: &'static str,
    },
    /// The header has `crit`, `b64`, `zip` or `enc`: something in it must be understood, and nothing is.
    #[error("the token is not valid")]
    CriticalHeader,
    /// A `kid` that no key has.
    #[error("the token is not valid")]
    KeyUnknown,
    /// As [`Self::KeyUnknown`], while a key set that might have it could never be fetched: not the client's fault.
    #[error("the keys that verify tokens are not available; come back later")]
    KeysMissing,
    /// No `kid`, and not exactly one key.
    #[error("the token is not valid")]
    KeyAmbiguous,
    /// Another algorithm than the key's own.
    #[error("the token is not valid")]
    Algorithm,
    /// The signature is not this key's.
    #[error("the token is not valid")]
    Signature,
    /// `typ` is not what is wanted, or the token holds something else than claims (`cty`).
    #[error("the token is not valid")]
    Type,
    /// A claim that must be there is not.
    #[error("the token lacks the claim `{claim}`")]
    ClaimMissing {
        /// Its name.
        claim: &'static str,
    },
    /// A claim of the wrong type or out of range.
    #[error("the claim `{claim}` must be {expected}")]
    ClaimWrong {
        /// Its name.
        claim: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is still to come.
    #[error("the token is not valid yet")]
    TooEarly {
        /// Which of the two.
        claim: &'static str,
    },
    /// `iss` is not the configured issuer.
    #[error("the token is not valid")]
    Issuer,
    /// `aud` does not name the configured audience.
    #[error("the token is not valid")]
    Audience,
    /// The key (or the webhook) may not speak for this tenant, or for several and it is not said which.
    #[error("the token is not valid for this tenant")]
    Tenant,

    /// `?ticket=` with something that no ticket looks like.
    #[error("the ticket is malformed")]
    TicketMalformed,
    /// More bytes in the headers that the webhook is sent than any app sets.
    #[error("the cookies are too long")]
    ForwardedTooLong,
    /// The webhook's answer is no JSON object, or has a field twice.
    #[error("the answer is not a JSON object")]
    AnswerMalformed,

    /// A staff-only endpoint, and the user is not staff.
    #[error("only staff may open this endpoint")]
    NotStaff,
}

impl Refusal {
    /// The reason for whoever runs the server: what was found and what would be right, without the token.
    pub fn reason(&self) -> String {
        match self {
            Self::OriginForeign { host } => {
                format!("origin host {host:?} is not in auth.allowed_origins")
            }
            Self::QueryTokenOff => "the token is in the query, and auth.query_token is off".into(),
            Self::CredentialRepeated { place } => format!("more than one token in the {place}"),
            Self::TokenMalformed { part } => format!("the token's {part} cannot be read"),
            Self::CriticalHeader => {
                "the token's header has `crit`, `b64`, `zip` or `enc`, none of which is understood".into()
            }
            Self::KeyUnknown => "the token's `kid` is the id of no key in auth.jwt or its key sets".into(),
            Self::KeysMissing => "the token's `kid` is unknown, and a key set has not been fetched yet".into(),
            Self::KeyAmbiguous => "the token has no `kid`, and auth.jwt does not have exactly one key".into(),
            Self::Type => {
                "the token's `typ` is not auth.token_type (unset: none, JWT or at+jwt), or it has `cty`".into()
            }
            Self::Algorithm => "the token's `alg` is not the one its key is for".into(),
            Self::Signature => "the token's signature was not made with its key".into(),
            Self::TooEarly { claim } => format!("the token's `{claim}` lies in the future"),
            Self::Issuer => "the token's `iss` is not auth.issuer".into(),
            Self::Audience => "the token's `aud` does not contain auth.audience".into(),
            Self::Tenant => "the key that signed the token may not sign for its tenant".into(),
            other => other.to_string(),
        }
    }

    /// A short name for counters; one of a fixed set.
    pub fn label(&self) -> &'static str {
        match self {
            Self::HostForeign => "host",
            Self::OriginMissing | Self::OriginRepeated | Self::OriginMalformed | Self::OriginForeign { .. } => "origin",
            Self::AuthorizationRepeated
            | Self::CredentialMissing
            | Self::QueryTokenOff
            | Self::CredentialRepeated { .. } => "credential",
            Self::ProtocolMissing => "subprotocol",
            Self::Expired => "expired",
            Self::KeysMissing => "keys_missing",
            Self::NotStaff => "staff",
            Self::TicketMalformed => "ticket",
            Self::ForwardedTooLong => "webhook",
            _ => "token",
        }
    }
}
