//! What the document says of one call, beside the call's own code: what it takes, what it answers, how it may fail.
//!
//! Readers take their bounds from here ([`crate::http::Object`], `Query`), and development builds hold every accepted
//! body and every answer against it, so a test that makes a call also tests the call's documentation.

use super::{Kind, kind};
use crate::http::{ApiError, answer::Answer};
use serde_json::Value;

/// A field of a body or an answer, a parameter of a query or a path.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Field {
    pub(in crate::http) name: &'static str,
    pub(in crate::http) kind: Kind,
    pub(in crate::http) is_required: bool,
    /// What it means; empty when its name says it.
    pub(super) about: &'static str,
    /// JSON text, or nothing.
    pub(super) example: &'static str,
}

impl Field {
    /// A field that must be there.
    pub(in crate::http) const fn required(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, is_required: true, about, example: "" }
    }

    /// A field that may be left out.
    pub(in crate::http) const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, is_required: false, about, example: "" }
    }

    /// Shows a value, written as JSON.
    pub(in crate::http) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    pub(super) fn example_value(&self) -> Option<Value> {
        if self.example.is_empty() { None } else { serde_json::from_str(self.example).ok() }
    }
}

/// What a call does to the world; decides which errors it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    /// To sockets, at once.
    Tells,
    /// Through the log.
    Stores,
}

/// The body that a call takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) enum Body {
    /// None is read.
    None,
    /// An object with these fields, or none at all.
    Optional(Kind),
    /// This.
    Required(Kind),
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Operation {
    /// Its name in generated clients.
    pub(super) id: &'static str,
    /// A sentence.
    pub(super) about: &'static str,
    pub(super) effect: Effect,
    pub(in crate::http) query: &'static [Field],
    pub(in crate::http) body: Body,
    pub(super) status: u16,
    pub(super) answer: Kind,
    /// Codes of errors beside those that follow from the rest.
    pub(super) fails: &'static [&'static str],
    pub(super) leads_to: &'static [Link],
    pub(super) stream: Option<Stream>,
}

/// A call that becomes a WebSocket. OpenAPI has no words for what follows; these are in `x-messages`.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Stream {
    /// How it goes.
    pub(in crate::http) about: &'static str,
    /// A line from the client.
    pub(in crate::http) sent: Kind,
    /// A line from the server.
    pub(in crate::http) received: Kind,
}

/// A call that takes something from this one's answer.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Link {
    /// The other call's id.
    pub(in crate::http) operation: &'static str,
    /// Names of its parameters, and the fields of the answer that they take.
    pub(in crate::http) takes: &'static [(&'static str, &'static str)],
}

impl Operation {
    const fn new(id: &'static str, about: &'static str, effect: Effect) -> Self {
        let (body, answer) = (Body::None, Kind::Any);
        Self { id, about, effect, query: &[], body, status: 200, answer, fails: &[], leads_to: &[], stream: None }
    }

    /// A call that changes nothing.
    pub(in crate::http) const fn reads(id: &'static str, about: &'static str) -> Self {
        Self::new(id, about, Effect::Reads)
    }

    /// A call that is not stored. Until [`Self::takes`] says otherwise it needs no body.
    pub(in crate::http) const fn tells(id: &'static str, about: &'static str) -> Self {
        Self { body: Body::Optional(Kind::Arguments(&[])), ..Self::new(id, about, Effect::Tells) }
    }

    /// A call that is answered once it is committed. Until [`Self::takes`] says otherwise it needs no body.
    pub(in crate::http) const fn stores(id: &'static str, about: &'static str) -> Self {
        Self { body: Body::Optional(Kind::Arguments(&[])), ..Self::new(id, about, Effect::Stores) }
    }

    /// The parameters of the query.
    pub(in crate::http) const fn query(self, query: &'static [Field]) -> Self {
        Self { query, ..self }
    }

    /// The body, which must be there.
    pub(in crate::http) const fn takes(self, body: Kind) -> Self {
        Self { body: Body::Required(body), ..self }
    }

    /// The body, which may be missing.
    pub(in crate::http) const fn may_take(self, body: Kind) -> Self {
        Self { body: Body::Optional(body), ..self }
    }

    /// Status and body when all is well.
    pub(in crate::http) const fn answers(self, status: u16, answer: Kind) -> Self {
        Self { status, answer, ..self }
    }

    /// Errors that do not follow from what it takes and does.
    pub(in crate::http) const fn fails(self, fails: &'static [&'static str]) -> Self {
        Self { fails, ..self }
    }

    /// Calls that take something from this one's answer.
    pub(in crate::http) const fn leads_to(self, leads_to: &'static [Link]) -> Self {
        Self { leads_to, ..self }
    }

    /// A call that becomes a WebSocket.
    pub(in crate::http) const fn streams(self, stream: Stream) -> Self {
        Self { stream: Some(stream), status: 101, answer: Kind::Null, ..self }
    }

    /// Whether a body is read.
    pub(in crate::http) fn takes_body(&self) -> bool {
        !matches!(self.body, Body::None)
    }

    /// The fields of the body.
    pub(in crate::http) fn fields(&self) -> &'static [Field] {
        match self.body {
            Body::Optional(kind) | Body::Required(kind) => kind.fields(),
            Body::None => &[],
        }
    }

    /// Codes of every error that the call may be answered with.
    pub(super) fn codes(&self) -> Vec<&'static str> {
        let mut codes = vec!["unauthorized", "scope", "foreign_host", "invalid", "too_fast", "not_ready", "internal"];
        // Every call takes a position.
        codes.extend(["unknown_position", "behind"]);
        if self.takes_body() {
            codes.extend(["bad_json", "timeout", "too_large"]);
        }
        match self.effect {
            Effect::Reads => {}
            // A node that has lost touch with its cluster tells nobody.
            Effect::Tells => codes.extend(["overloaded", "no_quorum"]),
            Effect::Stores => {
                codes.extend(["idempotency_key_reused", "overloaded", "no_quorum", "disk_full", "outcome_unknown"]);
            }
        }
        codes.extend(self.fails);
        codes
    }

    /// Whether a call ended as the document says; if not, how.
    pub(in crate::http) fn complaint(&self, body: &[u8], outcome: &Result<Answer, ApiError>) -> Option<String> {
        let answer = match outcome {
            Err(error) if self.codes().contains(&error.code()) => return None,
            Err(error) => return Some(format!("{} is no error of this call", error.code())),
            Ok(answer) => answer,
        };
        if answer.status() != self.status {
            return Some(format!("it answers {}, not {}", answer.status(), self.status));
        }
        if answer.is_file() != matches!(self.answer, Kind::Bytes) {
            return Some("it answers JSON in the place of a file, or a file in the place of JSON".into());
        }
        if !answer.is_file() && !self.answer.holds(&parsed(answer.body().as_bytes())) {
            return Some(format!("the answer is of another kind: {}", answer.body()));
        }
        let (Body::Optional(kind) | Body::Required(kind)) = &self.body else { return None };
        if matches!(self.body, Body::Optional(_)) && body.is_empty() || kind.holds(&parsed(body)) {
            return None;
        }
        Some(format!("a body was accepted that the document refuses: {}", String::from_utf8_lossy(body)))
    }
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or(Value::Null)
}

/// What stands in the places of a path.
pub(in crate::http) const PATH_FIELDS: &[Field] = &[
    Field::required("id", kind::USER_TEXT, "The user."),
    Field::required("nid", kind::COUNT, "The notification, as it was numbered when it was sent."),
    Field::required("group", kind::GROUP, "The group."),
    Field::required("node", kind::NODE, "The node's number, `server.node_id`."),
];
