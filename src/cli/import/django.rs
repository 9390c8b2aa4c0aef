//! Django's records as ours: which models are taken, which field is which, what is wrong with a value.

use crate::{
    protocol::{Timestamp, UserId},
    records::import::{ImportNotification, ImportPresence, ImportRecord, ImportUser},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, collections::HashMap};

/// What a model is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    User,
    Notification,
    Presence,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::User, Self::Notification, Self::Presence];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Notification => "notifications",
            Self::Presence => "presence",
        }
    }

    /// The option that names its model.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::User => "--user-model",
            Self::Notification => "--notification-model",
            Self::Presence => "--presence-model",
        }
    }

    fn usual_names(self) -> &'static [&'static str] {
        match self {
            Self::User => &["user"],
            Self::Notification => &["notification"],
            Self::Presence => &["userpresence", "presence"],
        }
    }
}

/// How records are understood.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// `app.model`, lower case, where it was named.
    pub(super) models: [Option<String>; 3],
    /// The app's level and ours.
    pub(super) levels: Vec<(String, String)>,
}

/// A record of Django's, its fields unread.
#[derive(Deserialize)]
pub(super) struct Row<'a> {
    #[serde(borrow)]
    pub(super) model: Cow<'a, str>,
    #[serde(default)]
    pub(super) pk: Value,
    #[serde(borrow)]
    fields: &'a RawValue,
}

impl<'a> Row<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let right = "a record must be {\"model\": \"app.model\", \"pk\": …, \"fields\": {…}}";
        serde_json::from_str(text).map_err(|error| format!("{right}: {error}"))
    }
}

impl Reading {
    /// What a model is taken for; `None`: it is skipped.
    pub(super) fn kind_of(&self, model: &str) -> Option<Kind> {
        let model = model.to_ascii_lowercase();
        let name = model.rsplit('.').next().unwrap_or_default();
        Kind::ALL.into_iter().find(|kind| match &self.models[*kind as usize] {
            Some(named) => *named == model,
            None => kind.usual_names().contains(&name),
        })
    }

    /// The record as ours.
    pub(super) fn record(&self, kind: Kind, row: &Row<'_>) -> Result<ImportRecord, String> {
        let fields: HashMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(row.fields.get()).map_err(|_| "\"fields\" must be a JSON object".to_owned())?;
        let fields = Fields(fields);
        let record = match kind {
            Kind::User => ImportRecord::User(user(row, &fields)?),
            Kind::Notification => ImportRecord::Notification(self.notification(row, &fields)?),
            Kind::Presence => ImportRecord::Presence(presence(row, &fields)?),
        };
        record.check().map_err(|bad| bad.message)?;
        Ok(record)
    }

    fn notification(&self, row: &Row<'_>, fields: &Fields<'_>) -> Result<ImportNotification, String> {
        let key = row.pk.as_u64().ok_or_else(|| {
            format!("its pk is {}: ids of notifications are integers here, so it must be a positive one", row.pk)
        })?;
        let created_at = fields.time(&["created_at", "created", "timestamp"])?;
        Ok(ImportNotification {
            key,
            user: fields.user(&["user", "user_id", "recipient", "recipient_id"])?.ok_or("\"user\" is missing")?,
            title: fields.text(&["title", "subject"])?.ok_or("\"title\" is missing")?,
            message: fields.text(&["message", "body"])?.ok_or("\"message\" is missing")?,
            level: self.level(fields.text(&["level", "type", "notification_type"])?),
            data: fields.data()?,
            is_read: fields.is_read()?,
            created_at: created_at.ok_or("\"created_at\" is missing")?,
        })
    }

    fn level(&self, given: Option<String>) -> String {
        let Some(given) = given else { return "info".into() };
        let renamed = self.levels.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(&given));
        renamed.map_or_else(|| given.to_ascii_lowercase(), |(_, ours)| ours.clone())
    }
}

fn user(row: &Row<'_>, fields: &Fields<'_>) -> Result<ImportUser, String> {
    let name = |field: &'static str| fields.text(&[field]).map(Option::unwrap_or_default);
    Ok(ImportUser {
        user: user_id("pk", &row.pk)?,
        username: name("username")?,
        first_name: name("first_name")?,
        last_name: name("last_name")?,
        is_active: fields.bool(&["is_active"])?.unwrap_or(true),
        is_staff: fields.bool(&["is_staff"])?.unwrap_or(false),
    })
}

fn presence(row: &Row<'_>, fields: &Fields<'_>) -> Result<ImportPresence, String> {
    let user = match fields.user(&["user", "user_id"])? {
        Some(user) => user,
        // The user is the primary key.
        None => user_id("pk", &row.pk)?,
    };
    Ok(ImportPresence {
        user,
        last_seen: fields.time(&["last_seen"])?,
        last_activity: fields.time(&["last_activity"])?,
    })
}

fn user_id(field: &str, value: &Value) -> Result<UserId, String> {
    if value.is_array() {
        let right = "dump without --natural-foreign and --natural-primary";
        return Err(format!("{field:?} is the natural key {value}: {right}"));
    }
    if value.is_null() {
        return Err(format!("{field:?} is missing: dump without --natural-primary"));
    }
    UserId::from_wire(value).map_err(|error| format!("{field:?}: {error}"))
}

/// The fields of a record; the first of several names that is there counts.
struct Fields<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

impl Fields<'_> {
    /// `null` is as good as nothing.
    fn find(&self, names: &[&'static str]) -> Option<(&'static str, &RawValue)> {
        let found = |name: &&'static str| self.0.get(*name).map(|raw| (*name, *raw));
        names.iter().find_map(found).filter(|(_, raw)| raw.get() != "null")
    }

    fn user(&self, names: &[&'static str]) -> Result<Option<UserId>, String> {
        let Some((name, raw)) = self.find(names) else { return Ok(None) };
        let value = serde_json::from_str(raw.get()).map_err(|error| format!("{name:?}: {error}"))?;
        user_id(name, &value).map(Some)
    }

    fn text(&self, names: &[&'static str]) -> Result<Option<String>, String> {
        let Some((name, raw)) = self.find(names) else { return Ok(None) };
        let text = serde_json::from_str(raw.get());
        text.map(Some).map_err(|_| format!("{name:?} must be a string, not {}", shown(raw)))
    }

    fn bool(&self, names: &[&'static str]) -> Result<Option<bool>, String> {
        let Some((name, raw)) = self.find(names) else { return Ok(None) };
        let given = serde_json::from_str(raw.get());
        given.map(Some).map_err(|_| format!("{name:?} must be true or false, not {}", shown(raw)))
    }

    fn time(&self, names: &[&'static str]) -> Result<Option<Timestamp>, String> {
        let Some((name, raw)) = self.find(names) else { return Ok(None) };
        let time = serde_json::from_str(raw.get()).ok().and_then(|text: Cow<'_, str>| Timestamp::parse_or_utc(&text));
        let wrong = || format!("{name:?} must be a time like \"2026-11-24T08:30:00.123Z\", not {}", shown(raw));
        time.map(Some).ok_or_else(wrong)
    }

    fn is_read(&self) -> Result<bool, String> {
        if let Some(read) = self.bool(&["is_read", "read"])? {
            return Ok(read);
        }
        Ok(!self.bool(&["unread"])?.unwrap_or(true))
    }

    /// An object, or, from apps that keep JSON as text, its text.
    fn data(&self) -> Result<String, String> {
        let Some((name, raw)) = self.find(&["data", "extra_data", "metadata"]) else { return Ok("{}".into()) };
        if !raw.get().starts_with('"') {
            return Ok(raw.get().to_owned());
        }
        let text: String = serde_json::from_str(raw.get()).map_err(|error| format!("{name:?}: {error}"))?;
        Ok(if text.trim().is_empty() { "{}".into() } else { text.trim().to_owned() })
    }
}

fn shown(raw: &RawValue) -> String {
    raw.get().chars().take(60).collect()
}

#[cfg(test)]
mod tests;
