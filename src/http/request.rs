//! A server API call that has got in: whose it is, what it names, what it carries.

use super::{
    Api, ApiError, Object,
    answer::Answer,
    calls::{Task, run::counting_ends},
    dispatch::check_scope,
    object::shown,
    retry::Retry,
};
use crate::{
    config::{
        Scope,
        limits::{PAGE_DEFAULT, PAGE_MAX},
    },
    protocol::{Tenant, UserId},
};
use axum::http::Uri;
use bytes::Bytes;

/// See the module.
#[derive(Debug)]
pub(crate) struct Request {
    pub(super) api: Api,
    /// Of the key: a caller never names one.
    pub(super) tenant: Tenant,
    /// Of the key, for calls in which one field takes more than the call itself.
    pub(super) scopes: Vec<Scope>,
    /// What stands in the places of `{…}`, decoded, in order.
    pub(super) ids: Vec<String>,
    pub(super) uri: Uri,
    /// What makes a retry the same call, if the caller wants that.
    pub(super) retry: Option<Retry>,
    pub(super) body: Bytes,
}

impl Request {
    /// Refuses a key without this scope, beside that of the route.
    pub(super) fn needs(&self, scope: Scope) -> Result<(), ApiError> {
        check_scope(&self.scopes, scope)
    }

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
        Object::parse(&self.body)
    }

    /// The body's fields; none if there is no body.
    pub(super) fn object_or_empty(&self) -> Result<Object, ApiError> {
        Object::parse_or_empty(&self.body)
    }

    /// Refuses a body with fields, where none has a meaning.
    pub(super) fn no_fields(&self) -> Result<(), ApiError> {
        self.object_or_empty()?.finish()
    }

    /// The parameters of the query.
    pub(super) fn query(&self) -> Result<Query, ApiError> {
        Query::parse(&self.uri)
    }

    /// Runs a task to its end, once for each idempotency key.
    pub(super) async fn run(&self, task: Task) -> Result<Answer, ApiError> {
        let idempotency = self.retry.as_ref().map(Retry::whole);
        let started = self.api.start(&self.tenant, task, idempotency)?;
        let settled = started.settle().await?;
        Api::finish(settled, counting_ends()).await
    }
}

/// The parameters of a query that have not been taken yet.
#[derive(Debug)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Query {
    fn parse(uri: &Uri) -> Result<Self, ApiError> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let axum::extract::Query(pairs) =
            pairs.map_err(|error| ApiError::Invalid { field: None, message: error.body_text() })?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(other, _)| other == name) {
                return Err(ApiError::invalid(&shown(name), format!("{} stands in the query twice", shown(name))));
            }
        }
        Ok(Self { pairs, known: Vec::new() })
    }

    /// A parameter as it came.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.pairs.iter().position(|(n, _)| n == name)?;
        Some(self.pairs.swap_remove(at).1)
    }

    /// A non-negative integer, if there is one.
    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>, ApiError> {
        self.text(name).map(|text| number(name, &text)).transpose()
    }

    /// `true` or `false`, if it is there.
    pub(super) fn bool(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        self.text(name)
            .map(|text| match text.as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(ApiError::invalid(name, format!("{name} must be true or false, not {:?}", shown(&text)))),
            })
            .transpose()
    }

    /// One of `known`, if it is there.
    pub(super) fn one_of(&mut self, name: &'static str, known: &[&str]) -> Result<Option<String>, ApiError> {
        let text = self.text(name);
        if let Some(text) = &text
            && !known.contains(&text.as_str())
        {
            let message = format!("{name} must be one of {}, not {:?}", known.join(", "), shown(text));
            return Err(ApiError::invalid(name, message));
        }
        Ok(text)
    }

    /// `limit`: how many entries at most.
    pub(super) fn limit(&mut self) -> Result<usize, ApiError> {
        let Some(limit) = self.number("limit")? else { return Ok(PAGE_DEFAULT) };
        usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=PAGE_MAX).contains(limit))
            .ok_or_else(|| ApiError::invalid("limit", format!("limit must be 1 to {PAGE_MAX}, not {limit}")))
    }

    /// Everything was taken.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let name = shown(name);
        let known = if self.known.is_empty() { "none".into() } else { self.known.join(", ") };
        Err(ApiError::invalid(&name, format!("{name:?} is no parameter here; known: {known}")))
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
