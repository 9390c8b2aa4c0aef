//! Forgetting level by level: in bounded parts, never more than the bound says, and not asked for without a reason.

use super::{
    LevelBound, Op, Reply,
    apply_tests::Log,
    erase,
    import::{ImportNotification, ImportRecord},
    inbox,
    keys::{Key, Table},
    levels,
    rows::{LevelCount, LevelCounts},
};
use crate::protocol::{Tenant, Timestamp, UserId};
use std::collections::BTreeMap;

fn user() -> UserId {
    UserId::new("1").expect("an id")
}

fn send(level: &str) -> Op {
    let (title, message, data) = ("t".into(), "m".into(), "{}".into());
    Op::SendNotification { users: vec![user()], title, message, level: level.into(), data }
}

fn bound(level: &str, keep: u64, before: Option<i64>) -> LevelBound {
    LevelBound { level: level.into(), keep, before: before.map(Timestamp::from_seconds) }
}

fn total(log: &Log) -> u64 {
    let (inboxes, _) = inbox::inboxes(&log.tables, None, 9).expect("rows");
    inboxes.first().map_or(0, |(_, _, inbox)| inbox.total)
}

fn due(log: &Log, bounds: &[LevelBound]) -> bool {
    levels::is_due(&log.tables, (&Tenant::default(), &user()), (total(log), bounds)).expect("rows")
}

/// Asks until there is no more; how many went each time.
fn expire(log: &mut Log, bounds: &[LevelBound]) -> Vec<u64> {
    let mut parts = Vec::new();
    loop {
        match log.apply(Op::ExpireLevels { user: user(), bounds: bounds.to_vec() }) {
            Reply::Progress { removed, more } => {
                parts.push(removed);
                if !more {
                    return parts;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// How many there are of each level, counted one by one.
fn kept(log: &Log) -> BTreeMap<String, u64> {
    let page = inbox::everything(&log.tables, &Tenant::default(), &user()).expect("rows");
    let mut kept = BTreeMap::new();
    page.items.into_iter().for_each(|(_, row, _)| *kept.entry(row.level).or_default() += 1);
    assert_eq!((page.unread, total(log)), (kept.values().sum(), kept.values().sum()), "counts are not a recount");
    kept
}

#[test]
fn a_large_inbox_that_nobody_counted_is_expired_in_bounded_parts() {
    let mut log = Log::default();
    for nth in 0..1_800 {
        log.apply(send(if nth % 3 == 0 { "error" } else { "info" }));
    }
    let bounds = [bound("info", 10, None), bound("error", 0, None)];
    assert!(due(&log, &bounds));
    let parts = expire(&mut log, &bounds);
    assert!(parts.iter().all(|removed| *removed <= 500) && parts.len() > 3, "{parts:?}");
    assert_eq!(parts.iter().sum::<u64>(), 1_190);
    assert_eq!(kept(&log), BTreeMap::from([("error".into(), 600), ("info".into(), 10)]));
    assert!(!due(&log, &bounds));
}

#[test]
fn nothing_is_proposed_for_an_inbox_that_has_nothing_to_expire() {
    let mut log = Log::default();
    let many = [bound("info", 3, None)];
    for _ in 0..3 {
        log.apply(send("info"));
    }
    assert!(!due(&log, &many), "so few cannot be too many, counted or not");
    log.apply(send("error"));
    assert!(due(&log, &many), "four may be four of that level");
    assert_eq!(expire(&mut log, &many), [0]);
    assert!(!due(&log, &many), "they were counted: three and one");
    log.apply(send("info"));
    assert!(due(&log, &many));
    assert_eq!(expire(&mut log, &many), [1]);
    // One command a second: the oldest left was sent at 2.
    let old = |before| [bound("info", 0, Some(before))];
    assert!(!due(&log, &old(2)) && due(&log, &old(3)));
    assert_eq!((expire(&mut log, &old(3)), due(&log, &old(3))), (vec![1], false));
    log.apply(Op::DeleteNotification { user: user(), id: 3 });
    assert!(due(&log, &old(4)), "no newer one is known to be the oldest yet");
    assert_eq!((expire(&mut log, &old(4)), due(&log, &old(4))), (vec![0], false));
    assert!(!due(&log, &[bound("success", 1, Some(1_000))]), "there is none");
}

#[test]
fn an_imported_notification_older_than_the_one_before_it_is_expired_once_that_is_gone() {
    let mut log = Log::default();
    let imported = |(key, at)| {
        let (title, message, level, data) = ("t".into(), "m".into(), "info".into(), "{}".into());
        let (user, created_at) = (user(), Timestamp::from_seconds(at));
        ImportRecord::Notification(ImportNotification {
            key,
            user,
            title,
            message,
            level,
            data,
            is_read: false,
            created_at,
        })
    };
    log.apply(Op::Import { reserve: 9, records: [(1, 100), (2, 50)].map(imported).to_vec() });
    let bounds = [bound("info", 0, Some(60))];
    assert_eq!(expire(&mut log, &bounds), [0], "the first is young");
    assert!(!due(&log, &bounds));
    log.apply(Op::DeleteNotification { user: user(), id: 1 });
    assert!(due(&log, &bounds));
    assert_eq!((expire(&mut log, &bounds), kept(&log)), (vec![1], BTreeMap::new()));
}

#[test]
fn what_goes_otherwise_leaves_the_counts_right() {
    let mut log = Log::default();
    let counts = |log: &Log| {
        let counts = levels::counts_of(&log.tables, &Tenant::default(), &user()).expect("rows");
        counts.map(|counts| counts.levels.into_iter().map(|of| (of.level, of.count)).collect::<BTreeMap<_, _>>())
    };
    for level in ["info", "error", "info", "error", "info"] {
        log.apply(send(level));
    }
    expire(&mut log, &[bound("info", 9, None)]);
    log.apply(send("error"));
    log.apply(Op::DeleteNotification { user: user(), id: 6 });
    assert_eq!(counts(&log), Some(kept(&log)), "one that was not counted is not counted out");
    log.apply(Op::DeleteNotification { user: user(), id: 2 });
    assert_eq!(counts(&log), Some(kept(&log)));
    log.apply(Op::Expire { user: user(), keep: 2, before: None });
    assert_eq!(counts(&log), Some(BTreeMap::from([("info".into(), 1), ("error".into(), 1)])));
    assert_eq!(counts(&log), Some(kept(&log)));
    log.apply(Op::EraseUser { user: user() });
    assert_eq!((counts(&log), erase::unfinished(&log.tables).expect("rows")), (None, vec![]));
}

#[test]
fn counts_that_an_older_program_left_behind_are_counted_anew() {
    let mut log = Log::default();
    log.apply(send("info"));
    log.apply(send("error"));
    let level = LevelCount { level: "info".into(), count: 7, first: 1, oldest: Timestamp(0) };
    let stale = LevelCounts { counted_to: 9, counted_at: Timestamp(0), levels: vec![level] };
    log.store(Key::user(Table::LevelCounts, &Tenant::default(), &user()), &stale);
    assert_eq!(expire(&mut log, &[bound("info", 1, None)]), [0]);
    assert_eq!(kept(&log).len(), 2);
}
