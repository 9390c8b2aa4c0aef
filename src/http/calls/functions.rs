//! Calls by the names of the backend's functions, as batches carry them: `{call, args}`.

use super::{
    Broadcast, GroupSend, Multicast, RaiseAlert, SendNotification, Task, USER, Update, UpdateAdminDashboard,
    UpdateKind, admin, groups, notifications, updates,
};
use crate::http::{
    ApiError, Object,
    object::{self, shown},
    openapi::{Field, Kind, kind},
};
use serde_json::value::RawValue;

/// A function of the backend.
struct Function {
    name: &'static str,
    arguments: Kind,
    task: fn(&mut Object) -> Result<Task, ApiError>,
}

macro_rules! of_user {
    ($data:literal $kind:expr) => {
        Kind::Arguments(&[USER, Field::required($data, $kind, "")])
    };
}

macro_rules! functions {
    ($($name:literal $arguments:expr, $task:expr;)*) => {
        /// Every function there is.
        const FUNCTIONS: &[Function] = &[$(Function { name: $name, arguments: $arguments, task: $task },)*];
        const CALLS: &[Kind] = &[$(Kind::Arguments(&[
            Field::required("call", Kind::Choice(&[$name]), ""),
            Field::required("args", $arguments, ""),
        ]),)*];
    };
}

functions! {
    "send_notification" notifications::ARGUMENTS, |args| SendNotification::read(args)?.task();
    "send_dashboard_update" of_user!("data" Kind::Object), |args| update(UpdateKind::Dashboard, args, "data");
    "send_subscription_update" of_user!("subscription_data" updates::STATED),
        |args| update(UpdateKind::Subscription, args, "subscription_data");
    "send_payment_confirmation" of_user!("payment_data" Kind::Object),
        |args| update(UpdateKind::Payment, args, "payment_data");
    "send_subscription_expiry_warning" of_user!("subscription_data" Kind::Object),
        |args| update(UpdateKind::ExpiryWarning, args, "subscription_data");
    "send_admin_dashboard_update" admin::DASHBOARD_ARGUMENTS, |args| UpdateAdminDashboard::read(args)?.task();
    "send_admin_subscription_alert" admin::ALERT_ARGUMENTS, |args| RaiseAlert::read(args)?.task();
    "broadcast_system_message" groups::BROADCAST_FUNCTION,
        |args| Broadcast::read(args, "target_groups")?.task("target_groups");
    "send_to_multiple_users" groups::MULTICAST_FUNCTION,
        |args| Multicast::read(args, "message_type")?.task("message_type");
    "group_send" Kind::Arguments(&[
        Field::required("group", kind::GROUP, ""),
        Field::required("event", groups::EVENT, "As in `POST /groups/{group}/send`."),
    ]), group_send;
}

/// `{call, args}`
pub(super) const CALL: Kind = Kind::Named("Call", &Kind::OneOf(CALLS));

/// `{call, args}` becomes a task.
pub(in crate::http) fn read(call: &RawValue) -> Result<Task, ApiError> {
    const OUTER: &[Field] = &[
        Field::required("call", kind::TEXT, "The function's name."),
        Field::optional("args", Kind::Object, "Its arguments."),
    ];
    let mut outer = Object::of(call, ("a call", OUTER))?;
    let (name, args) = (outer.string("call")?, outer.optional_object("args")?);
    outer.finish()?;
    task(&name, args.as_deref())
}

/// The function's task; without `args` it gets no arguments.
pub(in crate::http) fn task(name: &str, args: Option<&RawValue>) -> Result<Task, ApiError> {
    let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
        let known: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
        let message = format!("{:?} is no call; known are {}", shown(name), known.join(", "));
        return Err(ApiError::invalid("call", message));
    };
    let declared = function.arguments.fields();
    let mut read = match args {
        Some(args) => Object::of(args, ("args", declared))?,
        None => Object::empty(declared),
    };
    let task = (function.task)(&mut read)?;
    read.finish()?;
    // As for bodies: see `Operation::complaint`.
    debug_assert!(
        args.is_none_or(|args| serde_json::from_str(args.get()).is_ok_and(|args| function.arguments.holds(&args)))
    );
    Ok(task)
}

fn update(kind: UpdateKind, args: &mut Object, field: &'static str) -> Result<Task, ApiError> {
    Update { kind, user: args.user("user_id")?, data: args.object(field)? }.task_of(field)
}

fn group_send(args: &mut Object) -> Result<Task, ApiError> {
    // A group that nobody knows is 404, as in a path.
    let (group, event) = (args.value("group")?, args.object("event")?);
    GroupSend { group: object::string("group", &group)?, event: object::pairs(&event, "event")?.into_iter().collect() }
        .task()
}
