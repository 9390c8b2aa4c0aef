//! The whole document, from the table of routes and the table of errors.

use super::{
    Field, Kind, Link, Operation, PATH_FIELDS,
    operation::{Body, Effect},
    schema::{self, Named},
};
use crate::http::{
    error::CODES,
    position::{self, POSITION},
    retry::KEY,
    routes::{BASE, ROUTES, Route},
};
use serde_json::{Map, Value, json};

const DESCRIPTION: &str = "\
Sockets, groups, notifications with read state, presence. Every call needs an API key; a key has scopes and belongs to one \
tenant. A durable call answers 2xx only once everything is on disk; without an answer, or after `outcome_unknown`, repeat it \
with the same `Idempotency-Key` and it happens once. An error is always `{\"error\": {\"code\", \"message\", \"field\"?}}`; but \
for `outcome_unknown`, nothing has happened then. Fields and parameters that a call does not know are refused. Where this \
document leaves a bound to words (the size of a payload, which events a group knows), the answer's message names it.";

const IDEMPOTENCY_KEY: Field = Field::optional(
    "Idempotency-Key",
    KEY,
    "Makes a repetition the same call: what is stored is stored once, and the first answer is given again.",
)
.example("\"order-7-paid\"");

const POSITION_HEADER: Field = Field::optional(
    position::NAME,
    POSITION,
    "Up to where the node that is asked must be before it answers: this header of an answer, or `pos` of a frame or a body. \
    Give it where this call must not be shown less than an earlier one has stored, or shown, at another node.",
)
.example("\"00c0ffee00c0ffee-2a0000\"");

/// OpenAPI 3.1.
pub(super) fn document() -> Value {
    let mut parts = Parts::default();
    parts.schemas.insert("Error".into(), error_schema());
    let mut paths = Map::new();
    for route in ROUTES {
        let item = paths.entry(format!("{BASE}{}", route.path)).or_insert_with(|| json!({}));
        item[route.method.to_lowercase()] = parts.operation(route);
    }
    // No operation is answered so: another method of its path is.
    parts.refusal(405, &["method_not_allowed"]);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Carillon",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The server API of a realtime server.",
            "description": DESCRIPTION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": parts.schemas,
            "responses": parts.responses,
            "headers": headers(),
            "securitySchemes": {"apiKey": {
                "type": "http",
                "scheme": "bearer",
                "description": "From `carillon key new`. Scopes: `publish` sends, `read` looks, `admin` changes users, closes sockets and imports, `backup` copies everything of every tenant; none contains another.",
            }},
        },
    })
}

/// What operations refer to.
#[derive(Default)]
struct Parts {
    schemas: Named,
    responses: Map<String, Value>,
}

impl Parts {
    fn operation(&mut self, route: &Route) -> Value {
        let operation = &route.operation;
        let mut shown = json!({
            "operationId": operation.id,
            "summary": operation.about,
            "tags": [tag(route.path)],
            "security": [{"apiKey": [route.scope.as_str()]}],
            "parameters": self.parameters(route),
            "responses": self.responses(route),
        });
        if let Some(stream) = &operation.stream {
            shown["description"] = stream.about.into();
            shown["x-messages"] = json!({
                "sent": schema::of(&stream.sent, &mut self.schemas),
                "received": schema::of(&stream.received, &mut self.schemas),
            });
        }
        let body = match &operation.body {
            Body::None => return shown,
            Body::Optional(kind) => {
                json!({"required": false, "content": json_content(&schema::of(kind, &mut self.schemas))})
            }
            Body::Required(kind) => {
                json!({"required": true, "content": json_content(&schema::of(kind, &mut self.schemas))})
            }
        };
        shown["requestBody"] = body;
        shown
    }

    fn parameters(&mut self, route: &Route) -> Value {
        let path = PATH_FIELDS.iter().filter(|field| route.path.contains(&format!("{{{}}}", field.name)));
        let mut all: Vec<_> = path.map(|field| self.parameter("path", field)).collect();
        all.extend(route.operation.query.iter().map(|field| self.parameter("query", field)));
        if route.method != "GET" {
            all.push(self.parameter("header", &IDEMPOTENCY_KEY));
        }
        all.push(self.parameter("header", &POSITION_HEADER));
        all.into()
    }

    fn parameter(&mut self, place: &str, field: &Field) -> Value {
        let mut shown = json!({
            "name": field.name,
            "in": place,
            "required": field.is_required,
            "description": field.about,
            "schema": schema::of(&field.kind, &mut self.schemas),
        });
        if let Some(example) = field.example_value() {
            shown["example"] = example;
        }
        if matches!(field.kind, Kind::Many { .. }) {
            shown["style"] = "form".into();
            shown["explode"] = false.into();
        }
        shown
    }

    fn responses(&mut self, route: &Route) -> Value {
        let operation: &Operation = route.operation;
        let mut success = json!({
            "description": "Done.",
            "content": content(&operation.answer, &mut self.schemas),
        });
        if operation.stream.is_some() {
            success = json!({"description": "Now a WebSocket."});
        }
        if operation.effect == Effect::Stores {
            let named = |name: &str| json!({"$ref": format!("#/components/headers/{name}")});
            success["headers"] = json!({
                "Idempotency-Replayed": named("Idempotency-Replayed"),
                position::NAME: named(position::NAME),
            });
        }
        if !operation.leads_to.is_empty() {
            success["links"] = operation.leads_to.iter().map(link).collect::<Map<_, _>>().into();
        }
        let mut all = json!({operation.status.to_string(): success});
        let codes = operation.codes();
        let mut statuses: Vec<u16> =
            CODES.iter().filter(|row| codes.contains(&row.code)).map(|row| row.status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        for status in statuses {
            let of_status = CODES.iter().filter(|row| row.status == status && codes.contains(&row.code));
            let reference = self.refusal(status, &of_status.map(|row| row.code).collect::<Vec<_>>());
            all[status.to_string()] = reference;
        }
        all
    }

    /// A response that several operations share, by its status and its codes.
    fn refusal(&mut self, status: u16, codes: &[&str]) -> Value {
        let name = format!("{status}.{}", codes.join("."));
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        let rows = CODES.iter().filter(|row| codes.contains(&row.code));
        let says: Vec<_> = rows.map(|row| format!("`{}`: {}", row.code, row.means)).collect();
        let schema = json!({"allOf": [
            {"$ref": "#/components/schemas/Error"},
            {"properties": {"error": {"properties": {"code": {"enum": codes}}}}},
        ]});
        let mut response = json!({"description": says.join(" "), "content": json_content(&schema)});
        let header = match status {
            401 => Some("WWW-Authenticate"),
            405 => Some("Allow"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        };
        if let Some(header) = header {
            response["headers"] = json!({header: {"$ref": format!("#/components/headers/{header}")}});
        }
        self.responses.insert(name, response);
        reference
    }
}

fn link(link: &Link) -> (String, Value) {
    let takes = link.takes.iter().map(|(name, field)| ((*name).to_owned(), json!(format!("$response.body#/{field}"))));
    (link.operation.to_owned(), json!({"operationId": link.operation, "parameters": takes.collect::<Map<_, _>>()}))
}

fn content(answer: &Kind, schemas: &mut Named) -> Value {
    let schema = schema::of(answer, schemas);
    if matches!(answer, Kind::Bytes) {
        return json!({"application/octet-stream": {"schema": schema}});
    }
    json_content(&schema)
}

fn json_content(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "additionalProperties": false,
        "properties": {"error": {
            "type": "object",
            "required": ["code", "message"],
            "additionalProperties": false,
            "properties": {
                "code": {"type": "string", "enum": CODES.iter().map(|row| row.code).collect::<Vec<_>>(), "description": "For programs."},
                "message": {"type": "string", "description": "For people: what was wrong, and what would be right."},
                "field": {"type": "string", "description": "The field or parameter that is wrong."},
            },
        }},
    })
}

fn headers() -> Value {
    json!({
        "Idempotency-Replayed": {
            "description": "This is the answer of the first call with this `Idempotency-Key`; nothing happened again.",
            "schema": {"type": "string", "const": "true"},
        },
        "Carillon-Position": {
            "description": "Where in the log stands what the call has stored, if it stores: for the header of this name of a later call at another node.",
            "schema": schema::of(&POSITION, &mut Named::new()),
        },
        "Retry-After": {"description": "Seconds.", "required": true, "schema": {"type": "string", "pattern": "^[0-9]+$"}},
        "WWW-Authenticate": {"required": true, "schema": {"type": "string"}},
        "Allow": {"description": "The methods of this path.", "required": true, "schema": {"type": "string"}},
    })
}

/// The first part of a path; what is under `/users/{id}` is sorted by the part after it.
fn tag(path: &str) -> &str {
    let mut parts = path.trim_start_matches('/').split('/');
    match (parts.next().unwrap_or_default(), parts.nth(1)) {
        ("users", Some(of_user)) => of_user,
        (first, _) => first,
    }
}

fn tags() -> Value {
    let mut names: Vec<_> = ROUTES.iter().map(|route| tag(route.path)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| json!({"name": name})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            item.as_object()
                .into_iter()
                .flatten()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    #[test]
    fn routes_and_document_have_the_same_calls() {
        let document = document();
        let shown: BTreeSet<_> = operations(&document).map(|(name, _)| name).collect();
        let served: BTreeSet<_> =
            ROUTES.iter().map(|route| format!("{} {BASE}{}", route.method.to_lowercase(), route.path)).collect();
        assert_eq!(shown, served);
        let ids: BTreeSet<_> = ROUTES.iter().map(|route| route.operation.id).collect();
        assert_eq!(ids.len(), ROUTES.len(), "an operationId stands twice");
    }

    #[test]
    fn nothing_is_left_without_words() {
        let document = document();
        for (name, operation) in operations(&document) {
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{name}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {parameter}");
            }
        }
        let codes: BTreeSet<_> = CODES.iter().map(|row| row.code).collect();
        for route in ROUTES {
            for link in route.operation.leads_to {
                assert!(ROUTES.iter().any(|route| route.operation.id == link.operation), "{link:?} leads nowhere");
            }
            let unknown: Vec<_> = route.operation.codes().into_iter().filter(|code| !codes.contains(code)).collect();
            assert!(unknown.is_empty(), "{} names {unknown:?}, which no error has", route.name);
            let places = route.path.matches('{').count();
            let known = PATH_FIELDS.iter().filter(|field| route.path.contains(&format!("{{{}}}", field.name))).count();
            assert_eq!(places, known, "{}: put the new place into PATH_FIELDS", route.name);
        }
    }

    #[test]
    fn every_error_is_shown_with_its_status() {
        let text = document()["components"]["responses"].to_string();
        for row in CODES {
            let shown = document()["components"]["responses"]
                .as_object()
                .is_some_and(|all| all.keys().any(|name| is_of(name, row.status, row.code)));
            assert!(shown, "{} {} is nowhere in {text}", row.status, row.code);
        }
    }

    fn is_of(name: &str, status: u16, code: &str) -> bool {
        let mut parts = name.split('.');
        parts.next() == Some(status.to_string().as_str()) && parts.any(|part| part == code)
    }

    #[test]
    fn every_example_is_of_its_kind() {
        fn look(fields: &[Field]) {
            for field in fields {
                assert_eq!(field.example.is_empty(), field.example_value().is_none(), "{} is no JSON", field.example);
                if let Some(example) = field.example_value() {
                    assert!(field.kind.holds(&example), "{}: {example}", field.name);
                }
                within(&field.kind);
            }
        }
        fn within(kind: &Kind) {
            match kind {
                Kind::Arguments(fields) | Kind::Record(fields) | Kind::Open(fields) => look(fields),
                Kind::Many { of: kind, .. } | Kind::Named(_, kind) => within(kind),
                Kind::OneOf(kinds) | Kind::Cases(_, kinds) => kinds.iter().for_each(within),
                _ => {}
            }
        }
        look(PATH_FIELDS);
        look(&[IDEMPOTENCY_KEY, POSITION_HEADER]);
        for Route { operation, .. } in ROUTES {
            look(operation.query);
            within(&operation.answer);
            if let Body::Optional(kind) | Body::Required(kind) = &operation.body {
                within(kind);
            }
        }
    }
}
