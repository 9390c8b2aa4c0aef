//! A user's notifications: pages, counts, read state.

use super::{POS, Shape, Task};
use crate::{
    config::limits::PAGE_MAX,
    http::{
        ApiError,
        answer::Answer,
        openapi::{
            Field, Kind, Operation,
            kind::{COUNT, TEXT},
        },
        request::{BEFORE, LIMIT, Request},
    },
    protocol::{UserId, event::LEVELS, frames::NotificationView},
    records::{Op, Reply, inbox},
};
use serde::Serialize;
use serde_json::json;

/// A page of an inbox.
pub(in crate::http) const LIST: Operation =
    Operation::reads("listNotifications", "A user's notifications, newest first.")
        .query(&[
            Field::optional("unread", Kind::Bool, "Only those that are unread, or only those that are read."),
            Field::optional("level", Kind::Choice(&LEVELS), "Only those of this level."),
            LIMIT,
            BEFORE,
        ])
        .answers(
            200,
            Kind::Record(&[
                Field::required("data", Kind::Many { of: &NOTIFICATION, min: 0, max: PAGE_MAX, distinct: false }, ""),
                Field::required("unread_count", COUNT, "Of all that the user has."),
                Field::required("next_before", NEXT, "For the next page; `null` when this is the last."),
                POS,
            ]),
        );
const NOTIFICATION: Kind = Kind::Named(
    "Notification",
    &Kind::Record(&[
        Field::required("id", COUNT, ""),
        Field::required("title", TEXT, ""),
        Field::required("message", TEXT, ""),
        Field::required("level", TEXT, ""),
        Field::required("is_read", Kind::Bool, ""),
        Field::required("created_at", Kind::Time, ""),
        Field::required("data", Kind::Object, ""),
    ]),
);
/// A cursor, or the end.
pub(super) const NEXT: Kind = Kind::OneOf(&[COUNT, Kind::Null]);
const UNREAD_COUNT: Kind = Kind::Record(&[Field::required("unread_count", COUNT, "Of all that the user has.")]);

/// `GET …/unread-count`
pub(in crate::http) const COUNT_UNREAD: Operation =
    Operation::reads("countUnread", "How many notifications of a user are unread.")
        .answers(200, Kind::Record(&[Field::required("count", COUNT, ""), POS]));
/// `POST …/read-all`
pub(in crate::http) const READ_ALL: Operation =
    Operation::stores("markAllRead", "Marks all notifications of a user read, and tells the user's windows.")
        .answers(200, UNREAD_COUNT);
/// `POST …/read`
pub(in crate::http) const READ: Operation =
    Operation::stores("markRead", "Marks a notification read, and tells the user's windows.")
        .answers(200, UNREAD_COUNT)
        .fails(&["not_found"]);
/// `POST …/unread`
pub(in crate::http) const UNREAD: Operation =
    Operation::stores("markUnread", "Marks a notification unread, and tells the user's windows.")
        .answers(200, UNREAD_COUNT)
        .fails(&["not_found"]);
/// `DELETE …/{nid}`
pub(in crate::http) const DELETE: Operation =
    Operation::stores("deleteNotification", "Deletes a notification, and tells the user's windows.")
        .answers(200, UNREAD_COUNT)
        .fails(&["not_found"]);

/// A change to an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeInbox {
    /// Whose inbox.
    pub user: UserId,
    /// What to change.
    pub change: InboxChange,
}

/// What changes in an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboxChange {
    /// One is read.
    Read(u64),
    /// One is unread again.
    Unread(u64),
    /// All are read.
    ReadAll,
    /// One goes.
    Delete(u64),
}

impl ChangeInbox {
    pub(crate) fn task(self) -> Task {
        let user = self.user;
        let (op, id) = match self.change {
            InboxChange::Read(id) => (Op::SetRead { user, id, read: true, actor: None }, Some(id)),
            InboxChange::Unread(id) => (Op::SetRead { user, id, read: false, actor: None }, Some(id)),
            InboxChange::ReadAll => (Op::ReadAll { user, actor: None }, None),
            InboxChange::Delete(id) => (Op::DeleteNotification { user, id }, Some(id)),
        };
        Task::Change(op, Shape::Unread(id))
    }
}

/// 200 `{unread_count}`; 404 when there is no such notification in this inbox.
pub(super) fn answer(id: Option<u64>, reply: &Reply) -> Result<Answer, ApiError> {
    match (reply, id) {
        (Reply::Inbox { found: false, .. }, Some(id)) => {
            Err(ApiError::not_found(format!("this user has no notification {id}")))
        }
        (Reply::Inbox { unread, .. }, _) => Ok(Answer::ok(&json!({"unread_count": unread}))),
        _ => Err(ApiError::Internal),
    }
}

async fn change(request: Request, change: fn(u64) -> InboxChange) -> Result<Answer, ApiError> {
    let change = change(request.number_id("nid", 1)?);
    request.no_fields()?;
    let task = ChangeInbox { user: request.user()?, change }.task();
    request.run(task).await
}

/// `POST /users/{id}/notifications/{nid}/read`
pub(in crate::http) async fn read(request: Request) -> Result<Answer, ApiError> {
    change(request, InboxChange::Read).await
}

/// `POST /users/{id}/notifications/{nid}/unread`
pub(in crate::http) async fn unread(request: Request) -> Result<Answer, ApiError> {
    change(request, InboxChange::Unread).await
}

/// `DELETE /users/{id}/notifications/{nid}`
pub(in crate::http) async fn delete(request: Request) -> Result<Answer, ApiError> {
    change(request, InboxChange::Delete).await
}

/// `POST /users/{id}/notifications/read-all`
pub(in crate::http) async fn read_all(request: Request) -> Result<Answer, ApiError> {
    request.no_fields()?;
    let task = ChangeInbox { user: request.user()?, change: InboxChange::ReadAll }.task();
    request.run(task).await
}

/// `GET /users/{id}/notifications/unread-count` → `{count, pos}`
pub(in crate::http) async fn unread_count(request: Request) -> Result<Answer, ApiError> {
    let user = request.user()?;
    let records = &request.api.inner.records;
    let (count, at) = records.read_at(|rows| inbox::unread_count(rows, &request.tenant, &user))?;
    Ok(Answer::ok(&json!({"count": count, "pos": records.cursor(at).to_string()})))
}

#[derive(Serialize)]
struct Page<'a> {
    data: Vec<NotificationView<'a>>,
    unread_count: u64,
    next_before: Option<u64>,
    pos: String,
}

/// `GET /users/{id}/notifications?unread=&level=&limit=&before=` → `{data, unread_count, next_before, pos}`
pub(in crate::http) async fn list(request: Request) -> Result<Answer, ApiError> {
    let user = request.user()?;
    let query = &request.query;
    let filter = inbox::Filter {
        unread: query.bool("unread")?,
        level: query.text("level")?,
        before: query.number("before")?,
        limit: query.limit()?,
    };
    let records = &request.api.inner.records;
    let (page, at) = records.read_at(|rows| inbox::page(rows, (&request.tenant, &user), &filter))?;
    let pos = records.cursor(at).to_string();
    let data = page.items.iter().map(|(id, row, is_read)| inbox::view(*id, row, *is_read)).collect();
    Ok(Answer::ok(&Page { data, unread_count: page.unread, next_before: page.next_before, pos }))
}
