//! JSON objects as validated text: reading fields, merging top-level keys. Numbers stay as they were written.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The top-level fields of an object, each as it came.
pub(crate) type Fields = BTreeMap<String, Box<RawValue>>;

/// The fields of an object; none if the text is no object (it was checked before it was proposed).
pub(crate) fn fields(text: &str) -> Fields {
    serde_json::from_str(text).unwrap_or_default()
}

/// `base` with every top-level key of `update` in place of its own.
pub(crate) fn merge(base: &str, update: &str) -> String {
    let mut merged = fields(base);
    merged.extend(fields(update));
    crate::protocol::frames::text(&merged)
}

/// `object` without the top-level key `name`.
pub(crate) fn without(object: &str, name: &str) -> String {
    let mut fields = fields(object);
    fields.remove(name);
    crate::protocol::frames::text(&fields)
}

/// A field's text if it is a string.
pub(crate) fn string(fields: &Fields, name: &str) -> Option<String> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

/// A field as it came, or `null`.
pub(crate) fn raw<'a>(fields: &'a Fields, name: &str) -> &'a RawValue {
    fields.get(name).map_or(RawValue::NULL, |raw| raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_replaces_top_level_keys_and_keeps_numbers_as_written() {
        assert_eq!(merge(r#"{"a":1.50,"b":{"x":1}}"#, r#"{"b":{"y":2},"c":1e3}"#), r#"{"a":1.50,"b":{"y":2},"c":1e3}"#);
        assert_eq!(merge("", r#"{"a":1}"#), r#"{"a":1}"#);
    }
}
