//! Random commands over few users and two tenants, so that they meet each other.

use carillon::{
    protocol::{Tenant, Timestamp, UserId},
    records::{
        Command, Idempotency, LevelBound, Op,
        import::{ImportNotification, ImportPresence, ImportRecord},
    },
};
use proptest::prelude::*;

/// The node that the commands come from.
pub const NODE: u64 = 1;

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Step {
    /// A command, so many seconds after the one before.
    Do(Todo),
    /// The node starts anew.
    Restart,
}

/// A command without what depends on the history.
#[derive(Clone, Debug)]
pub struct Todo {
    /// Whose data.
    pub tenant: Tenant,
    /// Seconds since the command before.
    pub after: i64,
    /// Key and body.
    pub idempotency: Option<(u8, u8)>,
    /// The change. A boot in it is relative: 0 is the present one, 1 the one before.
    pub op: Op,
}

impl Todo {
    /// The command at a time and in a boot of the node.
    pub fn command(&self, at: Timestamp, epoch: u64) -> Command {
        let mut op = self.op.clone();
        if let Op::ComeOnline { node, epoch: e, .. } | Op::GoOffline { node, epoch: e, .. } = &mut op
            && *node == NODE
        {
            *e = epoch - *e;
        }
        if let Op::GoOffline { seen: Some(time), .. } | Op::SeeUser { issued_at: Some(time), .. } = &mut op {
            *time = at.plus_seconds(-time.0);
        }
        if let Op::Expire { before: Some(time), .. } = &mut op {
            *time = at.plus_seconds(-time.0);
        }
        if let Op::ExpireLevels { bounds, .. } = &mut op {
            bounds
                .iter_mut()
                .filter_map(|bound| bound.before.as_mut())
                .for_each(|time| *time = at.plus_seconds(-time.0));
        }
        if let Op::NoteActivity { users } = &mut op {
            users.iter_mut().for_each(|(_, time)| *time = at.plus_seconds(-time.0));
        }
        let idempotency = self.idempotency.map(|(key, body)| Idempotency { key: [key; 32], body: [body; 32] });
        Command { tenant: self.tenant.clone(), at, idempotency, op }
    }
}

/// Histories of up to eighty steps.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(prop_oneof![19 => todo().prop_map(Step::Do), 1 => Just(Step::Restart)], 1..80)
}

/// The users there are.
pub fn users() -> Vec<UserId> {
    // One is the beginning of another: keys must not run into each other.
    ["1", "12", "ada"].iter().map(|id| UserId::new(id).expect("an id")).collect()
}

/// The tenants there are.
pub fn tenants() -> Vec<Tenant> {
    ["default", "acme"].iter().map(|id| Tenant::new(id).expect("an id")).collect()
}

fn todo() -> impl Strategy<Value = Todo> {
    let after = prop_oneof![20 => 0..100i64, 1 => Just(13 * 3_600)];
    let idempotency = prop_oneof![3 => Just(None), 1 => (0..4u8, 0..2u8).prop_map(Some)];
    (prop::sample::select(tenants()), after, idempotency, op()).prop_map(|(tenant, after, idempotency, op)| Todo {
        tenant,
        after,
        idempotency,
        op,
    })
}

fn user() -> impl Strategy<Value = UserId> {
    prop_oneof![2 => Just(users().swap_remove(0)), 1 => prop::sample::select(users())]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        16 => inbox_op(), 4 => import_op(), 6 => event_op(), 4 => directory_op(), 6 => presence_op(), 1 => journal_op(),
        1 => member_op()
    ]
}

fn inbox_op() -> impl Strategy<Value = Op> {
    let send = (proptest::collection::vec(user(), 1..4), prop::sample::select(vec!["info", "error"])).prop_map(
        |(users, level)| Op::SendNotification {
            users,
            title: "t".into(),
            message: "m".into(),
            level: level.into(),
            data: "{}".into(),
        },
    );
    let set_read =
        (user(), 0..20u64, any::<bool>()).prop_map(|(user, id, read)| Op::SetRead { user, id, read, actor: None });
    let before = || proptest::option::of((0..300i64).prop_map(Timestamp));
    let bound = (prop::sample::select(vec!["info", "error", "success"]), 0..3u64, before())
        .prop_map(|(level, keep, before)| LevelBound { level: level.into(), keep, before });
    let expire_levels =
        (user(), proptest::collection::vec(bound, 1..3)).prop_map(|(user, bounds)| Op::ExpireLevels { user, bounds });
    prop_oneof![
        4 => send,
        4 => set_read,
        2 => user().prop_map(|user| Op::ReadAll { user, actor: None }),
        2 => (user(), 0..20u64).prop_map(|(user, id)| Op::DeleteNotification { user, id }),
        1 => (user(), 0..4u64, before()).prop_map(|(user, keep, before)| Op::Expire { user, keep, before }),
        2 => expire_levels,
    ]
}

/// A key always has the same content, but for its user.
fn import_op() -> impl Strategy<Value = Op> {
    let notification = (1..20u64, user()).prop_map(|(key, user)| {
        ImportRecord::Notification(ImportNotification {
            key,
            user,
            title: format!("old {key}"),
            message: String::new(),
            level: "info".into(),
            data: "{}".into(),
            is_read: key.is_multiple_of(2),
            created_at: Timestamp::from_seconds(1_000_000_000 + 50 * key as i64),
        })
    });
    let time = || proptest::option::of((999_999_900..1_000_000_200i64).prop_map(Timestamp::from_seconds));
    let presence = (user(), time(), time()).prop_map(|(user, last_seen, last_activity)| {
        ImportRecord::Presence(ImportPresence { user, last_seen, last_activity })
    });
    let record = prop_oneof![3 => notification, 1 => presence];
    (0..20u64, proptest::collection::vec(record, 0..4)).prop_map(|(reserve, records)| Op::Import { reserve, records })
}

fn event_op() -> impl Strategy<Value = Op> {
    let id = prop::sample::select(vec!["", r#""id":7,"#, r#""id":"7","#, r#""id":2,"#, r#""id":"x","#]);
    let plan = prop::sample::select(vec!["", r#""plan_name":"A","#, r#""plan_name":"B","#]);
    let status = prop::sample::select(vec!["active", "cancelled"]);
    let update = (user(), id, plan, status).prop_map(|(user, id, plan, status)| Op::UpdateSubscription {
        user,
        data: format!(r#"{{{id}{plan}"status":"{status}"}}"#),
    });
    let number = || (0..100u32).prop_map(|n| format!(r#"{{"n":{n}}}"#));
    prop_oneof![
        4 => update,
        1 => (user(), number()).prop_map(|(user, data)| Op::RecordPayment { user, data }),
        1 => (user(), number()).prop_map(|(user, data)| Op::WarnOfExpiry { user, data }),
        1 => (user(), number()).prop_map(|(user, data)| Op::UpdateDashboard { user, data }),
        1 => number().prop_map(|data| Op::UpdateAdminDashboard { data }),
        1 => number().prop_map(|data| Op::RaiseAlert { alert_type: "new_subscription".into(), data }),
    ]
}

fn directory_op() -> impl Strategy<Value = Op> {
    let name = || prop::sample::select(vec!["n", "m"]).prop_map(str::to_owned);
    let flag = || proptest::option::of(any::<bool>());
    let put =
        (user(), proptest::option::of(name()), flag(), flag()).prop_map(|(user, username, is_active, is_staff)| {
            Op::PutUser { user, username, first_name: None, last_name: None, is_active, is_staff }
        });
    let issued = proptest::option::of((0..300i64).prop_map(Timestamp));
    let see = (user(), name(), any::<bool>(), issued).prop_map(|(user, username, is_staff, issued_at)| Op::SeeUser {
        user,
        username,
        first_name: "f".into(),
        last_name: "l".into(),
        is_staff,
        issued_at,
    });
    prop_oneof![
        4 => put,
        4 => see,
        1 => user().prop_map(|user| Op::RevokeTokens { user }),
        1 => user().prop_map(|user| Op::EraseUser { user }),
    ]
}

fn member_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (1..4u64, 0..3u8).prop_map(|(node, n)| Op::EnterNode { node, incarnation: [n; 16] }),
        1 => (1..4u64).prop_map(|node| Op::RemoveNode { node }),
    ]
}

fn journal_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (1..4u64).prop_map(|id| Op::BeginHistory { id }),
        1 => (0..6u64).prop_map(|through| Op::TrimJournal { through }),
    ]
}

fn presence_op() -> impl Strategy<Value = Op> {
    let boot = || prop_oneof![4 => Just((NODE, 0)), 1 => Just((NODE, 1)), 1 => Just((2, 1))];
    let come = (user(), boot()).prop_map(|(user, (node, epoch))| Op::ComeOnline { user, node, epoch });
    let seen = proptest::option::of((0..20i64).prop_map(Timestamp));
    let go = (user(), boot(), seen).prop_map(|(user, (node, epoch), seen)| Op::GoOffline {
        user,
        node,
        epoch,
        seen,
        activity: None,
    });
    let note = (user(), (0..20i64).prop_map(Timestamp)).prop_map(|at| Op::NoteActivity { users: vec![at] });
    prop_oneof![3 => come, 3 => go, 1 => note]
}
