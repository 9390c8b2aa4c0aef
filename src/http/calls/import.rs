//! `POST /import`: what another system has, in pieces. Asking again is harmless.

use super::{Shape, Task, USER};
use crate::{
    config::limits::{IMPORT_KEY_MAX, IMPORT_RECORDS_MAX, NAME_CHARS_MAX, TITLE_CHARS_MAX},
    http::{
        ApiError, Object,
        answer::Answer,
        object::{missing, pairs, read_integer, shown, string},
        openapi::{
            Field, Kind, Operation,
            kind::{COUNT, TEXT},
        },
        request::Request,
    },
    protocol::{Timestamp, event::LEVELS},
    records::{
        Op, Reply,
        import::{ImportNotification, ImportOutcome, ImportPresence, ImportRecord, ImportUser},
    },
};
use serde_json::{json, value::RawValue};

const KINDS: &[&str] = &["user", "notification", "presence"];
const OUTCOMES: &[&str] = &["made", "same", "differs", "gone"];
const NAME: Kind = Kind::Text { min: 0, max: NAME_CHARS_MAX };

const KEY: Kind = Kind::Integer { min: 1, max: IMPORT_KEY_MAX };
const RESERVE: Kind = Kind::Integer { min: 0, max: IMPORT_KEY_MAX };

const USER_FIELDS: &[Field] = &[
    Field::required("kind", Kind::Choice(&["user"]), ""),
    USER,
    Field::optional("username", NAME, "Login name."),
    Field::optional("first_name", NAME, ""),
    Field::optional("last_name", NAME, ""),
    Field::optional("is_active", Kind::Bool, "`true` if it is left out."),
    Field::optional("is_staff", Kind::Bool, ""),
];
const NOTIFICATION_FIELDS: &[Field] = &[
    Field::required("kind", Kind::Choice(&["notification"]), ""),
    Field::required(
        "key",
        KEY,
        "The primary key. It becomes the id, moved up behind the ids that the tenant has given already.",
    ),
    USER,
    Field::required("title", Kind::Text { min: 1, max: TITLE_CHARS_MAX }, ""),
    Field::required("message", TEXT, ""),
    Field::optional("level", Kind::Choice(&LEVELS), "`info` if it is left out."),
    Field::optional("data", Kind::Object, ""),
    Field::optional("is_read", Kind::Bool, ""),
    Field::required("created_at", Kind::Time, "").example("\"2024-03-01T09:00:00Z\""),
];
const PRESENCE_FIELDS: &[Field] = &[
    Field::required("kind", Kind::Choice(&["presence"]), ""),
    USER,
    Field::optional("last_seen", Kind::Time, "Counts if it is later than what is known."),
    Field::optional("last_activity", Kind::Time, "Counts if it is later than what is known."),
];

/// `POST /import`
pub(in crate::http) const IMPORT: Operation = Operation::stores(
    "import",
    "Takes over what another system has, all of these records or none. No socket is told. Asking again is harmless.",
)
.takes(Kind::Arguments(&[
    Field::optional(
        "reserve",
        RESERVE,
        "The largest key still to come: notifications that are sent meanwhile get ids behind it.",
    ),
    Field::required(
        "records",
        Kind::Many {
            of: &Kind::Named(
                "ImportRecord",
                &Kind::OneOf(&[
                    Kind::Arguments(USER_FIELDS),
                    Kind::Arguments(NOTIFICATION_FIELDS),
                    Kind::Arguments(PRESENCE_FIELDS),
                ]),
            ),
            min: 0,
            max: IMPORT_RECORDS_MAX,
            distinct: false,
        },
        "",
    ),
]))
.answers(
    200,
    Kind::Record(&[
        Field::required(
            "results",
            Kind::Many { of: &Kind::Choice(OUTCOMES), min: 0, max: IMPORT_RECORDS_MAX, distinct: false },
            "In the order of the records. `same`: it was there; `differs`: another one is there and stays; `gone`: it \
             was imported before and has been deleted since.",
        ),
        Field::required("ids_moved_by", COUNT, "How far ids of the newest notifications are above their keys."),
    ]),
);

/// Records to take over; all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// Keep ids for notifications with keys up to this one.
    pub reserve: u64,
    /// At most 1,000.
    pub records: Vec<ImportRecord>,
}

impl Import {
    /// `{reserve?, records: [{kind, …}…]}`
    pub(super) fn read(object: &mut Object) -> Result<Self, ApiError> {
        let reserve = match object.optional_value("reserve")? {
            Some(raw) => read_integer("reserve", &RESERVE, &raw)?,
            None => 0,
        };
        let rows = object.array("records")?;
        let mut records = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            records.push(record(row).map_err(|error| within(place, error))?);
        }
        Ok(Self { reserve, records })
    }

    pub(crate) fn task(self) -> Result<Task, ApiError> {
        for (place, record) in self.records.iter().enumerate() {
            let checked = record.check();
            checked.map_err(|bad| within(place, ApiError::invalid(bad.field, bad.message)))?;
        }
        Ok(Task::Change(Op::Import { reserve: self.reserve, records: self.records }, Shape::Imported))
    }
}

/// Says which record it is about.
fn within(place: usize, error: ApiError) -> ApiError {
    match error {
        ApiError::Invalid { field, message } => {
            let field = field.map_or_else(|| format!("records[{place}]"), |field| format!("records[{place}].{field}"));
            ApiError::Invalid { field: Some(field), message: format!("records[{place}]: {message}") }
        }
        other => other,
    }
}

fn record(row: &RawValue) -> Result<ImportRecord, ApiError> {
    let kind = pairs(row, "a record")?.into_iter().find(|(name, _)| name == "kind");
    let kind = match kind {
        Some((_, kind)) => string("kind", &kind)?,
        None => return Err(missing("kind", &Kind::Choice(KINDS).described())),
    };
    Kind::Choice(KINDS).check_text("kind", &kind)?;
    let declared = match kind.as_str() {
        "user" => USER_FIELDS,
        "notification" => NOTIFICATION_FIELDS,
        _ => PRESENCE_FIELDS,
    };
    let mut object = Object::of(row, ("a record", declared))?;
    object.string("kind")?;
    let record = match kind.as_str() {
        "user" => ImportRecord::User(ImportUser {
            user: object.user("user_id")?,
            username: object.optional_string("username")?.unwrap_or_default(),
            first_name: object.optional_string("first_name")?.unwrap_or_default(),
            last_name: object.optional_string("last_name")?.unwrap_or_default(),
            is_active: object.optional_bool("is_active")?.unwrap_or(true),
            is_staff: object.optional_bool("is_staff")?.unwrap_or(false),
        }),
        "notification" => ImportRecord::Notification(ImportNotification {
            key: read_integer("key", &KEY, &object.value("key")?)?,
            user: object.user("user_id")?,
            title: object.string("title")?,
            message: object.string("message")?,
            level: object.optional_string("level")?.unwrap_or_else(|| "info".into()),
            data: object.optional_object("data")?.map_or_else(|| "{}".into(), |data| data.get().to_owned()),
            is_read: object.optional_bool("is_read")?.unwrap_or(false),
            created_at: time("created_at", &object.string("created_at")?)?,
        }),
        _ => ImportRecord::Presence(ImportPresence {
            user: object.user("user_id")?,
            last_seen: object.optional_string("last_seen")?.map(|text| time("last_seen", &text)).transpose()?,
            last_activity: object
                .optional_string("last_activity")?
                .map(|text| time("last_activity", &text))
                .transpose()?,
        }),
    };
    object.finish()?;
    Ok(record)
}

fn time(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse(text).ok_or_else(|| {
        let text = shown(text);
        ApiError::invalid(
            name,
            format!("{name} must be a time with its offset, like 2026-11-24T08:30:00Z, not {text:?}"),
        )
    })
}

/// 200 `{results: ["made" | "same" | "differs" | "gone"…], ids_moved_by}`
pub(super) fn answer(reply: &Reply) -> Result<Answer, ApiError> {
    let Reply::Imported { outcomes, shift } = reply else { return Err(ApiError::Internal) };
    let results: Vec<_> = outcomes.iter().map(|outcome| name(*outcome)).collect();
    Ok(Answer::ok(&json!({"results": results, "ids_moved_by": shift})))
}

fn name(outcome: ImportOutcome) -> &'static str {
    match outcome {
        ImportOutcome::Made => "made",
        ImportOutcome::Same => "same",
        ImportOutcome::Differs => "differs",
        ImportOutcome::Gone => "gone",
    }
}

/// `POST /import`
pub(in crate::http) async fn import(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let call = Import::read(&mut object)?;
    object.finish()?;
    request.run(call.task()?).await
}
