//! `POST /import`: what another system has, in pieces. Asking again is harmless.

use super::{Shape, Task};
use crate::{
    config::limits::{IMPORT_KEY_MAX, IMPORT_RECORDS_MAX},
    http::{ApiError, Object, answer::Answer, object::missing, request::Request},
    protocol::Timestamp,
    records::{
        Op, Reply,
        import::{ImportNotification, ImportOutcome, ImportPresence, ImportRecord, ImportUser},
    },
};
use serde_json::json;

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
        let reserve = object.optional_number("reserve", (0, IMPORT_KEY_MAX))?.unwrap_or(0);
        let rows = object.optional_array("records", (0, IMPORT_RECORDS_MAX))?;
        let rows = rows.ok_or_else(|| missing("records", "an array of records"))?;
        let mut records = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            let read = Object::of(row, "a record").and_then(record);
            records.push(read.map_err(|error| within(place, error))?);
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

fn record(mut object: Object) -> Result<ImportRecord, ApiError> {
    let kind = object.string("kind")?;
    let record = match kind.as_str() {
        "user" => ImportRecord::User(ImportUser {
            user: object.user("user_id")?,
            username: object.optional_string("username")?.unwrap_or_default(),
            first_name: object.optional_string("first_name")?.unwrap_or_default(),
            last_name: object.optional_string("last_name")?.unwrap_or_default(),
            is_active: object.optional_bool("is_active")?.unwrap_or(true),
            is_staff: object.optional_bool("is_staff")?.unwrap_or(false),
        }),
        "notification" => {
            let key = object.optional_number("key", (1, IMPORT_KEY_MAX))?;
            ImportRecord::Notification(ImportNotification {
                key: key.ok_or_else(|| missing("key", "the other system's primary key, an integer"))?,
                user: object.user("user_id")?,
                title: object.string("title")?,
                message: object.string("message")?,
                level: object.optional_string("level")?.unwrap_or_else(|| "info".into()),
                data: object.optional_object("data")?.map_or_else(|| "{}".into(), |data| data.get().to_owned()),
                is_read: object.optional_bool("is_read")?.unwrap_or(false),
                created_at: time(&mut object, "created_at")?
                    .ok_or_else(|| missing("created_at", "a time, like 2026-11-24T08:30:00Z"))?,
            })
        }
        "presence" => ImportRecord::Presence(ImportPresence {
            user: object.user("user_id")?,
            last_seen: time(&mut object, "last_seen")?,
            last_activity: time(&mut object, "last_activity")?,
        }),
        other => {
            return super::one_of("kind", other, &["user", "notification", "presence"]).and(Err(ApiError::Internal));
        }
    };
    object.finish()?;
    Ok(record)
}

fn time(object: &mut Object, name: &'static str) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = object.optional_string(name)? else { return Ok(None) };
    let wrong = || {
        let text = crate::http::object::shown(&text);
        ApiError::invalid(
            name,
            format!("{name} must be a time with its offset, like 2026-11-24T08:30:00Z, not {text:?}"),
        )
    };
    Timestamp::parse(&text).map(Some).ok_or_else(wrong)
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
