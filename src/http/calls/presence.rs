//! Who is online, on whatever node; when somebody was last seen.

use super::POS;
use crate::{
    config::limits::USER_IDS_MAX,
    http::{
        Api, ApiError,
        answer::Answer,
        object::no_repeats,
        openapi::{
            Field, Kind, Operation,
            kind::{COUNT, TEXT, USER_TEXT},
        },
        request::{LIMIT, Request},
    },
    protocol::{Cursor, Pos, Tenant, UserId, frames},
    records::{RecordsError, presence, rows::Presence},
};
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

const USER: Field = Field::required("user_id", Kind::User, "");
const IS_ONLINE: Field = Field::required("is_online", Kind::Bool, "");
const LAST_SEEN: Field =
    Field::required("last_seen", Kind::OneOf(&[Kind::Time, Kind::Null]), "When the user last went offline.");
const LAST_ACTIVITY: Field =
    Field::required("last_activity", Kind::OneOf(&[Kind::Time, Kind::Null]), "When the user last did something.");
const CONNECTIONS: Field = Field::required("connections", COUNT, "Presence sockets, on all nodes.");
const PARTIAL: Field = Field::optional("partial", Kind::Bool, "`true`: not every node has said how many.");
const PRESENCE: Kind =
    Kind::Named("Presence", &Kind::Record(&[USER, IS_ONLINE, LAST_SEEN, LAST_ACTIVITY, CONNECTIONS, PARTIAL]));
const ONE: Kind = Kind::Record(&[USER, IS_ONLINE, LAST_SEEN, LAST_ACTIVITY, CONNECTIONS, PARTIAL, POS]);
const PERSON: Kind = Kind::Named(
    "Person",
    &Kind::Record(&[
        Field::required("user_id", Kind::User, ""),
        Field::required("username", TEXT, ""),
        Field::required("first_name", TEXT, ""),
        Field::required("last_name", TEXT, ""),
    ]),
);

/// `GET /presence`
pub(in crate::http) const ONLINE: Operation = Operation::reads(
    "listPresence",
    "Who is online, in the order of coming online; or, with `user_ids`, what is known of these users.",
)
.query(&[
    Field::optional(
        "user_ids",
        Kind::Many { of: &USER_TEXT, min: 1, max: USER_IDS_MAX, distinct: true },
        "Users to ask for. All are answered, so `limit` and `after` are refused beside it.",
    ),
    LIMIT,
    Field::optional("after", COUNT, "Those who came online later: `next_after` of the page before."),
])
.answers(
    200,
    Kind::OneOf(&[
        Kind::Record(&[
            Field::required("online", Kind::Many { of: &PERSON, min: 0, max: 200, distinct: false }, ""),
            Field::required(
                "next_after",
                Kind::OneOf(&[TEXT, Kind::Null]),
                "For the next page; `null` when this is the last.",
            ),
            POS,
        ]),
        Kind::Record(&[
            Field::required(
                "online",
                Kind::Many { of: &PRESENCE, min: 0, max: 1_000, distinct: false },
                "Those who are online.",
            ),
            Field::required(
                "users",
                Kind::Many { of: &PRESENCE, min: 1, max: 1_000, distinct: false },
                "All that were asked for.",
            ),
            POS,
        ]),
    ]),
);
/// `GET /users/{id}/presence`
pub(in crate::http) const OF_USER: Operation =
    Operation::reads("getPresence", "Whether a user is online, and since when not. Who was never seen is offline.")
        .answers(200, ONE);

#[derive(serde::Serialize)]
struct Page<'a> {
    online: Vec<&'a RawValue>,
    next_after: Option<String>,
    pos: String,
}

/// `GET /presence?limit=&after=` → `{online: [person…], next_after, pos}`, in the order of coming online;
/// `GET /presence?user_ids=1,2` → `{online: [presence…], users: [presence…], pos}`: all that were asked for, and those of
/// them who are online.
pub(in crate::http) async fn online(request: Request) -> Result<Answer, ApiError> {
    let query = &request.query;
    if let Some(list) = query.raw("user_ids") {
        if let Some(beside) = ["limit", "after"].into_iter().find(|name| query.raw(name).is_some()) {
            return Err(ApiError::invalid(beside, format!("with user_ids all are answered: leave {beside} out")));
        }
        return some(&request, list).await;
    }
    let (limit, after) = (query.limit()?, query.number("after")?.unwrap_or(0));
    let records = &request.api.inner.records;
    let (mut page, at) = records.online_page(&request.tenant, Pos(after), limit + 1);
    let more = page.len() > limit;
    page.truncate(limit);
    Ok(page_answer(&page, more, records.cursor(at)))
}

fn page_answer(page: &[(Pos, Arc<str>)], more: bool, at: Cursor) -> Answer {
    // Entries are encoded when somebody comes online.
    let online = page.iter().map(|(_, person)| serde_json::from_str(person).unwrap_or(RawValue::NULL)).collect();
    let last = page.last().map(|(at, _)| at.0.to_string());
    Answer::ok(&Page { online, next_after: last.filter(|_| more), pos: at.to_string() })
}

async fn some(request: &Request, list: &str) -> Result<Answer, ApiError> {
    let wrong = |why: String| ApiError::invalid("user_ids", why);
    let ids: Vec<&str> = list.split(',').take(USER_IDS_MAX + 1).collect();
    if ids.len() > USER_IDS_MAX {
        return Err(wrong(format!("user_ids names more than {USER_IDS_MAX} users")));
    }
    let users: Vec<UserId> = ids
        .into_iter()
        .map(|id| UserId::new(id).map_err(|error| wrong(error.to_string())))
        .collect::<Result<_, _>>()?;
    no_repeats("user_ids", &users)?;
    let (all, at) = request.api.presences(&request.tenant, &users).await?;
    let online: Vec<&Value> = all.iter().filter(|one| one["is_online"] == true).collect();
    Ok(Answer::ok(&json!({"online": online, "users": all, "pos": at.to_string()})))
}

/// `GET /users/{id}/presence` → `{user_id, is_online, last_seen, last_activity, connections, pos}`
pub(in crate::http) async fn presence_of(request: Request) -> Result<Answer, ApiError> {
    let user = request.user()?;
    let (mut all, at) = request.api.presences(&request.tenant, &[user]).await?;
    let mut one = all.pop().unwrap_or_default();
    one["pos"] = at.to_string().into();
    Ok(Answer::ok(&one))
}

impl Api {
    /// A user whom nobody ever saw is offline like any other. `connections`: presence sockets on all nodes; `partial`
    /// if some could not say in time. All rows are read together, as they stand at the cursor.
    async fn presences(&self, tenant: &Tenant, users: &[UserId]) -> Result<(Vec<Value>, Cursor), RecordsError> {
        let elsewhere = self.inner.node.connections_elsewhere(tenant, users).await;
        let connections = |nth: usize| elsewhere.as_ref().and_then(|counts| counts.get(nth).copied());
        let records = &self.inner.records;
        let (rows, at) = records.read_at(|rows| {
            users.iter().map(|user| Ok(presence::of(rows, tenant, user)?.unwrap_or_default())).collect()
        })?;
        let rows: Vec<Presence> = rows;
        let shown = users.iter().zip(&rows).enumerate();
        let all = shown.map(|(nth, (user, row))| self.presence(tenant, (user, row), connections(nth))).collect();
        Ok((all, records.cursor(at)))
    }

    fn presence(&self, tenant: &Tenant, (user, row): (&UserId, &Presence), elsewhere: Option<u32>) -> Value {
        let recent = self.inner.desk.recent_activity(tenant, user);
        let mut shown = json!({
            "user_id": user.wire(),
            "is_online": row.online_since.is_some(),
            "last_seen": frames::optional_time(row.last_seen),
            "last_activity": frames::optional_time(row.last_activity.max(recent)),
            "connections": self.inner.desk.connections(tenant, user) + elsewhere.unwrap_or(0),
        });
        if elsewhere.is_none() {
            shown["partial"] = true.into();
        }
        shown
    }
}
