//! The checker finds what it is for: a history in which all is well, and one for each way in which it is not.

use super::{Rule, violations};
use crate::history::{Event, History, Inbox, Outcome, Row, Toast, Write};

const ALICE: u64 = 1;
const BOB: u64 = 2;
const V1: u64 = 100;
const V0: u64 = 200;

fn write(nth: u64) -> Write {
    Write { writer: 0, nth }
}

fn asked(nth: u64, user: u64) -> Event {
    Event::Asked { write: write(nth), user }
}

fn answered(nth: u64, outcome: Outcome) -> Event {
    Event::Answered { write: write(nth), node: 1, outcome }
}

fn shown(stream: u64, id: u64, nth: u64) -> Event {
    Event::Shown { stream, id, title: write(nth).to_string() }
}

fn row(id: u64, nth: u64) -> Row {
    Row { id, title: write(nth).to_string(), is_read: nth == 1 }
}

fn page(rows: &[(u64, u64)]) -> [Event; 2] {
    let rows = rows.iter().map(|(id, nth)| (*id, write(*nth).to_string())).collect();
    [Event::ReadAsked { page: 1, node: 1, user: ALICE }, Event::ReadDone { page: 1, rows }]
}

fn toast(nth: u64) -> Toast {
    Toast { publisher: 7, nth }
}

fn heard(nth: u64) -> Event {
    Event::Heard { stream: V0, toast: toast(nth) }
}

/// Two clients, four writes, a page, three events, at three nodes; nothing is wrong.
fn sound() -> History {
    let mut events = vec![Event::Greeted { stream: V1, user: ALICE }, asked(0, BOB), asked(1, ALICE)];
    events.extend([answered(1, Outcome::Unknown), asked(1, ALICE), answered(1, Outcome::Stored(2))]);
    events.extend([shown(V1, 2, 1), Event::MarkAsked { write: write(1) }, Event::Marked { write: write(1) }]);
    events.extend([answered(0, Outcome::Stored(1)), asked(2, ALICE), asked(9, ALICE), answered(9, Outcome::Never)]);
    events.extend([answered(2, Outcome::Stored(3)), Event::Greeted { stream: V0, user: ALICE }, shown(V1, 3, 2)]);
    events.extend(page(&[(3, 2), (2, 1)]));
    events.extend([asked(3, ALICE), answered(3, Outcome::Stored(4)), shown(V0, 4, 3), shown(V1, 4, 3)]);
    for nth in 0..3 {
        events.extend([Event::Published { toast: toast(nth), user: ALICE }, Event::Taken { toast: toast(nth) }]);
    }
    events.extend([heard(0), heard(1), heard(2)]);
    let mut history = History { events, resumed: vec![V1], ..History::default() };
    for node in 1..=3 {
        history.inboxes.push(Inbox { node, user: ALICE, rows: vec![row(2, 1), row(3, 2), row(4, 3)] });
        history.inboxes.push(Inbox { node, user: BOB, rows: vec![row(1, 0)] });
        history.online.shown.push((node, vec!["p1".into()]));
    }
    history.online.truth = vec!["p1".into()];
    history
}

/// Every node has these rows for Alice.
fn inbox(history: &mut History, rows: &[(u64, u64)]) {
    for inbox in history.inboxes.iter_mut().filter(|inbox| inbox.user == ALICE) {
        inbox.rows = rows.iter().map(|(id, nth)| row(*id, *nth)).collect();
    }
}

fn without(history: &mut History, is_meant: impl Fn(&Event) -> bool) {
    let before = history.events.len();
    history.events.retain(|event| !is_meant(event));
    assert!(history.events.len() < before, "the case changes nothing");
}

fn heard_nth(event: &Event, of: u64) -> bool {
    matches!(event, Event::Heard { toast, .. } if toast.nth == of)
}

fn marks_all(number: u64) -> Event {
    Event::AllMarkAsked { user: ALICE, number }
}

type Spoil = fn(&mut History);

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let history = sound();
    assert!(violations(&history).is_empty(), "{:?}", violations(&history));
}

#[test]
fn each_broken_promise_is_found() {
    let table: &[(&str, Rule, Spoil)] = &[
        ("an answered write is nowhere", Rule::Lost, |h| inbox(h, &[(2, 1), (4, 3)])),
        ("it is missing at one node only", Rule::Lost, |h| {
            h.inboxes[4].rows.pop();
        }),
        ("a row that nobody asked for", Rule::Invented, |h| inbox(h, &[(2, 1), (3, 2), (4, 3), (5, 77)])),
        ("a row of another user", Rule::Invented, |h| inbox(h, &[(1, 0), (2, 1), (3, 2), (4, 3)])),
        ("a title that no writer makes", Rule::Invented, |h| h.inboxes[0].rows[0].title = "spam".into()),
        ("a write that never happened", Rule::TakenBack, |h| inbox(h, &[(2, 1), (3, 2), (4, 3), (5, 9)])),
        ("a write stands twice", Rule::Twice, |h| inbox(h, &[(2, 1), (3, 2), (4, 3), (5, 3)])),
        ("it is answered with two ids", Rule::Twice, |h| h.events.push(answered(3, Outcome::Stored(5)))),
        ("an id is given twice", Rule::Twice, |h| h.inboxes.iter_mut().for_each(|i| i.rows[0].id = 2)),
        ("nodes have other rows", Rule::Differs, |h| h.inboxes[2].rows.swap(0, 1)),
        ("it stands under another id", Rule::Differs, |h| inbox(h, &[(3, 1), (2, 2), (4, 3)])),
        ("ids do not ascend", Rule::Disorder, |h| inbox(h, &[(3, 2), (2, 1), (4, 3)])),
        ("an id is left out", Rule::Gap, |h| inbox(h, &[(2, 1), (3, 2), (5, 3)])),
        ("a later one has a lower id", Rule::Overtaken, |h| inbox(h, &[(2, 1), (3, 3), (4, 2)])),
        ("over two users, too", Rule::Overtaken, |h| {
            h.events.insert(0, answered(3, Outcome::Stored(4)));
            h.events.insert(0, asked(3, ALICE));
        }),
        ("a page shows less than was answered", Rule::Stale, |h| h.events.extend(page(&[(3, 2), (2, 1)]))),
        ("a page has a hole", Rule::Gap, |h| h.events.extend(page(&[(4, 3), (2, 1)]))),
        ("a page shows what is not there", Rule::Invented, |h| h.events.extend(page(&[(5, 9), (4, 3)]))),
        ("a client is not shown one", Rule::Gap, |h| without(h, |e| matches!(e, Event::Shown { id: 3, .. }))),
        ("nor the last one", Rule::Gap, |h| without(h, |e| matches!(e, Event::Shown { stream: V1, id: 4, .. }))),
        ("nor the first one", Rule::Gap, |h| without(h, |e| matches!(e, Event::Shown { id: 2, .. }))),
        ("a client is shown one twice", Rule::Twice, |h| h.events.push(shown(V1, 4, 3))),
        ("a client is shown one late", Rule::Disorder, |h| h.events.push(shown(V0, 3, 2))),
        ("a client is shown what is not stored", Rule::Invented, |h| h.events.push(shown(V0, 5, 9))),
        ("under another title", Rule::Invented, |h| h.events.push(shown(V0, 4, 2))),
        ("a marked one is unread", Rule::ReadState, |h| h.inboxes[0].rows[0].is_read = false),
        ("an unmarked one is read", Rule::ReadState, |h| h.inboxes[0].rows[1].is_read = true),
        ("one is unread of an inbox that was marked", Rule::ReadState, |h| {
            h.events.extend([marks_all(1), Event::AllMarked { user: ALICE, number: 1 }]);
            h.inboxes[0].rows[1].is_read = true;
        }),
        ("an event is not heard", Rule::Unheard, |h| without(h, |e| heard_nth(e, 1))),
        ("nor the last one", Rule::Unheard, |h| without(h, |e| heard_nth(e, 2))),
        ("nor any", Rule::Unheard, |h| without(h, |e| matches!(e, Event::Heard { .. }))),
        ("an event is heard twice", Rule::Twice, |h| h.events.push(heard(2))),
        ("events are heard in another order", Rule::Disorder, |h| h.events.push(heard(1))),
        ("an event that nobody published", Rule::Invented, |h| h.events.push(heard(3))),
        ("somebody is online who left", Rule::Presence, |h| h.online.truth.clear()),
        ("a node does not know who is online", Rule::Presence, |h| h.online.shown[1].1.clear()),
    ];
    for (what, rule, spoil) in table {
        let mut history = sound();
        spoil(&mut history);
        let found = violations(&history);
        assert!(found.iter().any(|violation| violation.rule == *rule), "{what}: {rule:?} is not among {found:?}");
    }
}

#[test]
fn what_is_not_promised_is_not_asked_for() {
    let table: &[(&str, Spoil)] = &[
        ("an unknown outcome may have happened", |h| {
            h.events.extend([
                asked(5, ALICE),
                answered(5, Outcome::Unknown),
                asked(5, ALICE),
                answered(5, Outcome::Never),
            ]);
            inbox(h, &[(2, 1), (3, 2), (4, 3), (5, 5)]);
            h.events.push(shown(V1, 5, 5));
        }),
        ("or not", |h| h.events.extend([asked(5, ALICE), answered(5, Outcome::Unknown)])),
        ("what is stored while all is marked may be read or not", |h| {
            let late =
                h.events.iter().position(|e| matches!(e, Event::Asked { write, .. } if write.nth == 3)).expect("there");
            h.events.insert(late, marks_all(1));
            h.events.push(Event::AllMarked { user: ALICE, number: 1 });
            for inbox in h.inboxes.iter_mut().filter(|inbox| inbox.user == ALICE) {
                inbox.rows[1].is_read = true;
            }
        }),
        ("all that an unconfirmed mark may have marked", |h| {
            h.events.push(marks_all(1));
            for inbox in h.inboxes.iter_mut().filter(|inbox| inbox.user == ALICE) {
                inbox.rows[1].is_read = true;
            }
        }),
        ("an event may be lost while something is broken", |h| {
            h.events.insert(0, Event::Fault);
            without(h, |e| matches!(e, Event::Heard { .. }));
        }),
        ("and by a socket that has ended", |h| {
            without(h, |e| heard_nth(e, 2));
            h.events.push(Event::Ended { stream: V0 });
        }),
        ("what was published before the greeting may be heard, or not", |h| {
            let late = h.events.iter().position(|e| matches!(e, Event::Greeted { stream: V0, .. })).expect("there");
            let greeted = h.events.remove(late);
            let first = h.events.iter().position(|e| matches!(e, Event::Taken { .. })).expect("there");
            h.events.insert(first, greeted);
            without(h, |e| heard_nth(e, 0) || matches!(e, Event::Shown { stream: V0, .. }));
        }),
    ];
    for (what, change) in table {
        let mut history = sound();
        change(&mut history);
        let found = violations(&history);
        assert!(found.is_empty(), "{what}: {found:?}");
    }
}
