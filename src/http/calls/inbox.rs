//! A user's notifications: pages, counts, read state.

use super::{Shape, Task};
use crate::{
    http::{ApiError, answer::Answer, request::Request},
    protocol::{UserId, event::LEVELS, frames::NotificationView},
    records::{Op, Reply, inbox},
};
use serde::Serialize;
use serde_json::json;

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

/// `GET /users/{id}/notifications/unread-count` → `{count}`
pub(in crate::http) async fn unread_count(request: Request) -> Result<Answer, ApiError> {
    let user = request.user()?;
    request.query()?.finish()?;
    let count = request.api.inner.records.read(|rows| inbox::unread_count(rows, &request.tenant, &user))?;
    Ok(Answer::ok(&json!({"count": count})))
}

#[derive(Serialize)]
struct Page<'a> {
    data: Vec<NotificationView<'a>>,
    unread_count: u64,
    next_before: Option<u64>,
}

/// `GET /users/{id}/notifications?unread=&level=&limit=&before=` → `{data, unread_count, next_before}`
pub(in crate::http) async fn list(request: Request) -> Result<Answer, ApiError> {
    let user = request.user()?;
    let mut query = request.query()?;
    let filter = inbox::Filter {
        unread: query.bool("unread")?,
        level: query.one_of("level", &LEVELS)?,
        before: query.number("before")?,
        limit: query.limit()?,
    };
    query.finish()?;
    let page = request.api.inner.records.read(|rows| inbox::page(rows, (&request.tenant, &user), &filter))?;
    let data = page.items.iter().map(|(id, row, is_read)| inbox::view(*id, row, *is_read)).collect();
    Ok(Answer::ok(&Page { data, unread_count: page.unread, next_before: page.next_before }))
}
