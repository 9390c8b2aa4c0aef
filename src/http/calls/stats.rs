//! `GET /stats`: figures of this node, and of the key's tenant.

use crate::{
    http::{
        ApiError,
        answer::Answer,
        openapi::{
            Field, Kind, Operation,
            kind::{COUNT, TEXT},
        },
        request::Request,
    },
    records::dashboard,
};
use serde_json::json;

const fn count(name: &'static str) -> Field {
    Field::required(name, COUNT, "")
}

/// `GET /stats`
pub(in crate::http) const STATS: Operation = Operation::reads(
    "stats",
    "Figures of this node, and of the key's tenant.",
)
.answers(
    200,
    Kind::Record(&[
        Field::required("version", TEXT, ""),
        count("uptime_seconds"),
        Field::required(
            "node",
            Kind::Record(&[count("id"), count("boot"), Field::required("is_leader", Kind::Bool, ""), count("term")]),
            "",
        ),
        count("sessions"),
        count("users_online"),
        Field::required(
            "log",
            Kind::Record(&[
                count("applied_index"),
                count("last_index"),
                count("bytes"),
                count("fsyncs"),
                Field::required("fsync_seconds", Kind::Number, ""),
            ]),
            "",
        ),
        count("table_bytes"),
        count("snapshot_bytes"),
        Field::required(
            "tenant",
            Kind::Record(&[
                Field::required("name", TEXT, ""),
                count("users"),
                count("active_users"),
                count("staff_users"),
                count("subscriptions"),
                count("active_subscriptions"),
                count("notifications_sent"),
                count("alerts_raised"),
            ]),
            "",
        ),
    ]),
);

/// `GET /stats`
pub(in crate::http) async fn stats(request: Request) -> Result<Answer, ApiError> {
    let inner = &request.api.inner;
    let figures = inner.node.figures();
    let tenant = inner.records.read(|rows| dashboard::figures(rows, &request.tenant))?;
    let (node_id, boot) = inner.records.boot();
    Ok(Answer::ok(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": inner.started.elapsed().as_secs(),
        "node": {"id": node_id, "boot": boot, "is_leader": inner.node.is_leader(), "term": figures.term},
        "sessions": inner.broker.sessions(),
        "users_online": inner.records.online(),
        "log": {
            "applied_index": figures.applied_index,
            "last_index": figures.last_index,
            "bytes": figures.log_bytes,
            "fsyncs": figures.log.fsyncs,
            "fsync_seconds": figures.log.fsync_total.as_secs_f64(),
        },
        "table_bytes": figures.table_bytes,
        "snapshot_bytes": figures.snapshot_bytes,
        "tenant": {
            "name": request.tenant.as_str(),
            "users": tenant.users,
            "active_users": tenant.active_users,
            "staff_users": tenant.staff_users,
            "subscriptions": tenant.subscriptions,
            "active_subscriptions": tenant.active_subscriptions,
            "notifications_sent": tenant.last_notification,
            "alerts_raised": tenant.last_alert,
        },
    })))
}
