//! What admins see: their dashboard and alerts, both kept.

use super::{RECIPIENTS, Shape, Task, check_payload, inbox::NEXT};
use crate::{
    config::limits::PAGE_MAX,
    http::{
        ApiError, Object,
        answer::Answer,
        openapi::{
            Field, Kind, Operation,
            kind::{COUNT, TEXT},
        },
        request::{BEFORE, LIMIT, Request},
    },
    protocol::event::ALERT_TYPES,
    records::{Op, alerts},
};
use serde_json::value::RawValue;

const ALERT_TYPE: Field = Field::required("alert_type", Kind::Choice(&ALERT_TYPES), "").example("\"new_subscription\"");
const DATA: Field = Field::required("data", Kind::Any, "What the page is shown.");

/// What [`UpdateAdminDashboard::read`] takes.
pub(super) const DASHBOARD_ARGUMENTS: Kind = Kind::Arguments(&[DATA]);
/// What [`RaiseAlert::read`] takes.
pub(super) const ALERT_ARGUMENTS: Kind = Kind::Arguments(&[ALERT_TYPE, DATA]);

/// `POST /admin/dashboard`
pub(in crate::http) const DASHBOARD: Operation =
    Operation::stores("updateAdminDashboard", "Replaces the data of the admins' dashboard, and shows it.")
        .takes(DASHBOARD_ARGUMENTS)
        .answers(202, RECIPIENTS);
/// `POST /admin/alerts`
pub(in crate::http) const RAISE: Operation =
    Operation::stores("raiseAlert", "Stores an alert for the subscription admins, and shows it.")
        .takes(ALERT_ARGUMENTS)
        .answers(202, RECIPIENTS);
/// `GET /admin/alerts`
pub(in crate::http) const LIST: Operation =
    Operation::reads("listAlerts", "Alerts, newest first.").query(&[LIMIT, BEFORE]).answers(
        200,
        Kind::Record(&[
            Field::required(
                "data",
                Kind::Many {
                    of: &Kind::Record(&[
                        Field::required("id", COUNT, ""),
                        Field::required("alert_type", TEXT, ""),
                        Field::required("data", Kind::Any, ""),
                        Field::required("created_at", Kind::Time, ""),
                    ]),
                    min: 0,
                    max: PAGE_MAX,
                    distinct: false,
                },
                "",
            ),
            Field::required("next_before", NEXT, "For the next page; `null` when this is the last."),
        ]),
    );

/// New data for the admin dashboard, in place of the old.
#[derive(Clone, Debug)]
pub struct UpdateAdminDashboard {
    /// Any JSON value.
    pub data: Box<RawValue>,
}

impl UpdateAdminDashboard {
    /// `{data}`
    pub(super) fn read(object: &mut Object) -> Result<Self, ApiError> {
        Ok(Self { data: object.value("data")? })
    }

    pub(crate) fn task(self) -> Result<Task, ApiError> {
        check_payload("data", &self.data)?;
        Ok(Task::Change(Op::UpdateAdminDashboard { data: self.data.get().to_owned() }, Shape::Recipients))
    }
}

/// An alert for the subscription admins.
#[derive(Clone, Debug)]
pub struct RaiseAlert {
    /// One of [`ALERT_TYPES`].
    pub alert_type: String,
    /// Any JSON value.
    pub data: Box<RawValue>,
}

impl RaiseAlert {
    /// `{alert_type, data}`
    pub(super) fn read(object: &mut Object) -> Result<Self, ApiError> {
        Ok(Self { alert_type: object.string("alert_type")?, data: object.value("data")? })
    }

    pub(crate) fn task(self) -> Result<Task, ApiError> {
        ALERT_TYPE.kind.check_text(ALERT_TYPE.name, &self.alert_type)?;
        check_payload("data", &self.data)?;
        let op = Op::RaiseAlert { alert_type: self.alert_type, data: self.data.get().to_owned() };
        Ok(Task::Change(op, Shape::Recipients))
    }
}

/// `POST /admin/dashboard`
pub(in crate::http) async fn update_dashboard(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let call = UpdateAdminDashboard::read(&mut object)?;
    object.finish()?;
    request.run(call.task()?).await
}

/// `POST /admin/alerts`
pub(in crate::http) async fn raise_alert(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let call = RaiseAlert::read(&mut object)?;
    object.finish()?;
    request.run(call.task()?).await
}

/// `GET /admin/alerts?limit=&before=` → `{data: [{id, alert_type, data, created_at}…], next_before}`
pub(in crate::http) async fn list_alerts(request: Request) -> Result<Answer, ApiError> {
    let (limit, before) = (request.query.limit()?, request.query.number("before")?);
    let (rows, next) = request.api.inner.records.read(|rows| alerts::newest(rows, &request.tenant, (limit, before)))?;
    let list: Vec<_> = rows
        .iter()
        .map(|(id, row)| {
            // Checked before it was proposed.
            let data = serde_json::from_str::<&RawValue>(&row.data).unwrap_or(RawValue::NULL);
            Alert { id: *id, alert_type: &row.alert_type, data, created_at: row.created_at.to_string() }
        })
        .collect();
    Ok(Answer::ok(&List { data: list, next_before: next }))
}

#[derive(serde::Serialize)]
struct Alert<'a> {
    id: u64,
    alert_type: &'a str,
    data: &'a RawValue,
    created_at: String,
}

#[derive(serde::Serialize)]
struct List<'a> {
    data: Vec<Alert<'a>>,
    next_before: Option<u64>,
}
