//! A server API call that has got in: whose it is, what it names, what it carries.

use super::{
    Api, ApiError, Object,
    answer::Answer,
    calls::{Task, run::counting_ends},
    object::{self, shown},
    openapi::{Field, Kind, Operation, kind},
    retry::Retry,
};
use crate::{
    config::limits::{PAGE_DEFAULT, PAGE_MAX},
    protocol::{Tenant, UserId, event::Fields},
};
use axum::http::Uri;
use bytes::Bytes;

/// See the module.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) api: Api,
    /// Of the key: a caller never names one.
    pub(super) tenant: Tenant,
    /// What stands in the places of `{…}`, decoded, in order.
    pub(super) ids: Vec<String>,
    /// What the operation knows; nothing else is in it.
    pub(super) query: Query,
    /// What makes a retry the same call, if the caller wants that.
    pub(super) retry: Option<Retry>,
    pub(super) body: Bytes,
    /// What it takes.
    pub(super) operation: &'static Operation,
}

/// `limit` of a list.
pub(super) const LIMIT: Field = Field::optional(
    "limit",
    Kind::Integer { min: 1, max: PAGE_MAX as u64 },
    "How many entries at most; 50 if it is not said.",
);
/// `before` of a list that goes back in time.
pub(super) const BEFORE: Field =
    Field::optional("before", kind::COUNT, "Entries older than this: `next_before` of the page before.");

impl Request {
    /// The nth id of the path.
    pub(super) fn id(&self, nth: usize) -> &str {
        self.ids.get(nth).map_or("", String::as_str)
    }

    /// The first id of the path, as a user's.
    pub(super) fn user(&self) -> Result<UserId, ApiError> {
        UserId::new(self.id(0)).map_err(|error| ApiError::invalid("id", error.to_string()))
    }

    /// An id of the path that is a number.
    pub(super) fn number_id(&self, name: &str, nth: usize) -> Result<u64, ApiError> {
        number(name, self.id(nth))
    }

    /// The body's fields.
    pub(super) fn object(&self) -> Result<Object, ApiError> {
        Object::parse(&self.body, self.operation.fields())
    }

    /// The body's fields; none if there is no body.
    pub(super) fn object_or_empty(&self) -> Result<Object, ApiError> {
        Object::parse_or_empty(&self.body, self.operation.fields())
    }

    /// The body as an event: any fields, each once.
    pub(super) fn event(&self) -> Result<Fields, ApiError> {
        Ok(object::pairs(object::parse(&self.body)?, "the body")?.into_iter().collect())
    }

    /// Refuses a body with fields, where none has a meaning.
    pub(super) fn no_fields(&self) -> Result<(), ApiError> {
        self.object_or_empty()?.finish()
    }

    /// Runs a task to its end, once for each idempotency key.
    pub(super) async fn run(&self, task: Task) -> Result<Answer, ApiError> {
        let idempotency = self.retry.as_ref().map(Retry::whole);
        let started = self.api.start(&self.tenant, task, idempotency)?;
        let settled = started.settle().await?;
        Api::finish(settled, counting_ends()).await
    }
}

/// The parameters of a query: those that the operation declares, each once.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    declared: &'static [Field],
}

impl Query {
    /// Reads the query of `uri`.
    pub(super) fn parse(uri: &Uri, declared: &'static [Field]) -> Result<Self, ApiError> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let axum::extract::Query(pairs) =
            pairs.map_err(|error| ApiError::Invalid { field: None, message: error.body_text() })?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(ApiError::invalid(&shown(name), format!("{} stands in the query twice", shown(name))));
            }
            if !declared.iter().any(|field| field.name == name) {
                let name = shown(name);
                let known: Vec<_> = declared.iter().map(|field| field.name).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Err(ApiError::invalid(&name, format!("{name:?} is no parameter here; known: {known}")));
            }
        }
        Ok(Self { pairs, declared })
    }

    fn kind(&self, name: &str) -> Result<Kind, ApiError> {
        let field = self.declared.iter().find(|field| field.name == name);
        debug_assert!(field.is_some(), "{name} is read and not declared");
        field.map(|field| field.kind).ok_or(ApiError::Internal)
    }

    /// A parameter as it came.
    pub(super) fn raw(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, text)| text.as_str())
    }

    /// A text within its bounds, if there is one.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        let kind = self.kind(name)?;
        let Some(text) = self.raw(name) else { return Ok(None) };
        kind.check_text(name, text)?;
        Ok(Some(text.to_owned()))
    }

    /// A non-negative integer within its bounds, if there is one.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<u64>, ApiError> {
        let kind = self.kind(name)?;
        let Some(number) = self.raw(name).map(|text| number(name, text)).transpose()? else { return Ok(None) };
        kind.check_number(name, number)?;
        Ok(Some(number))
    }

    /// `true` or `false`, if it is there.
    pub(super) fn bool(&self, name: &'static str) -> Result<Option<bool>, ApiError> {
        let kind = self.kind(name)?;
        debug_assert!(matches!(kind, Kind::Bool), "{name} is declared as {kind:?}");
        self.raw(name)
            .map(|text| match text {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(ApiError::invalid(name, format!("{name} must be true or false, not {:?}", shown(text)))),
            })
            .transpose()
    }

    /// `limit`: how many entries at most.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        let limit = self.number(LIMIT.name)?;
        Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_DEFAULT))
    }
}

fn number(name: &str, text: &str) -> Result<u64, ApiError> {
    // `parse` would take a sign.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| ApiError::invalid(name, format!("{name} must be a non-negative integer, not {:?}", shown(text))))
}
