//! What admins see: their dashboard and alerts, both kept.

use super::{Shape, Task, check_payload, one_of};
use crate::{
    http::{ApiError, Object, answer::Answer, request::Request},
    protocol::event::ALERT_TYPES,
    records::{Op, alerts},
};
use serde_json::value::RawValue;

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
        one_of("alert_type", &self.alert_type, &ALERT_TYPES)?;
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
    let mut query = request.query()?;
    let (limit, before) = (query.limit()?, query.number("before")?);
    query.finish()?;
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
