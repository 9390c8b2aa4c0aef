//! Values before they have a type, each with its place: what TOML, JSON and plain text have in common.
//!
//! None of them has a `Debug` form: secrets pass through here.

use super::mistake::{Mistake, Place};
use std::sync::Arc;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) raw: Raw,
}

/// An entry of a table: the place is the key's.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

#[derive(Clone)]
pub(super) enum Raw {
    /// From the environment or a flag: what it is depends on the setting.
    Loose(String),
    Text(String),
    Integer(i128),
    Switch(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A float, a date or a null: no setting is one.
    Other(&'static str),
}

impl Raw {
    /// For messages: "a string".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Loose(_) | Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Switch(_) => "a boolean",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads a TOML file as far as it can be read, and lists what cannot. Syntax errors never quote the line:
/// a secret may stand in it.
pub(super) fn parse_file(file: &Arc<str>, text: &str) -> (Vec<Entry>, Vec<Mistake>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let locate = |at: usize| place_in(file, text, at);
    let mistakes = errors
        .iter()
        .map(|error| {
            let place = error.span().map_or_else(|| Place::WholeFile(file.clone()), |span| locate(span.start));
            Mistake::new(&place, format!("not TOML: {}", error.message()), "see https://toml.io")
        })
        .collect();
    (entries(table.get_ref(), &locate), mistakes)
}

/// Reads one value as TOML, or else as JSON. `None` when it is neither.
pub(super) fn parse_value(place: &Place, text: &str) -> Option<Node> {
    if let Ok(value) = DeValue::parse(text) {
        return Some(node(&value, &|_| place.clone()));
    }
    serde_json::from_str(text).ok().map(|value| from_json(place, value))
}

fn place_in(file: &Arc<str>, text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place::File {
        file: file.clone(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}

fn entries(table: &DeTable<'_>, locate: &dyn Fn(usize) -> Place) -> Vec<Entry> {
    let mut positioned: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let entry =
                Entry { key: key.get_ref().to_string(), place: locate(key.span().start), value: node(value, locate) };
            (key.span().start, entry)
        })
        .collect();
    // The map is sorted by name; people read from top to bottom.
    positioned.sort_by_key(|(at, _)| *at);
    positioned.into_iter().map(|(_, entry)| entry).collect()
}

fn node(value: &Spanned<DeValue<'_>>, locate: &dyn Fn(usize) -> Place) -> Node {
    let raw = match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(digits) => {
            i128::from_str_radix(digits.as_str(), digits.radix()).map_or(Raw::Other("a huge number"), Raw::Integer)
        }
        DeValue::Boolean(on) => Raw::Switch(*on),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| node(item, locate)).collect()),
        DeValue::Table(table) => Raw::Table(entries(table, locate)),
        DeValue::Float(_) => Raw::Other("a float"),
        DeValue::Datetime(_) => Raw::Other("a date"),
    };
    Node { place: locate(value.span().start), raw }
}

fn from_json(place: &Place, value: serde_json::Value) -> Node {
    use serde_json::Value;
    let raw = match value {
        Value::String(text) => Raw::Text(text),
        Value::Bool(on) => Raw::Switch(on),
        Value::Number(number) => {
            number.as_i64().map_or(Raw::Other("a float or a huge number"), |n| Raw::Integer(n.into()))
        }
        Value::Null => Raw::Other("null"),
        Value::Array(items) => Raw::List(items.into_iter().map(|item| from_json(place, item)).collect()),
        Value::Object(map) => Raw::Table(
            map.into_iter()
                .map(|(key, value)| Entry { key, place: place.clone(), value: from_json(place, value) })
                .collect(),
        ),
    };
    Node { place: place.clone(), raw }
}
