//! The API's own description, OpenAPI 3.1: put together from the table of routes, whose entries each carry an
//! [`Operation`]. There is no route without one, and none of them without a route.
//!
//! [`kind`]: what a value may be · [`operation`]: what a call takes and answers · [`schema`]: kinds as JSON Schema ·
//! [`document`]: all of it together.

mod document;
pub(in crate::http) mod kind;
mod operation;
mod schema;

pub(in crate::http) use kind::Kind;
pub(in crate::http) use operation::{Field, Link, Operation, PATH_FIELDS};

use super::{ApiError, answer::Answer, request::Request};
use std::sync::LazyLock;

/// Made once: neither settings nor keys are in it.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document::document().to_string());

pub(super) const DOCUMENT_OPERATION: Operation =
    Operation::reads("openapi", "This document.").answers(200, Kind::Object);

/// `GET /openapi.json`
pub(super) async fn serve(_: Request) -> Result<Answer, ApiError> {
    Ok(Answer::json(200, DOCUMENT.clone()))
}
