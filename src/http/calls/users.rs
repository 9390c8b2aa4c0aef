//! The directory of users, erasing them, and closing their sockets.

use super::{Shape, Task};
use crate::{
    broker::CloseTarget,
    config::limits::{NAME_CHARS_MAX, RECIPIENTS_WAIT},
    http::{
        Api, ApiError, Object,
        answer::Answer,
        openapi::{
            Field, Kind, Operation,
            kind::{COUNT, TEXT},
        },
        request::Request,
    },
    protocol::{Close, Tenant, UserId},
    records::{Op, Reply, directory, retention},
    tally::Recipients,
};
use serde_json::json;

pub(super) const USERNAME: Field =
    Field::required("username", Kind::Text { min: 1, max: NAME_CHARS_MAX }, "Login name.").example("\"ada\"");
pub(super) const NAME: Kind = Kind::Text { min: 0, max: NAME_CHARS_MAX };
/// A user's row.
const USER_ROW: Kind = Kind::Named(
    "User",
    &Kind::Record(&[
        Field::required("user_id", Kind::User, ""),
        Field::required("username", TEXT, ""),
        Field::required("first_name", TEXT, ""),
        Field::required("last_name", TEXT, ""),
        Field::required("is_active", Kind::Bool, ""),
        Field::required("is_staff", Kind::Bool, ""),
    ]),
);

/// `PUT /users/{id}`
pub(in crate::http) const PUT: Operation =
    Operation::stores("putUser", "States what a user is; what is left out stays as it is.")
        .takes(Kind::Arguments(&[
            USERNAME,
            Field::optional("first_name", NAME, ""),
            Field::optional("last_name", NAME, ""),
            Field::optional(
                "is_active",
                Kind::Bool,
                "`false` closes every socket of the user, and no token opens one.",
            ),
            Field::optional("is_staff", Kind::Bool, "`false` closes the user's admin sockets."),
        ]))
        .answers(200, USER_ROW);
/// `GET /users/{id}`
pub(in crate::http) const GET: Operation =
    Operation::reads("getUser", "What the directory has of a user.").answers(200, USER_ROW).fails(&["not_found"]);
/// `DELETE /users/{id}`
pub(in crate::http) const ERASE: Operation =
    Operation::stores("eraseUser", "Erases everything kept about a user. Asking again is harmless.")
        .answers(200, Kind::Record(&[Field::required("removed", COUNT, "Rows.")]));
/// `POST /users/{id}/disconnect`
pub(in crate::http) const DISCONNECT: Operation = Operation::stores("disconnectUser", "Closes every socket of a user.")
    .may_take(Kind::Arguments(&[Field::optional(
        "revoke",
        Kind::Bool,
        "`true` also refuses tokens issued before now.",
    )]))
    .answers(
        200,
        Kind::Record(&[
            Field::required("closed", COUNT, "Sockets."),
            Field::optional("partial", Kind::Bool, "`true` when some could not be counted in time."),
        ]),
    );

/// What a backend states of a user; `None` leaves a field as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutUser {
    /// Who.
    pub user: UserId,
    /// Login name, 1 to 150 characters.
    pub username: String,
    /// At most 150 characters.
    pub first_name: Option<String>,
    /// At most 150 characters.
    pub last_name: Option<String>,
    /// Whether the user may sign in; `false` closes every socket of the user.
    pub is_active: Option<bool>,
    /// Whether the user may open admin endpoints; `false` closes those that are open.
    pub is_staff: Option<bool>,
}

impl PutUser {
    /// `{username, first_name?, last_name?, is_active?, is_staff?}`
    fn read(user: UserId, object: &mut Object) -> Result<Self, ApiError> {
        Ok(Self {
            user,
            username: object.string("username")?,
            first_name: object.optional_string("first_name")?,
            last_name: object.optional_string("last_name")?,
            is_active: object.optional_bool("is_active")?,
            is_staff: object.optional_bool("is_staff")?,
        })
    }

    pub(crate) fn task(self) -> Result<Task, ApiError> {
        USERNAME.kind.check_text(USERNAME.name, &self.username)?;
        for (field, name) in [("first_name", &self.first_name), ("last_name", &self.last_name)] {
            NAME.check_text(field, name.as_deref().unwrap_or_default())?;
        }
        let shape = Shape::User(self.user.clone());
        let op = Op::PutUser {
            user: self.user,
            username: Some(self.username),
            first_name: self.first_name,
            last_name: self.last_name,
            is_active: self.is_active,
            is_staff: self.is_staff,
        };
        Ok(Task::Change(op, shape))
    }
}

impl Api {
    /// 200 with the user's row.
    fn user_answer(&self, tenant: &Tenant, user: &UserId) -> Result<Answer, ApiError> {
        match self.inner.records.read(|rows| directory::of(rows, tenant, user))? {
            Some(row) => {
                let names = (row.username.as_str(), row.first_name.as_str(), row.last_name.as_str());
                Ok(Answer::ok(&body(user, names, (row.is_active, row.is_staff))))
            }
            None => Err(ApiError::not_found(format!("there is no user {user}"))),
        }
    }
}

/// 200 with the row as the call wrote it, the first time and again.
pub(super) fn put_answer(user: &UserId, reply: &Reply) -> Answer {
    match reply {
        Reply::User { username, first_name, last_name, is_active, is_staff } => {
            Answer::ok(&body(user, (username, first_name, last_name), (*is_active, *is_staff)))
        }
        _ => Answer::ok(&json!({"user_id": user.wire()})),
    }
}

fn body(
    user: &UserId,
    (username, first_name, last_name): (&str, &str, &str),
    (is_active, is_staff): (bool, bool),
) -> serde_json::Value {
    json!({
        "user_id": user.wire(),
        "username": username,
        "first_name": first_name,
        "last_name": last_name,
        "is_active": is_active,
        "is_staff": is_staff,
    })
}

/// `PUT /users/{id}`
pub(in crate::http) async fn put_user(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let call = PutUser::read(request.user()?, &mut object)?;
    object.finish()?;
    request.run(call.task()?).await
}

/// `GET /users/{id}`
pub(in crate::http) async fn get_user(request: Request) -> Result<Answer, ApiError> {
    request.api.user_answer(&request.tenant, &request.user()?)
}

/// `DELETE /users/{id}` → `{removed}`, in rows. Asking again is harmless, so an idempotency key changes nothing.
pub(in crate::http) async fn erase_user(request: Request) -> Result<Answer, ApiError> {
    let user = request.user()?;
    request.no_fields()?;
    let erased = retention::erase_user(&request.api.inner.records, &request.tenant, &user).await?;
    request.api.inner.desk.forget(&request.tenant, &user);
    Ok(Answer::ok(&json!({"removed": erased.rows})).stored_at(Some(erased.at)))
}

/// `POST /users/{id}/disconnect` `{revoke?}` → `{closed}`, in sockets.
pub(in crate::http) async fn disconnect(request: Request) -> Result<Answer, ApiError> {
    let user = request.user()?;
    let mut object = request.object_or_empty()?;
    let revoke = object.optional_bool("revoke")?.unwrap_or(false);
    object.finish()?;
    if revoke {
        // What is committed closes the sockets, wherever they are.
        return request.run(Task::Change(Op::RevokeTokens { user }, Shape::Closed)).await;
    }
    let target = CloseTarget::User { tenant: request.tenant.clone(), user, staff_only: false };
    let closing = request.api.inner.broker.close_everywhere(target, Close::Disconnected).await;
    Ok(closed(closing.wait(RECIPIENTS_WAIT).await))
}

/// 200 `{closed, partial?}`
pub(super) fn closed(sockets: Recipients) -> Answer {
    let mut body = json!({"closed": sockets.count});
    if sockets.partial {
        body["partial"] = true.into();
    }
    Answer::ok(&body)
}
