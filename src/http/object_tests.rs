//! Objects as callers send them: what is read, and what is refused with which words.

use super::*;

const USERS: Kind = Kind::Many { of: &Kind::User, min: 1, max: 3, distinct: true };
const DECLARED: &[Field] = &[
    Field::optional("a", crate::http::openapi::kind::TEXT, ""),
    Field::optional("o", Kind::Object, ""),
    Field::optional("user_ids", USERS, ""),
];

fn code(body: &str) -> Result<(), (&'static str, Option<String>)> {
    let read = Object::parse(body.as_bytes(), DECLARED).and_then(|mut object| {
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
    for body in ["{}", r#"{"a":null,"o":null}"#, r#"{"a":"\ud83d\ude00 \\","o":{"x":"{[\"{["}}"#, " {\"a\":\"b\"} "] {
        assert_eq!(code(body), Ok(()), "{body}");
    }
}

#[test]
fn payloads_keep_their_digits() {
    let body = br#"{"o": {"n": 1.50, "m": 12345678901234567890123}}"#;
    let mut object = Object::parse(body, DECLARED).expect("json");
    let payload = object.optional_object("o").expect("an object").expect("there");
    assert_eq!(payload.get(), r#"{"n": 1.50, "m": 12345678901234567890123}"#);
}
