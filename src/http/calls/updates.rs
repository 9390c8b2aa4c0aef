//! What a backend says of one user: dashboard, subscription, payment, expiry warning. Stored, then shown.

use super::{RECIPIENTS, Shape, Task, check_object, check_payload};
use crate::{
    http::{
        ApiError,
        answer::Answer,
        object::{self, shown},
        openapi::{Field, Kind, Operation, kind::TEXT},
        request::Request,
    },
    protocol::{JSON_INTEGER_MAX, UserId},
    records::{Op, subscriptions},
};
use serde_json::value::RawValue;

/// Longest id of a subscription that is text, in characters.
const ID_CHARS_MAX: usize = 64;

const ID: Kind =
    Kind::OneOf(&[Kind::Integer { min: 0, max: JSON_INTEGER_MAX }, Kind::Text { min: 1, max: ID_CHARS_MAX }]);
const STATUS: Field = Field::optional("status", TEXT, "`active` is counted as such.").example("\"active\"");
const PLAN: Field = Field::required("plan_name", TEXT, "").example("\"Team\"");

/// A subscription as a backend states it.
pub(super) const STATED: Kind = Kind::Named(
    "Subscription",
    &Kind::OneOf(&[
        Kind::Open(&[
            PLAN,
            STATUS,
            Field::optional("id", ID, "Left out: the user's newest row of that plan, or a new one."),
        ]),
        Kind::Open(&[
            Field::required("id", ID, "Of a row that there is."),
            STATUS,
            Field::optional("plan_name", TEXT, ""),
        ]),
    ]),
);

const fn data(kind: Kind, about: &'static str) -> Field {
    Field::required("data", kind, about)
}

/// `POST /users/{id}/dashboard`
pub(in crate::http) const DASHBOARD: Operation =
    Operation::stores("updateDashboard", "Merges data into a user's dashboard, and shows it.")
        .takes(Kind::Arguments(&[data(Kind::Object, "Fields to replace.")]))
        .answers(202, RECIPIENTS);
/// `POST /users/{id}/subscriptions`
pub(in crate::http) const SUBSCRIPTION: Operation =
    Operation::stores("updateSubscription", "Stores a subscription and a step of its history, and shows it.")
        .takes(Kind::Arguments(&[data(STATED, "")]))
        .answers(202, RECIPIENTS);
/// `POST /users/{id}/payments`
pub(in crate::http) const PAYMENT: Operation = Operation::stores("confirmPayment", "Stores a payment, and shows it.")
    .takes(Kind::Arguments(&[data(Kind::Object, "")]))
    .answers(202, RECIPIENTS);
/// `POST /users/{id}/expiry-warnings`
pub(in crate::http) const EXPIRY_WARNING: Operation =
    Operation::stores("warnOfExpiry", "Stores a warning that a subscription ends, and shows it.")
        .takes(Kind::Arguments(&[data(Kind::Object, "")]))
        .answers(202, RECIPIENTS);
/// `GET /users/{id}/payments`
pub(in crate::http) const PAYMENTS: Operation =
    Operation::reads("listPayments", "A user's newest 200 payments, newest first.").answers(
        200,
        Kind::Record(&[Field::required(
            "data",
            Kind::Many {
                of: &Kind::Record(&[data(Kind::Object, ""), Field::required("created_at", Kind::Time, "")]),
                min: 0,
                max: 200,
                distinct: false,
            },
            "",
        )]),
    );

/// Which of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateKind {
    /// Merged into the user's dashboard.
    Dashboard,
    /// `{id?, status, plan_name, …}`: a row, and a step of its history.
    Subscription,
    /// Kept.
    Payment,
    /// Kept.
    ExpiryWarning,
}

/// An update for one user.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which of the four.
    pub kind: UpdateKind,
    /// Whose.
    pub user: UserId,
    /// A JSON object.
    pub data: Box<RawValue>,
}

impl Update {
    /// As [`Self::task`]; `field` is what the caller calls the data.
    pub(super) fn task_of(self, field: &str) -> Result<Task, ApiError> {
        check_object(field, &self.data)?;
        check_payload(field, &self.data)?;
        if self.kind == UpdateKind::Subscription {
            check_subscription(field, &self.data)?;
        }
        let (user, data) = (self.user, self.data.get().to_owned());
        let op = match self.kind {
            UpdateKind::Dashboard => Op::UpdateDashboard { user, data },
            UpdateKind::Subscription => Op::UpdateSubscription { user, data },
            UpdateKind::Payment => Op::RecordPayment { user, data },
            UpdateKind::ExpiryWarning => Op::WarnOfExpiry { user, data },
        };
        Ok(Task::Change(op, Shape::Recipients))
    }

    pub(crate) fn task(self) -> Result<Task, ApiError> {
        self.task_of("data")
    }
}

/// The fields that rows are found and counted by have their kinds; everything else is the backend's business.
fn check_subscription(field: &str, data: &RawValue) -> Result<(), ApiError> {
    let fields = object::pairs(data, field)?;
    let given = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, raw)| raw);
    let wrong = |name: &str, must: &str, raw: &RawValue| {
        Err(ApiError::invalid(field, format!("\"{name}\" in {field} must be {must}, not {}", shown(raw.get()))))
    };
    if let Some(id) = given("id") {
        let number: Option<u64> = serde_json::from_str(id.get()).ok();
        let text: Option<String> = serde_json::from_str(id.get()).ok();
        let is_id = number.is_some_and(|n| n <= JSON_INTEGER_MAX)
            || text.is_some_and(|text| (1..=ID_CHARS_MAX).contains(&text.chars().count()));
        if !is_id {
            return wrong("id", "an integer or a short string; leave it out to have one made", id);
        }
    }
    for name in ["plan_name", "status"] {
        if let Some(raw) = given(name)
            && !raw.get().starts_with('"')
        {
            return wrong(name, "a string", raw);
        }
    }
    Ok(())
}

async fn update(request: Request, kind: UpdateKind) -> Result<Answer, ApiError> {
    let user = request.user()?;
    let mut object = request.object()?;
    let data = object.object("data")?;
    object.finish()?;
    request.run(Update { kind, user, data }.task()?).await
}

/// `POST /users/{id}/dashboard`
pub(in crate::http) async fn dashboard(request: Request) -> Result<Answer, ApiError> {
    update(request, UpdateKind::Dashboard).await
}

/// `POST /users/{id}/subscriptions`
pub(in crate::http) async fn subscription(request: Request) -> Result<Answer, ApiError> {
    update(request, UpdateKind::Subscription).await
}

/// `POST /users/{id}/payments`
pub(in crate::http) async fn payment(request: Request) -> Result<Answer, ApiError> {
    update(request, UpdateKind::Payment).await
}

/// `GET /users/{id}/payments` → `{data: [{data, created_at}…]}`, the newest 200, newest first.
pub(in crate::http) async fn payments(request: Request) -> Result<Answer, ApiError> {
    let user = request.user()?;
    let kept = request.api.inner.records.read(|rows| subscriptions::payments(rows, &request.tenant, &user))?;
    let list: Vec<_> = kept
        .iter()
        .map(|event| Payment {
            // Checked before it was proposed.
            data: serde_json::from_str(&event.data).unwrap_or(RawValue::NULL),
            created_at: event.created_at.to_string(),
        })
        .collect();
    Ok(Answer::ok(&Payments { data: list }))
}

#[derive(serde::Serialize)]
struct Payment<'a> {
    data: &'a RawValue,
    created_at: String,
}

#[derive(serde::Serialize)]
struct Payments<'a> {
    data: Vec<Payment<'a>>,
}

/// `POST /users/{id}/expiry-warnings`
pub(in crate::http) async fn expiry_warning(request: Request) -> Result<Answer, ApiError> {
    update(request, UpdateKind::ExpiryWarning).await
}
