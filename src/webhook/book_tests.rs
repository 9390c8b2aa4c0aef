//! The table of answers, by hand and at random: nobody is let in on an answer that ran out or was flushed, nobody who
//! must go is forgotten, and nothing is left behind.

use super::*;
use crate::auth::Identity;
use hyper::HeaderMap;
use proptest::prelude::*;

const GOOD: Duration = Duration::from_secs(100);
const SOON: Duration = Duration::from_secs(70);

fn who(user: &str) -> Who {
    (Tenant::default(), UserId::new(user).expect("an id"))
}

fn known(user: &str, epoch: u64, now: Instant) -> Known {
    let identity = Identity {
        tenant: Tenant::default(),
        user: UserId::new(user).expect("an id"),
        username: String::new(),
        first_name: String::new(),
        last_name: String::new(),
        is_staff: false,
        issued_at: None,
        expires_at: crate::protocol::Timestamp(i64::MAX),
    };
    Known { identity: Arc::new(identity), until: now + GOOD, renew: now + SOON, epoch }
}

fn forwarded(n: u8) -> Forwarded {
    Forwarded { headers: HeaderMap::new(), fingerprint: [n; 32] }
}

impl Book {
    fn enter_one(&mut self, n: u8, known: &Known, (session, now): (u64, Instant)) {
        self.enter((forwarded(n), known.clone()), (SessionId(session), Endpoint::Dashboard), now);
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.due.is_empty() && self.idle.is_empty() && self.by_user.is_empty()
    }

    fn must_leave(&self) -> Vec<u64> {
        let mut ids: Vec<_> = self.leaving().into_iter().map(|(_, session, _)| session.0).collect();
        ids.sort_unstable();
        ids
    }
}

#[test]
fn an_answer_lets_in_until_it_runs_out_and_is_then_forgotten() {
    let (mut book, start) = (Book::default(), Instant::now());
    book.keep([1; 32], known("1", 0, start));
    assert!(book.answer(&[1; 32], start + GOOD - Duration::from_secs(1)).is_some());
    assert!(book.answer(&[1; 32], start + GOOD).is_none() && book.answer(&[2; 32], start).is_none());
    book.tidy(start + GOOD);
    assert!(book.is_empty());
}

#[test]
fn open_sockets_are_asked_about_in_time_and_again_if_nothing_comes_of_it() {
    let (mut book, start) = (Book::default(), Instant::now());
    let first = known("1", 0, start);
    book.keep([1; 32], first.clone());
    assert!(book.take_due(start + SOON, 9).is_empty(), "nobody lives on it");
    book.enter_one(1, &first, (1, start));
    assert!(book.take_due(start + SOON - Duration::from_secs(1), 9).is_empty());
    assert_eq!(book.take_due(start + SOON, 9), [forwarded(1)]);
    assert!(book.take_due(start + SOON, 9).is_empty(), "once");
    assert_eq!(book.take_due(start + SOON + AGAIN, 9).len(), 1, "the call came to nothing");
    book.keep([1; 32], known("1", 0, start + SOON));
    assert!(book.take_due(start + SOON + AGAIN, 9).is_empty(), "it was answered");
    assert!(!book.ran_out(&[1; 32], Duration::ZERO, start + GOOD));
    assert!(book.ran_out(&[1; 32], Duration::ZERO, start + SOON + GOOD));
    book.leave(&[1; 32], SessionId(1), start + SOON);
    assert!(book.entries[&[1; 32]].forwarded.is_none(), "a credential is kept only while somebody lives on it");
}

#[test]
fn a_flush_shuts_out_kept_answers_and_those_on_their_way() {
    let (mut book, start) = (Book::default(), Instant::now());
    let (early, other) = (known("1", 0, start), known("2", 0, start));
    book.keep([1; 32], early.clone());
    book.keep([2; 32], other);
    book.enter_one(3, &early, (3, start));
    book.flush(&who("1"));
    assert!(book.answer(&[1; 32], start).is_none() && book.answer(&[3; 32], start).is_none());
    assert!(book.answer(&[2; 32], start).is_some(), "another user's stays");
    // Asked before the flush, answered after it.
    book.keep([1; 32], early.clone());
    assert!(book.answer(&[1; 32], start).is_none());
    book.enter_one(4, &early, (4, start));
    assert!(book.answer(&[4; 32], start).is_none());
    assert_eq!(book.take_due(start, 9), [forwarded(4)], "it is asked about at once");
    book.keep([4; 32], known("1", book.epoch(), start));
    assert!(book.answer(&[4; 32], start).is_some());
}

#[test]
fn who_must_go_is_named_until_they_have_gone() {
    let (mut book, start) = (Book::default(), Instant::now());
    let first = known("1", 0, start);
    for session in 1..=3 {
        book.enter_one(1, &first, (session, start));
    }
    book.leave(&[1; 32], SessionId(3), start);
    book.condemn(&[1; 32], Close::TokenExpired);
    assert_eq!((book.must_leave(), book.is_empty()), (vec![1, 2], true));
    // Signed in again with the same cookie: the new one stays, the old ones go all the same.
    book.enter_one(1, &known("1", 0, start), (4, start));
    book.leave(&[1; 32], SessionId(1), start);
    assert_eq!((book.must_leave(), book.endpoints(&[1; 32])), (vec![2], vec![Endpoint::Dashboard]));
    // The cookie is another user's now.
    book.keep([1; 32], known("2", 0, start));
    assert_eq!(book.must_leave(), [2, 4]);
    assert_eq!(book.answer(&[1; 32], start).map(|known| known.who()), Some(who("2")));
}

#[test]
fn only_so_many_answers_are_kept_for_nobody() {
    let (mut book, start) = (Book::default(), Instant::now());
    let mut fingerprint = [0; 32];
    for n in 0..WEBHOOK_ANSWERS_MAX as u64 + 10 {
        fingerprint[..8].copy_from_slice(&n.to_be_bytes());
        book.keep(fingerprint, known("1", 0, start + Duration::from_millis(n)));
    }
    assert_eq!((book.entries.len(), book.idle.len()), (WEBHOOK_ANSWERS_MAX, WEBHOOK_ANSWERS_MAX));
    assert!(book.answer(&[0; 32], start).is_none() && book.answer(&fingerprint, start).is_some(), "the oldest go");
}

proptest! {
    #[test]
    fn whatever_happens_in_whatever_order_nothing_is_left_behind(
        steps in proptest::collection::vec((0u8..8, 0u8..3, 0u8..3, 0u64..6), 0..120),
    ) {
        let (mut book, mut now) = (Book::default(), Instant::now());
        let mut inside: HashMap<u64, u8> = HashMap::new();
        for (step, n, user, session) in steps {
            now += Duration::from_secs(7);
            let user = user.to_string();
            match step {
                0 => book.keep([n; 32], known(&user, book.epoch(), now)),
                1 | 2 => {
                    if let Some(at) = inside.remove(&session) {
                        book.leave(&[at; 32], SessionId(session), now);
                    } else {
                        let known = book.answer(&[n; 32], now).unwrap_or_else(|| known(&user, book.epoch(), now));
                        book.enter_one(n, &known, (session, now));
                        inside.insert(session, n);
                    }
                }
                3 => book.flush(&who(&user)),
                4 => book.condemn(&[n; 32], Close::TokenExpired),
                5 => { book.take_due(now, 2); }
                6 => book.forget(&[n; 32]),
                _ => book.tidy(now),
            }
            // Whoever is inside is either asked about or must leave.
            for session in inside.keys() {
                let is_guest = book.entries.values().filter(|entry| entry.guests.contains_key(&SessionId(*session))).count();
                prop_assert_eq!(is_guest + usize::from(book.leaving.contains_key(&SessionId(*session))), 1);
            }
            for (fingerprint, entry) in &book.entries {
                let order = if entry.guests.is_empty() { &book.idle } else { &book.due };
                prop_assert!(order.contains(&(entry.at, *fingerprint)));
                prop_assert_eq!(entry.forwarded.is_some(), !entry.guests.is_empty());
            }
            prop_assert_eq!(book.entries.len(), book.due.len() + book.idle.len());
        }
        for (session, n) in inside {
            book.leave(&[n; 32], SessionId(session), now);
        }
        prop_assert!(book.leaving.is_empty());
        book.tidy(now + GOOD);
        prop_assert!(book.is_empty());
    }
}
