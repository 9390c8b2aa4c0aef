//! One line: a call with an id and an idempotency key of its own, and its answer.

use crate::{
    config::limits::INGEST_ID_BYTES_MAX,
    http::{
        ApiError, Object,
        answer::Answer,
        calls::{
            Task,
            functions::{self, CALLS_OF_LINES},
        },
        object,
        openapi::{Field, Kind, kind},
        position::POSITION,
        retry::{KEY, Retry},
    },
    protocol::Cursor,
    records::Idempotency,
};
use serde_json::value::RawValue;
use std::fmt::Write;

const ID: Field = Field::optional("id", Kind::Any, "Whatever tells the answer apart; at most 256 bytes of JSON.");
const IDEMPOTENCY_KEY: Field = Field::optional(
    "idempotency_key",
    KEY,
    "As the header `Idempotency-Key`, for this call; its scope are this key and `call`.",
);

/// What is read of a line.
const FIELDS: &[Field] = &[
    ID,
    Field::required("call", kind::TEXT, "The function's name."),
    Field::optional("args", Kind::Object, "Its arguments."),
    IDEMPOTENCY_KEY,
];

/// A line that is a good call.
pub(super) const LINE: Kind = Kind::Named("IngestLine", &Kind::Cases(FIELDS, CALLS_OF_LINES));

/// The line that answers it.
pub(super) const ANSWER: Kind = Kind::Named(
    "IngestAnswer",
    &Kind::Record(&[
        Field::required("id", Kind::Any, "As it was sent; `null` if there was none, or if the line could not be read."),
        Field::required("status", Kind::Integer { min: 200, max: 599 }, "As the call alone would be answered."),
        Field::required("body", Kind::Object, "As the call alone would be answered."),
        Field::optional("replayed", Kind::Bool, "`true` when this is the answer of the first call with this key."),
        Field::optional("position", POSITION, "Of a stored call: what `Carillon-Position` would say."),
    ]),
);

/// A call that was read.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) task: Task,
    pub(super) idempotency: Option<Idempotency>,
}

/// A line's id, as far as it could be read, and its call.
pub(super) fn read(line: &[u8]) -> (Option<Box<RawValue>>, Result<Call, ApiError>) {
    let object = object::parse(line).map_err(in_line).and_then(|raw| Object::of(raw, ("a line", FIELDS)));
    let (mut object, id) = match object.and_then(with_id) {
        Ok(read) => read,
        Err(error) => return (None, Err(error)),
    };
    let call = call(&mut object).and_then(|call| object.finish().map(|()| call));
    (id, call)
}

fn with_id(mut object: Object) -> Result<(Object, Option<Box<RawValue>>), ApiError> {
    let id = object.optional_value(ID.name)?;
    if let Some(id) = &id
        && id.get().len() > INGEST_ID_BYTES_MAX
    {
        return Err(ApiError::invalid(
            ID.name,
            format!("id has {} bytes; it may have {INGEST_ID_BYTES_MAX}", id.get().len()),
        ));
    }
    Ok((object, id))
}

fn call(object: &mut Object) -> Result<Call, ApiError> {
    let name = object.string("call")?;
    let args = object.optional_object("args")?;
    let key = object.optional_string(IDEMPOTENCY_KEY.name)?;
    let task = functions::task(&name, args.as_deref())?;
    let args = args.as_deref().map_or("", RawValue::get);
    let idempotency = key.map(|key| Retry::of_function(&key, &name, args).whole());
    Ok(Call { task, idempotency })
}

/// The same, said of a line.
fn in_line(error: ApiError) -> ApiError {
    match error {
        ApiError::BadJson(why) => ApiError::BadJson(format!("this line: {why}")),
        other => other,
    }
}

/// Adds the line that answers a call, with where in the log stands what it has stored.
pub(super) fn write(
    text: &mut String,
    id: Option<&RawValue>,
    (outcome, at): (&Result<Answer, ApiError>, Option<Cursor>),
) {
    let id = id.map_or("null", RawValue::get);
    // Writing to a string cannot fail.
    let _ = match outcome {
        Ok(answer) => {
            let replayed = if answer.is_replay { r#","replayed":true"# } else { "" };
            let _ = write!(text, r#"{{"id":{id},"status":{},"body":{}{replayed}"#, answer.status(), answer.body());
            let _ = at.map(|at| write!(text, r#","position":"{at}""#));
            writeln!(text, "}}")
        }
        Err(error) => writeln!(text, r#"{{"id":{id},"status":{},"body":{}}}"#, error.status().as_u16(), error.body()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    type Brief = (Option<String>, Result<(), (&'static str, Option<String>)>);

    fn brief(line: &str) -> Brief {
        let (id, call) = read(line.as_bytes());
        let call = call.map(|_| ()).map_err(|error| (error.code(), error.field().map(str::to_owned)));
        (id.map(|id| id.get().to_owned()), call)
    }

    #[test]
    fn a_line_says_what_is_wrong_and_keeps_its_id() {
        let notify = r#""call":"send_notification","args":{"user_id":1,"title":"t","message":"m"}"#;
        let long = format!(r#"{{"id":"{}",{notify}}}"#, "x".repeat(256));
        let invalid = |field: &str| Err(("invalid", Some(field.to_owned())));
        let table = [
            (format!(r#"{{"id":7,{notify}}}"#), Some("7"), Ok(())),
            (format!(r#"{{"id":{{"a": [1.50]}},{notify}}}"#), Some(r#"{"a": [1.50]}"#), Ok(())),
            (format!("{{{notify}}}"), None, Ok(())),
            (format!(r#"{{"id":null,{notify},"idempotency_key":"k"}}"#), None, Ok(())),
            (r#"{"id":7,"call":"nope"}"#.into(), Some("7"), invalid("call")),
            (r#"{"id":7}"#.into(), Some("7"), invalid("call")),
            (r#"{"id":7,"call":"send_notification"}"#.into(), Some("7"), invalid("user_id")),
            (r#"{"id":7,"call":"send_notification","args":[]}"#.into(), Some("7"), invalid("args")),
            (format!(r#"{{"id":7,{notify},"more":1}}"#), Some("7"), invalid("more")),
            (format!(r#"{{"id":7,{notify},"idempotency_key":"a b"}}"#), Some("7"), invalid("idempotency_key")),
            (long, None, invalid("id")),
            ("{".into(), None, Err(("bad_json", None))),
            ("[]".into(), None, Err(("invalid", None))),
        ];
        for (line, id, expected) in table {
            assert_eq!(brief(&line), (id.map(str::to_owned), expected), "{line}");
        }
    }

    #[test]
    fn only_the_same_call_has_the_same_identity() {
        let of = |key: &str, name: &str, args: &str| Retry::of_function(key, name, args).whole();
        let first = of("k", "send_notification", "{}");
        assert_eq!(of("k", "send_notification", "{}"), first);
        assert_ne!(of("l", "send_notification", "{}").key, first.key);
        assert_ne!(of("k", "group_send", "{}").key, first.key);
        let other = of("k", "send_notification", "{ }");
        assert!(other.key == first.key && other.body != first.body);
    }

    #[test]
    fn answers_are_lines() {
        let mut text = String::new();
        let id = RawValue::from_string("[1]".into()).expect("json");
        let at = Cursor { history: 7, pos: crate::protocol::Pos::new(1, 0) };
        write(&mut text, Some(&id), (&Ok(Answer::json(202, r#"{"recipients":1}"#.into())), None));
        write(&mut text, None, (&Err(ApiError::Overloaded), None));
        write(&mut text, None, (&Ok(Answer::json(201, r#"{"id":1}"#.into())), Some(at)));
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        assert!(lines.iter().all(|line| ANSWER.holds(line)), "{text}");
        assert_eq!((&lines[0]["id"], &lines[1]["status"]), (&serde_json::json!([1]), &serde_json::json!(503)));
        assert_eq!(lines[2]["position"], "0000000000000007-10000");
    }
}
