//! What a value of the server API may be. One description: readers hold what comes in against it, and the document
//! shows it, so the two cannot differ.

use super::{super::object::shown, Field};
use crate::{
    http::ApiError,
    protocol::{GroupName, JSON_INTEGER_MAX, USER_ID_BYTES_MAX, UserId},
};
use serde_json::Value;

/// No bound of its own: the body's limit holds.
pub(in crate::http) const UNBOUNDED: usize = usize::MAX;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) enum Kind {
    /// A user id: an integer, or text of the id alphabet.
    User,
    /// Text that `matches`, and `pattern` says the same as a regular expression.
    Pattern { pattern: &'static str, matches: fn(&str) -> bool },
    /// Text of so many characters.
    Text { min: usize, max: usize },
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// An integer; `7.0` is one.
    Integer { min: u64, max: u64 },
    /// Any number.
    Number,
    /// `true` or `false`.
    Bool,
    /// RFC 3339.
    Time,
    /// `null`
    Null,
    /// A JSON object; what is in it is the backend's business.
    Object,
    /// No JSON: a file.
    Bytes,
    /// Any JSON value.
    Any,
    /// An array; `distinct` when no element may come twice.
    Many { of: &'static Kind, min: usize, max: usize, distinct: bool },
    /// An object that the server reads: these fields and no others; `null` is as good as leaving one out.
    Arguments(&'static [Field]),
    /// An object whose fields depend on each other: readers know these fields, and one of the cases must fit.
    Cases(&'static [Field], &'static [Kind]),
    /// An object that the server writes: these fields and no others.
    Record(&'static [Field]),
    /// An object with these fields, and perhaps more.
    Open(&'static [Field]),
    /// One of these.
    OneOf(&'static [Kind]),
    /// A kind with a name, shown once under `components`.
    Named(&'static str, &'static Kind),
}

/// Free text.
pub(in crate::http) const TEXT: Kind = Kind::Text { min: 0, max: UNBOUNDED };
/// A count, an id, a cursor.
pub(in crate::http) const COUNT: Kind = Kind::Integer { min: 0, max: u64::MAX };
/// `server.node_id`.
pub(in crate::http) const NODE: Kind = Kind::Integer { min: 1, max: 65_535 };
/// A user id in a path or a query, where everything is text.
pub(in crate::http) const USER_TEXT: Kind =
    Kind::Pattern { pattern: USER_PATTERN, matches: |text| UserId::new(text).is_ok() };

/// A group in a path; see [`GroupName::parse`].
pub(in crate::http) const GROUP: Kind = Kind::Pattern {
    pattern: "^(admin_dashboard|subscription_admin|presence|(dashboard|subscriptions|notifications)_user_[A-Za-z0-9_.@+-]{1,64})$",
    matches: |text| GroupName::parse(text).is_ok(),
};

/// The alphabet of [`UserId`].
pub(super) const USER_PATTERN: &str = "^[A-Za-z0-9_.@+-]{1,64}$";
const _: () = assert!(USER_ID_BYTES_MAX == 64, "USER_PATTERN says 64");

impl Kind {
    /// The fields of an object whose fields are read one by one; none if they are not.
    pub(in crate::http) fn fields(&self) -> &'static [Field] {
        match self {
            Self::Arguments(fields) | Self::Cases(fields, _) => fields,
            Self::Named(_, kind) => kind.fields(),
            _ => &[],
        }
    }

    /// For messages: `… is missing: it must be …`
    pub(in crate::http) fn described(&self) -> String {
        match self {
            Self::User => "a user id: a JSON integer or a string".into(),
            Self::Pattern { pattern, .. } => format!("a string of the pattern {pattern}"),
            Self::Text { .. } | Self::Time => "a string".into(),
            Self::Choice(known) => format!("one of {}", known.join(", ")),
            Self::Integer { .. } => "a non-negative integer".into(),
            Self::Number => "a number".into(),
            Self::Bool => "true or false".into(),
            Self::Null => "null".into(),
            Self::Bytes => "a file".into(),
            Self::Any => "a JSON value".into(),
            Self::Many { of, .. } => format!("an array, each entry {}", of.described()),
            Self::Object | Self::Arguments(_) | Self::Cases(..) | Self::Record(_) | Self::Open(_) => {
                "a JSON object".into()
            }
            Self::OneOf(kinds) => {
                let mut all: Vec<_> = kinds.iter().map(Self::described).collect();
                all.dedup();
                all.join(", or ")
            }
            Self::Named(_, kind) => kind.described(),
        }
    }

    /// Holds a text that has been read against the bounds.
    pub(in crate::http) fn check_text(&self, name: &str, text: &str) -> Result<(), ApiError> {
        match self {
            Self::Text { min, max } => {
                let chars = text.chars().count();
                if (*min..=*max).contains(&chars) {
                    return Ok(());
                }
                Err(ApiError::invalid(name, format!("{name} must have {min} to {max} characters, not {chars}")))
            }
            Self::Choice(known) if !known.contains(&text) => {
                let message = format!("{name} must be one of {}, not {:?}", known.join(", "), shown(text));
                Err(ApiError::invalid(name, message))
            }
            Self::Pattern { pattern, matches } if !matches(text) => {
                let message = format!("{name} must be text of the pattern {pattern}, not {:?}", shown(text));
                Err(ApiError::invalid(name, message))
            }
            _ => Ok(()),
        }
    }

    /// Holds a number that has been read against the bounds.
    pub(in crate::http) fn check_number(&self, name: &str, number: u64) -> Result<(), ApiError> {
        match self {
            Self::Integer { min, max } if !(*min..=*max).contains(&number) => {
                Err(ApiError::invalid(name, format!("{name} must be {min} to {max}, not {number}")))
            }
            _ => Ok(()),
        }
    }

    /// Holds a number of elements against the bounds.
    pub(in crate::http) fn check_count(&self, name: &str, count: usize) -> Result<(), ApiError> {
        match self {
            Self::Many { min, max, .. } if !(*min..=*max).contains(&count) => {
                Err(ApiError::invalid(name, format!("{name} must have {min} to {max} entries, not {count}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether a value is of this kind. Development builds ask it of all that was accepted and of every answer.
    pub(in crate::http) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::User => UserId::from_wire(value).is_ok(),
            Self::Pattern { .. } | Self::Text { .. } | Self::Choice(_) => {
                value.as_str().is_some_and(|text| self.check_text("", text).is_ok())
            }
            Self::Integer { .. } => integer(value).is_some_and(|number| self.check_number("", number).is_ok()),
            Self::Number => value.is_number(),
            Self::Bool => value.is_boolean(),
            Self::Time => value.is_string(),
            Self::Null => value.is_null(),
            Self::Object => value.is_object(),
            Self::Any => true,
            Self::Bytes => false,
            Self::Many { of, .. } => value.as_array().is_some_and(|elements| {
                self.check_count("", elements.len()).is_ok() && elements.iter().all(|element| of.holds(element))
            }),
            Self::Arguments(fields) => has(fields, value, (true, false)),
            Self::Record(fields) => has(fields, value, (false, false)),
            Self::Open(fields) => has(fields, value, (false, true)),
            Self::OneOf(kinds) | Self::Cases(_, kinds) => kinds.iter().any(|kind| kind.holds(value)),
            Self::Named(_, kind) => kind.holds(value),
        }
    }
}

/// A non-negative integer, as JSON Schema has it: a number without a fraction, however it is written.
pub(in crate::http) fn integer(value: &Value) -> Option<u64> {
    let whole = |number: &f64| number.fract() == 0.0 && (0.0..=JSON_INTEGER_MAX as f64).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(whole).map(|number| number as u64))
}

fn has(fields: &[Field], value: &Value, (null_is_nothing, is_open): (bool, bool)) -> bool {
    let Some(object) = value.as_object() else { return false };
    let each = fields.iter().all(|field| match object.get(field.name) {
        None => !field.is_required,
        Some(Value::Null) if null_is_nothing && !field.is_required => true,
        Some(value) => field.kind.holds(value),
    });
    each && (is_open || object.keys().all(|name| fields.iter().any(|field| field.name == name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FIELDS: &[Field] = &[
        Field::required("n", Kind::Integer { min: 1, max: 3 }, ""),
        Field::optional("t", Kind::Text { min: 1, max: 2 }, ""),
        Field::optional("c", Kind::Choice(&["a", "b"]), ""),
    ];

    #[test]
    fn a_value_is_of_its_kind_or_not() {
        let (read, written, open) = (Kind::Arguments(FIELDS), Kind::Record(FIELDS), Kind::Open(FIELDS));
        let table = [
            (json!({"n": 1}), [true, true, true]),
            (json!({"n": 3, "t": "üü", "c": "b"}), [true, true, true]),
            (json!({"n": 1, "t": null}), [true, false, false]),
            (json!({"n": 1, "x": 1}), [false, false, true]),
            (json!({"n": 0}), [false; 3]),
            (json!({"n": 4}), [false; 3]),
            (json!({"n": 1.0}), [true; 3]),
            (json!({"n": 1.5}), [false; 3]),
            (json!({"n": -1.0}), [false; 3]),
            (json!({"n": null}), [false; 3]),
            (json!({"n": 1, "t": ""}), [false; 3]),
            (json!({"n": 1, "t": "üüü"}), [false; 3]),
            (json!({"n": 1, "c": "z"}), [false; 3]),
            (json!({}), [false; 3]),
            (json!([]), [false; 3]),
        ];
        for (value, expected) in table {
            assert_eq!([read, written, open].map(|kind| kind.holds(&value)), expected, "{value}");
        }
    }
}
