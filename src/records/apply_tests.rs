//! What went wrong once, or would be worst: each case a command or two against tables in memory.

use super::{
    Batch, Command, EffectKind, Idempotency, Op, Rejection, Reply, apply_batch, dashboard, directory,
    keys::Key,
    presence,
    rows::User,
    txn::{Row, Txn},
};
use crate::{
    protocol::{Tenant, Timestamp, UserId},
    records::subscriptions,
};
use carillon_storage::tables::MemoryTables;

/// Tables, and the log so far.
#[derive(Default)]
pub(super) struct Log {
    pub(super) tables: MemoryTables,
    index: u64,
}

impl Log {
    fn apply_with(&mut self, op: Op, idempotency: Option<Idempotency>) -> (Reply, Vec<EffectKind>) {
        let at = Timestamp::from_seconds(i64::try_from(self.index + 1).expect("small"));
        self.apply_at(at, op, idempotency)
    }

    fn apply_at(&mut self, at: Timestamp, op: Op, idempotency: Option<Idempotency>) -> (Reply, Vec<EffectKind>) {
        self.index += 1;
        let command = Command { tenant: Tenant::default(), at, idempotency, op };
        let batch = Batch { node: 1, epoch: 1, sequence: self.index, commands: vec![command] };
        let applied = apply_batch(&self.tables, self.index, &batch).expect("a node that goes on");
        self.tables.commit(&applied.writes, b"").expect("rows that tables take");
        (applied.replies[0].clone(), applied.effects.into_iter().map(|effect| effect.kind).collect())
    }

    pub(super) fn apply(&mut self, op: Op) -> Reply {
        self.apply_with(op, None).0
    }

    /// Writes a row past the log.
    pub(super) fn store<R: Row>(&mut self, key: Key, row: &R) {
        let mut txn = Txn::new(&self.tables);
        txn.put(key, row).expect("a row");
        let writes = txn.into_writes();
        self.tables.commit(&writes, b"").expect("rows that tables take");
    }
}

fn user(id: &str) -> UserId {
    UserId::new(id).expect("an id")
}

fn subscription(data: &str) -> Op {
    Op::UpdateSubscription { user: user("1"), data: data.into() }
}

fn see(issued_at: Option<i64>, is_staff: bool) -> Op {
    let (username, issued_at) = ("a".into(), issued_at.map(Timestamp::from_seconds));
    Op::SeeUser { user: user("1"), username, first_name: String::new(), last_name: String::new(), is_staff, issued_at }
}

fn put(is_active: bool) -> Op {
    let (username, is_active) = (Some("a".into()), Some(is_active));
    Op::PutUser { user: user("1"), username, first_name: None, last_name: None, is_active, is_staff: None }
}

fn put_staff(is_staff: bool) -> Op {
    let (username, is_staff) = (Some("a".into()), Some(is_staff));
    Op::PutUser { user: user("1"), username, first_name: None, last_name: None, is_active: None, is_staff }
}

/// What is known of the user 1.
fn known(log: &Log) -> User {
    directory::known(&log.tables, &Tenant::default(), &user("1")).expect("rows").1
}

#[test]
fn a_row_that_no_table_takes_is_refused_whole_and_the_node_goes_on() {
    let mut log = Log::default();
    // The plan's name stands in the row twice: as a field, and in its data.
    let data = format!(r#"{{"plan_name":"{}","status":"active"}}"#, "x".repeat(40_000));
    let before = log.tables.clone();
    let (reply, effects) = log.apply_with(subscription(&data), None);
    assert!(matches!(reply, Reply::Rejected(Rejection::TooLarge { .. })), "{reply:?}");
    assert_eq!(effects, []);
    let figures = |tables: &MemoryTables| dashboard::figures(tables, &Tenant::default()).expect("rows");
    assert_eq!(figures(&log.tables), figures(&before), "what was written before the row is taken back");
    assert_eq!(
        log.apply(subscription(r#"{"plan_name":"p","status":"active"}"#)),
        Reply::Subscription { id: "1".into() }
    );
}

#[test]
fn a_retry_to_a_thousand_users_with_long_names_gets_all_their_ids_again() {
    let mut log = Log::default();
    let users: Vec<_> = (0..1_000).map(|n| user(&format!("{n:0>64}"))).collect();
    let op = Op::SendNotification {
        users: users.clone(),
        title: "t".into(),
        message: "m".into(),
        level: "info".into(),
        data: "{}".into(),
    };
    let key = Some(Idempotency { key: [1; 32], body: [2; 32] });
    let (first, _) = log.apply_with(op.clone(), key.clone());
    let Reply::Created { notifications, .. } = &first else { panic!("{first:?}") };
    assert_eq!(notifications.last(), Some(&(users[999].clone(), 1_000)));
    let (again, effects) = log.apply_with(op, key);
    assert_eq!((again, effects), (Reply::Replayed(Box::new(first)), vec![]));
}

#[test]
fn an_older_token_does_not_undo_a_newer_one() {
    let mut log = Log::default();
    let staff =
        |log: &Log| directory::of(&log.tables, &Tenant::default(), &user("1")).expect("rows").expect("a row").is_staff;
    log.apply(see(Some(100), true));
    assert_eq!(log.apply_with(see(Some(50), false), None).1, []);
    assert!(staff(&log));
    log.apply(see(Some(150), false));
    assert!(!staff(&log));
}

#[test]
fn what_was_issued_before_an_erasure_opens_nothing_after_it() {
    for lock in [vec![put(false)], vec![Op::RevokeTokens { user: user("1") }], vec![]] {
        let mut log = Log::default();
        log.apply(see(Some(1), false));
        lock.into_iter().for_each(|op| drop(log.apply(op)));
        log.apply(Op::EraseUser { user: user("1") });
        let left = known(&log).revoked_before;
        assert!(left.is_some());
        log.apply(see(Some(1_000), false));
        let row = directory::of(&log.tables, &Tenant::default(), &user("1")).expect("rows").expect("a row");
        assert_eq!(row.revoked_before, left, "the new row refuses the old tokens");
        log.apply(Op::EraseUser { user: user("1") });
        assert!(known(&log).revoked_before > left, "and again");
        let left = known(&log).revoked_before;
        log.apply(put(true));
        assert_eq!(known(&log).revoked_before, left, "the backend brings the user back, not the old tokens");
    }
}

#[test]
fn who_lost_staff_does_not_have_it_again_by_being_erased() {
    // Issued, and whether it still makes somebody staff; commands are at 1, 2, 3, the backend's word at 2.
    for (issued_at, is_staff) in [(None, false), (Some(1), false), (Some(2), false), (Some(3), true)] {
        for erasures in 0..3 {
            let mut log = Log::default();
            log.apply(see(Some(1), true));
            log.apply(put_staff(false));
            for _ in 0..erasures {
                log.apply(Op::EraseUser { user: user("1") });
                log.apply(see(Some(1), false));
            }
            log.apply(see(issued_at, true));
            assert_eq!(known(&log).is_staff, is_staff, "{issued_at:?} after {erasures} erasures");
        }
    }
    let mut log = Log::default();
    log.apply(see(Some(1), true));
    log.apply(Op::EraseUser { user: user("1") });
    let refused = User { revoked_before: Some(Timestamp::from_seconds(2)), ..User::default() };
    assert_eq!(known(&log), refused, "of somebody who lost nothing, only the time of the erasure is left");
}

#[test]
fn a_clock_that_is_behind_makes_no_revoked_token_good_again() {
    let mut log = Log::default();
    log.apply(see(Some(1), false));
    for at in [9_000, 3_000, 8_990] {
        log.apply_at(Timestamp::from_seconds(at), Op::RevokeTokens { user: user("1") }, None);
        assert_eq!(known(&log).revoked_before, Some(Timestamp::from_seconds(9_000)), "after one at {at}");
    }
    log.apply_at(Timestamp::from_seconds(100), Op::EraseUser { user: user("1") }, None);
    assert_eq!(known(&log).revoked_before, Some(Timestamp::from_seconds(9_000)), "after an erasure");
}

#[test]
fn the_leader_s_time_replaces_the_asked_node_s_and_what_was_reckoned_from_it() {
    let (tenant, seconds) = (Tenant::default(), Timestamp::from_seconds);
    let ahead = 90_000;
    let expire = |before| Op::Expire { user: user("1"), keep: 0, before: Some(seconds(before)) };
    let offline =
        |seen| Op::GoOffline { user: user("1"), node: 1, epoch: 1, seen: Some(seconds(seen)), activity: None };
    let ops = |shift: i64| {
        vec![
            expire(500 + shift),
            offline(900 + shift),
            Op::NoteActivity { users: vec![(user("1"), seconds(800 + shift))] },
            // What a token says stays as it is.
            see(Some(100), false),
        ]
    };
    let batch = |at: i64, shift: i64| Batch {
        node: 2,
        epoch: 1,
        sequence: 1,
        commands: ops(shift)
            .into_iter()
            .map(|op| Command { tenant: tenant.clone(), at: seconds(at), idempotency: None, op })
            .collect(),
    };
    let mut stamped = batch(1_000 + ahead, ahead);
    stamped.stamp(seconds(1_000));
    assert_eq!(stamped, batch(1_000, 0));
}

#[test]
fn activity_does_not_bring_an_erased_user_back() {
    let mut log = Log::default();
    log.apply(see(None, false));
    log.apply(Op::EraseUser { user: user("1") });
    log.apply(Op::NoteActivity { users: vec![(user("1"), Timestamp(1))] });
    assert_eq!(presence::of(&log.tables, &Tenant::default(), &user("1")).expect("rows"), None);
}

#[test]
fn last_updated_is_the_commit_time_unless_the_update_gives_one() {
    let mut log = Log::default();
    let frame = |log: &mut Log, data: &str| {
        log.apply(Op::UpdateDashboard { user: user("1"), data: data.into() });
        dashboard::frame(&log.tables, &Tenant::default(), &user("1")).expect("rows")
    };
    assert!(frame(&mut log, r#"{"a":1,"last_updated":"2020"}"#).contains(r#""last_updated":"2020""#));
    let later = frame(&mut log, r#"{"b":2}"#);
    assert!(later.contains(r#""last_updated":"1970-01-01T00:00:02.000000+00:00""#), "{later}");
    assert!(later.contains(r#""a":1"#), "{later}");
}

#[test]
fn amounts_keep_every_digit() {
    let mut log = Log::default();
    log.apply(subscription(r#"{"plan_name":"p","status":"active","amount":12345678901234567890.10}"#));
    for frame in [subscriptions::status_frame, subscriptions::history_frame] {
        let text = frame(&log.tables, &Tenant::default(), &user("1")).expect("rows");
        assert!(text.contains(r#""amount":12345678901234567890.10"#), "{text}");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
    }
}
