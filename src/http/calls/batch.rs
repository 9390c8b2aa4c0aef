//! `POST /batch`: up to 1,000 calls in one body, by the names of the backend's functions, answered in order.
//!
//! Each call succeeds or fails alone. All of them are started in order and then awaited: those that are stored share
//! one log entry or few; those that are only told are told at once, before the others are on disk.

use super::{
    Broadcast, GroupSend, Multicast, RaiseAlert, SendNotification, Task, Update, UpdateAdminDashboard, UpdateKind,
    run::counting_ends,
};
use crate::{
    config::limits::BATCH_CALLS_MAX,
    http::{ApiError, Object, answer::Answer, object::missing, request::Request},
};
use serde::Serialize;
use serde_json::value::RawValue;

/// The calls that a batch knows.
const NAMES: [&str; 10] = [
    "send_notification",
    "send_dashboard_update",
    "send_subscription_update",
    "send_payment_confirmation",
    "send_subscription_expiry_warning",
    "send_admin_dashboard_update",
    "send_admin_subscription_alert",
    "broadcast_system_message",
    "send_to_multiple_users",
    "group_send",
];

/// `{call, args}` becomes a task.
fn task(call: &RawValue) -> Result<Task, ApiError> {
    let mut outer = Object::of(call, "a call")?;
    let name = outer.string("call")?;
    let args = outer.optional_object("args")?;
    outer.finish()?;
    let mut args = match args {
        Some(args) => Object::of(&args, "args")?,
        None => Object::default(),
    };
    let task = named(&name, &mut args)?;
    args.finish()?;
    Ok(task)
}

fn named(name: &str, args: &mut Object) -> Result<Task, ApiError> {
    match name {
        "send_notification" => SendNotification::read(args)?.task(),
        "send_dashboard_update" => update(UpdateKind::Dashboard, args, "data"),
        "send_subscription_update" => update(UpdateKind::Subscription, args, "subscription_data"),
        "send_payment_confirmation" => update(UpdateKind::Payment, args, "payment_data"),
        "send_subscription_expiry_warning" => update(UpdateKind::ExpiryWarning, args, "subscription_data"),
        "send_admin_dashboard_update" => UpdateAdminDashboard::read(args)?.task(),
        "send_admin_subscription_alert" => RaiseAlert::read(args)?.task(),
        "broadcast_system_message" => Broadcast::read(args, "target_groups")?.task("target_groups"),
        "send_to_multiple_users" => Multicast::read(args, "message_type")?.task("message_type"),
        "group_send" => {
            let group = args.string("group")?;
            let event = Object::of(&args.object("event")?, "event")?.rest().collect();
            GroupSend { group, event }.task()
        }
        other => {
            let (other, known) = (crate::http::object::shown(other), NAMES.join(", "));
            Err(ApiError::invalid("call", format!("{other:?} is no call; a batch knows {known}")))
        }
    }
}

fn update(kind: UpdateKind, args: &mut Object, field: &'static str) -> Result<Task, ApiError> {
    Update { kind, user: args.user("user_id")?, data: args.object(field)? }.task_of(field)
}

#[derive(Serialize)]
struct Results {
    results: Vec<One>,
}

#[derive(Serialize)]
struct One {
    status: u16,
    body: Box<RawValue>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
}

impl One {
    fn of(outcome: Result<Answer, ApiError>) -> Self {
        let (status, body, replayed) = match outcome {
            Ok(answer) => (answer.status, answer.body, answer.is_replay),
            Err(error) => (error.status().as_u16(), error.body(), false),
        };
        // Every answer is JSON.
        Self { status, body: RawValue::from_string(body).unwrap_or_default(), replayed }
    }
}

/// `POST /batch` `{calls: [{call, args}…]}` → `{results: [{status, body, replayed?}…]}`
pub(in crate::http) async fn batch(request: Request) -> Result<Answer, ApiError> {
    let mut object = request.object()?;
    let calls = object.optional_array("calls", (0, BATCH_CALLS_MAX))?;
    let calls = calls.ok_or_else(|| missing("calls", "an array of {call, args}"))?;
    object.finish()?;
    let (api, tenant) = (&request.api, &request.tenant);
    let mut started = Vec::with_capacity(calls.len());
    for (place, call) in calls.iter().enumerate() {
        let key = request.retry.as_ref().map(|retry| retry.part(place));
        started.push(task(call).and_then(|task| api.start(tenant, task, key)));
    }
    let mut settled = Vec::with_capacity(started.len());
    for one in started {
        settled.push(match one {
            Ok(started) => started.settle().await,
            Err(error) => Err(error),
        });
    }
    let (mut results, until) = (Vec::with_capacity(settled.len()), counting_ends());
    for one in settled {
        let outcome = match one {
            Ok(settled) => crate::http::Api::finish(settled, until).await,
            Err(error) => Err(error),
        };
        results.push(One::of(outcome));
    }
    Ok(Answer::ok(&Results { results }))
}
