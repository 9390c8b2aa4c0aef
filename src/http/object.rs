//! JSON bodies: objects whose fields are taken one by one, each answered for by its name.
//!
//! Payloads stay text, so that numbers keep their digits. What is not taken is refused, by name.

use super::ApiError;
use crate::{
    config::limits::{JSON_DEPTH_MAX, USER_IDS_MAX},
    protocol::{NodeId, UserId},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{collections::HashSet, fmt};

/// Characters of a wrong value that a message shows.
const SHOWN_CHARS: usize = 60;

/// The fields of a JSON object that have not been taken yet.
#[derive(Debug, Default)]
pub struct Object {
    fields: Vec<(String, Box<RawValue>)>,
    /// Names that were asked for, to tell people.
    known: Vec<&'static str>,
}

impl Object {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 when it is no JSON, or nested deeper than anybody needs; 422 when it is no object, or names a field twice.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body).map_err(|error| ApiError::BadJson(format!("it is not UTF-8: {error}")))?;
        check_text(text)?;
        // First as anything at all, so that "not JSON" and "not an object" are told apart.
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| ApiError::BadJson(error.to_string()))?;
        Self::of(raw, "the body")
    }

    /// Like [`Self::parse`]; no body at all is an object without fields.
    ///
    /// # Errors
    /// See [`Self::parse`].
    pub fn parse_or_empty(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() { Ok(Self::default()) } else { Self::parse(body) }
    }

    /// The fields of `raw`, which messages call `what`.
    pub(super) fn of(raw: &RawValue, what: &str) -> Result<Self, ApiError> {
        if !is_object(raw) {
            let message = format!("{what} must be a JSON object, not {}", shown(raw.get()));
            return Err(ApiError::Invalid { field: None, message });
        }
        let Pairs(fields) = serde_json::from_str(raw.get()).map_err(|error| ApiError::BadJson(error.to_string()))?;
        let mut names = HashSet::with_capacity(fields.len());
        if let Some((twice, _)) = fields.iter().find(|(name, _)| !names.insert(name.as_str())) {
            return Err(ApiError::invalid(twice, format!("{} stands in {what} twice", shown(twice))));
        }
        Ok(Self { fields, known: Vec::new() })
    }

    /// A field as it came, `null` included.
    pub(super) fn raw(&mut self, name: &'static str) -> Option<Box<RawValue>> {
        self.known.push(name);
        let at = self.fields.iter().position(|(n, _)| n == name)?;
        Some(self.fields.swap_remove(at).1)
    }

    /// A field as it came; `null` is as good as nothing.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<Box<RawValue>> {
        self.raw(name).filter(|raw| raw.get() != "null")
    }

    /// A string, if there is one.
    pub(super) fn optional_string(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        self.optional(name).map(|raw| string(name, &raw)).transpose()
    }

    /// A string that must be there.
    pub(super) fn string(&mut self, name: &'static str) -> Result<String, ApiError> {
        let raw = self.optional(name).ok_or_else(|| missing(name, "a string"))?;
        string(name, &raw)
    }

    /// `true` or `false`, if it is there.
    pub(super) fn optional_bool(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        self.optional(name)
            .map(|raw| {
                serde_json::from_str(raw.get()).map_err(|_| {
                    ApiError::invalid(name, format!("{name} must be true or false, not {}", shown(raw.get())))
                })
            })
            .transpose()
    }

    /// An object that must be there, as text.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Box<RawValue>, ApiError> {
        self.optional_object(name)?.ok_or_else(|| missing(name, "a JSON object"))
    }

    /// An object, as text, if there is one.
    pub(super) fn optional_object(&mut self, name: &'static str) -> Result<Option<Box<RawValue>>, ApiError> {
        let Some(raw) = self.optional(name) else { return Ok(None) };
        if is_object(&raw) {
            return Ok(Some(raw));
        }
        Err(ApiError::invalid(name, format!("{name} must be a JSON object, not {}", shown(raw.get()))))
    }

    /// Any value that must be there, `null` included.
    pub(super) fn value(&mut self, name: &'static str) -> Result<Box<RawValue>, ApiError> {
        self.raw(name).ok_or_else(|| missing(name, "a JSON value"))
    }

    /// The elements of an array, if there is one.
    pub(super) fn optional_array(
        &mut self,
        name: &'static str,
        (least, most): (usize, usize),
    ) -> Result<Option<Vec<Box<RawValue>>>, ApiError> {
        let Some(raw) = self.optional(name) else { return Ok(None) };
        let elements: Vec<Box<RawValue>> = serde_json::from_str(raw.get())
            .map_err(|_| ApiError::invalid(name, format!("{name} must be an array, not {}", shown(raw.get()))))?;
        let count = elements.len();
        if count < least || count > most {
            return Err(ApiError::invalid(name, format!("{name} must have {least} to {most} entries, not {count}")));
        }
        Ok(Some(elements))
    }

    /// `user_ids`, if it is there.
    pub(super) fn optional_users(&mut self, name: &'static str) -> Result<Option<Vec<UserId>>, ApiError> {
        let Some(elements) = self.optional_array(name, (1, USER_IDS_MAX))? else { return Ok(None) };
        let users = elements.iter().map(|raw| user(name, raw)).collect::<Result<Vec<_>, _>>()?;
        no_repeats(name, &users)?;
        Ok(Some(users))
    }

    /// `user_id`, if it is there.
    pub(super) fn optional_user(&mut self, name: &'static str) -> Result<Option<UserId>, ApiError> {
        self.optional(name).map(|raw| user(name, &raw)).transpose()
    }

    /// `user_id`, which must be there.
    pub(super) fn user(&mut self, name: &'static str) -> Result<UserId, ApiError> {
        self.optional_user(name)?.ok_or_else(|| missing(name, "a user id: a JSON integer or a string"))
    }

    /// A node's number, which must be there.
    pub(super) fn node_id(&mut self, name: &'static str) -> Result<NodeId, ApiError> {
        let raw = self.optional(name).ok_or_else(|| missing(name, "a node's number, 1 to 65535"))?;
        serde_json::from_str(raw.get()).ok().filter(|id| (1..=65_535).contains(id)).ok_or_else(|| {
            ApiError::invalid(name, format!("{name} must be a node's number, 1 to 65535, not {}", shown(raw.get())))
        })
    }

    /// Everything was taken.
    ///
    /// # Errors
    /// 422 naming a field that nobody asked for.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, _)) if self.known.is_empty() => Err(ApiError::invalid(
                &clipped(name),
                format!("{} is not known here: this takes no fields", shown(name)),
            )),
            Some((name, _)) => {
                let known = self.known.join(", ");
                Err(ApiError::invalid(&clipped(name), format!("{} is not known here; known are {known}", shown(name))))
            }
        }
    }

    /// Everything that was not taken.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, Box<RawValue>)> {
        self.fields.into_iter()
    }
}

/// 422 for a field that must be there.
pub(super) fn missing(name: &str, what: &str) -> ApiError {
    ApiError::invalid(name, format!("{name} is missing: it must be {what}"))
}

/// Refuses a user that is named twice: nobody should be told twice, nor be told less often than was asked.
pub(super) fn no_repeats(name: &str, users: &[UserId]) -> Result<(), ApiError> {
    let mut seen = HashSet::with_capacity(users.len());
    match users.iter().find(|user| !seen.insert(*user)) {
        Some(twice) => Err(ApiError::invalid(name, format!("{name} has the user {twice} twice; name each once"))),
        None => Ok(()),
    }
}

/// A value as messages show it.
pub(super) fn shown(text: &str) -> String {
    let clipped = clipped(text);
    if clipped.len() < text.len() { format!("{clipped}…") } else { clipped }
}

fn clipped(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// Raw JSON has no space in front.
pub(super) fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

pub(super) fn string(name: &str, raw: &RawValue) -> Result<String, ApiError> {
    serde_json::from_str(raw.get())
        .map_err(|_| ApiError::invalid(name, format!("{name} must be a string, not {}", shown(raw.get()))))
}

fn user(name: &str, raw: &RawValue) -> Result<UserId, ApiError> {
    let value = serde_json::from_str(raw.get()).unwrap_or(serde_json::Value::Null);
    UserId::from_wire(&value).map_err(|error| ApiError::invalid(name, error.to_string()))
}

/// What the JSON reader lets through in text that it only skips: nesting without end, halves of surrogate pairs.
/// Others who read the payload later would stumble.
pub(super) fn check_text(text: &str) -> Result<(), ApiError> {
    let bytes = text.as_bytes();
    let (mut depth, mut in_string, mut at) = (0_usize, false, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (in_string, byte) {
            (_, b'"') => in_string = !in_string,
            (true, b'\\') => {
                let high = code_unit(bytes, at);
                at += 1;
                if matches!(high, Some(0xDC00..=0xDFFF)) {
                    return Err(lone_surrogate());
                }
                if matches!(high, Some(0xD800..=0xDBFF)) {
                    let low = bytes.get(at + 4).filter(|&&b| b == b'\\').and_then(|_| code_unit(bytes, at + 5));
                    if !matches!(low, Some(0xDC00..=0xDFFF)) {
                        return Err(lone_surrogate());
                    }
                    at += 10;
                }
            }
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return Err(ApiError::BadJson(format!("it is nested more than {JSON_DEPTH_MAX} deep")));
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The code unit that the escape at `at` stands for: `u` and four hexadecimal digits.
fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 5)?.strip_prefix(b"u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn lone_surrogate() -> ApiError {
    ApiError::BadJson("a \\u escape is half of a surrogate pair".into())
}

/// An object's fields in order, repeats included: serde's maps would keep the last of them silently.
struct Pairs(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Result<(), (&'static str, Option<String>)> {
        let read = Object::parse(body.as_bytes()).and_then(|mut object| {
            object.optional_string("a")?;
            object.optional_object("o")?;
            object.optional_users("user_ids")?;
            object.finish()
        });
        read.map_err(|error| (error.code(), error.field().map(str::to_owned)))
    }

    #[test]
    fn what_is_wrong_is_named() {
        let deep = |n: usize| format!(r#"{{"o":{}1{}}}"#, r#"{"x":"#.repeat(n), "}".repeat(n));
        assert_eq!(code(&deep(JSON_DEPTH_MAX - 1)), Ok(()));
        let deep = deep(JSON_DEPTH_MAX);
        let table = [
            ("", "bad_json", None),
            ("{", "bad_json", None),
            ("{} x", "bad_json", None),
            (r#"{"a":"\ud800"}"#, "bad_json", None),
            (r#"{"o":{"x":"\udc00\ud800"}}"#, "bad_json", None),
            ("{\"a\":\"\n\"}", "bad_json", None),
            (deep.as_str(), "bad_json", None),
            ("[]", "invalid", None),
            ("null", "invalid", None),
            (r#"{"a":1}"#, "invalid", Some("a")),
            (r#"{"a":"x","a":"y"}"#, "invalid", Some("a")),
            (r#"{"o":[]}"#, "invalid", Some("o")),
            (r#"{"b":1}"#, "invalid", Some("b")),
            (r#"{"user_ids":[]}"#, "invalid", Some("user_ids")),
            (r#"{"user_ids":[1,"1"]}"#, "invalid", Some("user_ids")),
            (r#"{"user_ids":[1.5]}"#, "invalid", Some("user_ids")),
            (r#"{"user_ids":{}}"#, "invalid", Some("user_ids")),
        ];
        for (body, expected, field) in table {
            assert_eq!(code(body), Err((expected, field.map(str::to_owned))), "{body}");
        }
    }

    #[test]
    fn null_is_as_good_as_nothing_and_escapes_are_no_braces() {
        for body in ["{}", r#"{"a":null,"o":null}"#, r#"{"a":"\ud83d\ude00 \\","o":{"x":"{[\"{["}}"#, " {\"a\":\"b\"} "]
        {
            assert_eq!(code(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn payloads_keep_their_digits() {
        let mut object = Object::parse(br#"{"o": {"n": 1.50, "m": 12345678901234567890123}}"#).expect("json");
        assert_eq!(object.object("o").expect("an object").get(), r#"{"n": 1.50, "m": 12345678901234567890123}"#);
    }
}
