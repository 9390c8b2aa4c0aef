//! A [`Kind`] as JSON Schema, draft 2020-12, which is what OpenAPI 3.1 speaks.

use super::{
    Field, Kind,
    kind::{UNBOUNDED, USER_PATTERN},
};
use serde_json::{Map, Value, json};

/// Schemas with names, each shown once.
pub(super) type Named = Map<String, Value>;

/// How an object's fields are meant.
#[derive(Clone, Copy)]
struct Style {
    /// An optional field may be `null`.
    null_is_nothing: bool,
    /// There may be further fields.
    is_open: bool,
}

const READ: Style = Style { null_is_nothing: true, is_open: false };
const WRITTEN: Style = Style { null_is_nothing: false, is_open: false };
const OPEN: Style = Style { null_is_nothing: false, is_open: true };

/// The schema of a kind; what has a name is put into `named` and referred to.
pub(super) fn of(kind: &Kind, named: &mut Named) -> Value {
    match kind {
        Kind::User => {
            json!({"type": ["integer", "string"], "minimum": 0, "maximum": u64::MAX, "pattern": USER_PATTERN})
        }
        Kind::Pattern { pattern, .. } => json!({"type": "string", "pattern": pattern}),
        Kind::Text { min, max } => {
            let mut schema = json!({"type": "string"});
            if *min > 0 {
                schema["minLength"] = (*min).into();
            }
            if *max < UNBOUNDED {
                schema["maxLength"] = (*max).into();
            }
            schema
        }
        Kind::Choice(known) => json!({"type": "string", "enum": known}),
        Kind::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Number => json!({"type": "number"}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Time => json!({"type": "string", "format": "date-time"}),
        Kind::Null => json!({"type": "null"}),
        Kind::Bytes => json!({"type": "string", "format": "binary"}),
        Kind::Object => json!({"type": "object"}),
        Kind::Any => json!({}),
        Kind::Many { of: element, min, max, distinct } => {
            let mut schema = json!({"type": "array", "items": of(element, named)});
            if *min > 0 {
                schema["minItems"] = (*min).into();
            }
            if *max < UNBOUNDED {
                schema["maxItems"] = (*max).into();
            }
            if *distinct {
                schema["uniqueItems"] = true.into();
            }
            schema
        }
        Kind::Arguments(fields) => object(fields, READ, named),
        Kind::Record(fields) => object(fields, WRITTEN, named),
        Kind::Open(fields) => object(fields, OPEN, named),
        Kind::OneOf(kinds) | Kind::Cases(_, kinds) => {
            json!({"anyOf": kinds.iter().map(|kind| of(kind, named)).collect::<Vec<_>>()})
        }
        Kind::Named(name, kind) => {
            if !named.contains_key(*name) {
                let schema = of(kind, named);
                named.insert((*name).to_owned(), schema);
            }
            json!({"$ref": format!("#/components/schemas/{name}")})
        }
    }
}

/// A field's schema with its words.
pub(super) fn of_field(field: &Field, named: &mut Named) -> Value {
    let mut schema = of(&field.kind, named);
    if !field.about.is_empty() {
        schema["description"] = field.about.into();
    }
    if let Some(example) = field.example_value() {
        schema["examples"] = json!([example]);
    }
    schema
}

fn object(fields: &[Field], style: Style, named: &mut Named) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut schema = of_field(field, named);
        if style.null_is_nothing && !field.is_required {
            allow_null(&mut schema);
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let required: Vec<_> = fields.iter().filter(|field| field.is_required).map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !style.is_open {
        schema["additionalProperties"] = false.into();
    }
    schema
}

fn allow_null(schema: &mut Value) {
    if let Some(known) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        known.push(Value::Null);
    }
    match schema.get("type").cloned() {
        Some(Value::Array(mut some)) => {
            some.push("null".into());
            schema["type"] = some.into();
        }
        Some(one) if one != "null" => schema["type"] = json!([one, "null"]),
        None if schema.get("anyOf").is_some() || schema.get("$ref").is_some() => {
            *schema = json!({"anyOf": [schema.take(), {"type": "null"}]});
        }
        // Null is in it already.
        _ => {}
    }
}
