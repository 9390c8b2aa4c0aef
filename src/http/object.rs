//! JSON bodies: objects whose fields are taken one by one, each answered for by its name.
//!
//! Payloads stay text, so that numbers keep their digits. What is not taken is refused, by name.

use super::{
    ApiError,
    openapi::{Field, Kind, kind},
};
use crate::{config::limits::JSON_DEPTH_MAX, protocol::UserId};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{collections::HashSet, fmt};

/// Characters of a wrong value that a message shows.
const SHOWN_CHARS: usize = 60;

/// The fields of a JSON object that have not been taken yet, and what is declared of them: a field is read by its
/// name, and its kind, its bounds and whether it must be there come from the declaration, which the document shows.
#[derive(Debug, Default)]
pub struct Object {
    fields: Vec<(String, Box<RawValue>)>,
    declared: &'static [Field],
    /// Bits of the declared fields that were asked for.
    taken: u64,
}

impl Object {
    /// Reads a body.
    ///
    /// 400 when it is no JSON, or nested deeper than anybody needs; 422 when it is no object, or names a field twice.
    pub(super) fn parse(body: &[u8], declared: &'static [Field]) -> Result<Self, ApiError> {
        let raw = parse(body)?;
        Self::of(raw, ("the body", declared))
    }

    /// Like [`Self::parse`]; no body at all is an object without fields.
    pub(super) fn parse_or_empty(body: &[u8], declared: &'static [Field]) -> Result<Self, ApiError> {
        if body.is_empty() { Ok(Self::empty(declared)) } else { Self::parse(body, declared) }
    }

    /// An object without fields.
    pub(super) fn empty(declared: &'static [Field]) -> Self {
        Self { fields: Vec::new(), declared, taken: 0 }
    }

    /// The fields of `raw`, which messages call `what`.
    pub(super) fn of(raw: &RawValue, (what, declared): (&str, &'static [Field])) -> Result<Self, ApiError> {
        Ok(Self { fields: pairs(raw, what)?, declared, taken: 0 })
    }

    /// What is declared of a field. A name that is not declared is a defect, which every test of the call finds.
    fn declared(&mut self, name: &str) -> Result<Field, ApiError> {
        let at = self.declared.iter().position(|field| field.name == name);
        debug_assert!(at.is_some_and(|at| at < 64), "{name} is read and not declared");
        let at = at.ok_or(ApiError::Internal)?;
        self.taken |= 1 << at;
        Ok(self.declared[at])
    }

    /// A field as it came. `null` is as good as nothing, unless any value may be there.
    fn take(&mut self, name: &'static str) -> Result<(Field, Option<Box<RawValue>>), ApiError> {
        let field = self.declared(name)?;
        let at = self.fields.iter().position(|(n, _)| n == name);
        let raw = at.map(|at| self.fields.swap_remove(at).1);
        let raw = raw.filter(|raw| raw.get() != "null" || (field.is_required && matches!(field.kind, Kind::Any)));
        if field.is_required && raw.is_none() {
            return Err(missing(name, &field.kind.described()));
        }
        Ok((field, raw))
    }

    /// A field that must be there.
    fn need<T>(field: Option<T>) -> Result<T, ApiError> {
        debug_assert!(field.is_some(), "a field that is declared as optional is read as if it were not");
        field.ok_or(ApiError::Internal)
    }

    /// A string, if there is one.
    pub(super) fn optional_string(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        let (field, raw) = self.take(name)?;
        let Some(raw) = raw else { return Ok(None) };
        let text = string(name, &raw)?;
        field.kind.check_text(name, &text)?;
        Ok(Some(text))
    }

    /// A string that must be there.
    pub(super) fn string(&mut self, name: &'static str) -> Result<String, ApiError> {
        Self::need(self.optional_string(name)?)
    }

    /// `true` or `false`, if it is there.
    pub(super) fn optional_bool(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        let (_, raw) = self.take(name)?;
        raw.map(|raw| {
            serde_json::from_str(raw.get())
                .map_err(|_| ApiError::invalid(name, format!("{name} must be true or false, not {}", shown(raw.get()))))
        })
        .transpose()
    }

    /// An integer within the bounds of its field, if it is there.
    pub(super) fn optional_integer(&mut self, name: &'static str) -> Result<Option<u64>, ApiError> {
        let (field, raw) = self.take(name)?;
        let Some(raw) = raw else { return Ok(None) };
        read_integer(name, &field.kind, &raw).map(Some)
    }

    /// An object that must be there, as text.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Box<RawValue>, ApiError> {
        Self::need(self.optional_object(name)?)
    }

    /// An object, as text, if there is one.
    pub(super) fn optional_object(&mut self, name: &'static str) -> Result<Option<Box<RawValue>>, ApiError> {
        let (_, raw) = self.take(name)?;
        match raw {
            Some(raw) if !is_object(&raw) => {
                Err(ApiError::invalid(name, format!("{name} must be a JSON object, not {}", shown(raw.get()))))
            }
            raw => Ok(raw),
        }
    }

    /// Any value, `null` included where it must be there.
    pub(super) fn optional_value(&mut self, name: &'static str) -> Result<Option<Box<RawValue>>, ApiError> {
        Ok(self.take(name)?.1)
    }

    /// Any value that must be there, `null` included.
    pub(super) fn value(&mut self, name: &'static str) -> Result<Box<RawValue>, ApiError> {
        Self::need(self.optional_value(name)?)
    }

    /// The elements of an array, if there is one.
    pub(super) fn optional_array(&mut self, name: &'static str) -> Result<Option<Vec<Box<RawValue>>>, ApiError> {
        let (field, raw) = self.take(name)?;
        let Some(raw) = raw else { return Ok(None) };
        let elements: Vec<Box<RawValue>> = serde_json::from_str(raw.get())
            .map_err(|_| ApiError::invalid(name, format!("{name} must be an array, not {}", shown(raw.get()))))?;
        field.kind.check_count(name, elements.len())?;
        Ok(Some(elements))
    }

    /// The elements of an array that must be there.
    pub(super) fn array(&mut self, name: &'static str) -> Result<Vec<Box<RawValue>>, ApiError> {
        Self::need(self.optional_array(name)?)
    }

    /// `user_ids`, if it is there: each user once.
    pub(super) fn optional_users(&mut self, name: &'static str) -> Result<Option<Vec<UserId>>, ApiError> {
        let Some(elements) = self.optional_array(name)? else { return Ok(None) };
        let users = elements.iter().map(|raw| user(name, raw)).collect::<Result<Vec<_>, _>>()?;
        no_repeats(name, &users)?;
        Ok(Some(users))
    }

    /// `user_ids`, which must be there.
    pub(super) fn users(&mut self, name: &'static str) -> Result<Vec<UserId>, ApiError> {
        Self::need(self.optional_users(name)?)
    }

    /// `user_id`, if it is there.
    pub(super) fn optional_user(&mut self, name: &'static str) -> Result<Option<UserId>, ApiError> {
        let (_, raw) = self.take(name)?;
        raw.map(|raw| user(name, &raw)).transpose()
    }

    /// `user_id`, which must be there.
    pub(super) fn user(&mut self, name: &'static str) -> Result<UserId, ApiError> {
        Self::need(self.optional_user(name)?)
    }

    /// An integer, which must be there.
    pub(super) fn integer(&mut self, name: &'static str) -> Result<u64, ApiError> {
        Self::need(self.optional_integer(name)?)
    }

    /// Everything was taken: 422 naming a field that is not declared.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        let unread = self.declared.iter().enumerate().find(|(at, _)| self.taken & 1 << at == 0);
        debug_assert!(unread.is_none(), "{unread:?} is declared and not read");
        match self.fields.first() {
            None => Ok(()),
            Some((name, _)) if self.declared.is_empty() => Err(ApiError::invalid(
                &clipped(name),
                format!("{} is not known here: this takes no fields", shown(name)),
            )),
            Some((name, _)) => {
                let known = self.declared.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
                Err(ApiError::invalid(&clipped(name), format!("{} is not known here; known are {known}", shown(name))))
            }
        }
    }
}

/// An integer within the bounds of its kind: a number without a fraction, however it is written.
pub(super) fn read_integer(name: &str, kind: &Kind, raw: &RawValue) -> Result<u64, ApiError> {
    let wrong = || ApiError::invalid(name, format!("{name} must be {}, not {}", kind.described(), shown(raw.get())));
    let number = serde_json::from_str(raw.get()).ok().as_ref().and_then(kind::integer).ok_or_else(wrong)?;
    kind.check_number(name, number)?;
    Ok(number)
}

/// Any JSON, as text: 400 when it is none.
pub(super) fn parse(body: &[u8]) -> Result<&RawValue, ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| ApiError::BadJson(format!("it is not UTF-8: {error}")))?;
    check_text(text)?;
    // First as anything at all, so that "not JSON" and "not an object" are told apart.
    serde_json::from_str(text).map_err(|error| ApiError::BadJson(error.to_string()))
}

/// The fields of an object, each name once.
pub(super) fn pairs(raw: &RawValue, what: &str) -> Result<Vec<(String, Box<RawValue>)>, ApiError> {
    if !is_object(raw) {
        let message = format!("{what} must be a JSON object, not {}", shown(raw.get()));
        return Err(ApiError::Invalid { field: None, message });
    }
    let Pairs(fields) = serde_json::from_str(raw.get()).map_err(|error| ApiError::BadJson(error.to_string()))?;
    let twice = match fields.as_slice() {
        [] | [_] => None,
        // Few names are compared faster than hashed.
        few if few.len() <= 16 => {
            few.iter().enumerate().find(|(at, (name, _))| few[..*at].iter().any(|(n, _)| n == name)).map(|(_, f)| &f.0)
        }
        many => {
            let mut names = HashSet::with_capacity(many.len());
            many.iter().map(|(name, _)| name).find(|name| !names.insert(name.as_str()))
        }
    };
    match twice {
        Some(twice) => Err(ApiError::invalid(twice, format!("{} stands in {what} twice", shown(twice)))),
        None => Ok(fields),
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
#[path = "object_tests.rs"]
mod tests;
