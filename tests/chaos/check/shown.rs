//! What sockets and pages showed on the way, held against what is stored in the end.

use super::{Rule, Truth, Violation};
use crate::{
    history::{Event, History, Outcome, Page, Stream, User, Write},
    net::Node,
};
use std::collections::{HashMap, HashSet};

pub(super) fn violations(history: &History, truth: &Truth<'_>) -> Vec<Violation> {
    let mut found = sockets(history, truth);
    found.extend(pages(&history.events, truth));
    found
}

/// A socket that is open, or was.
struct Socket {
    user: User,
    greeted: usize,
    /// The place after the last that it was shown.
    next: Option<usize>,
}

fn sockets(history: &History, truth: &Truth<'_>) -> Vec<Violation> {
    let (mut sockets, mut found) = (HashMap::<Stream, Socket>::new(), Vec::new());
    let last_asked = last_asked(&history.events, truth);
    for (now, event) in history.events.iter().enumerate() {
        match event {
            Event::Greeted { stream, user } => {
                sockets.entry(*stream).or_insert(Socket { user: *user, greeted: now, next: None });
            }
            Event::Shown { stream, id, title } => {
                let Some(socket) = sockets.get_mut(stream) else { continue };
                found.extend(show((*stream, socket), (*id, title), truth, &last_asked));
            }
            _ => {}
        }
    }
    let resumed: HashSet<Stream> = history.resumed.iter().copied().collect();
    for (stream, socket) in sockets.iter().filter(|(stream, _)| resumed.contains(stream)) {
        let (seen, rows) = (socket.next.unwrap_or(0), truth.rows(socket.user));
        if seen != rows.len() {
            let what = format!("client {stream} of user {} was shown {seen} of {}", socket.user, rows.len());
            found.push(Violation::new(Rule::Gap, what));
        }
    }
    found
}

fn show(
    (stream, socket): (Stream, &mut Socket),
    (id, title): (u64, &str),
    truth: &Truth<'_>,
    last_asked: &HashMap<User, Vec<usize>>,
) -> Option<Violation> {
    let user = socket.user;
    let rows = truth.rows(user);
    let Some(at) = truth.place(user, id).filter(|at| rows[*at].title == title) else {
        return Some(Violation::new(
            Rule::Invented,
            format!("socket {stream} of user {user} was shown {title} as {id}"),
        ));
    };
    let before = socket.next.replace(at + 1);
    let what = |what: &str| format!("socket {stream} of user {user} {what} {title} ({id})");
    match before {
        Some(next) if at == next => None,
        Some(next) if at + 1 == next => Some(Violation::new(Rule::Twice, what("was shown twice:"))),
        Some(next) if at < next => Some(Violation::new(Rule::Disorder, what("was shown late, or twice:"))),
        Some(next) => {
            let missing = format!("was not shown {} and {} more before", rows[next].title, at - next - 1);
            Some(Violation::new(Rule::Gap, what(&missing)))
        }
        // What was asked for after the greeting must not be left out at the beginning.
        None => {
            let latest = at.checked_sub(1).and_then(|before| last_asked.get(&user)?.get(before).copied());
            let is_late = latest.is_some_and(|asked| asked > socket.greeted);
            is_late.then(|| Violation::new(Rule::Gap, what("missed what was asked for after its greeting, before")))
        }
    }
}

/// For each place in an inbox, when the last was asked for of what stands up to there.
fn last_asked(events: &[Event], truth: &Truth<'_>) -> HashMap<User, Vec<usize>> {
    let mut asked = HashMap::new();
    for (now, event) in events.iter().enumerate() {
        if let Event::Asked { write, .. } = event {
            asked.entry(*write).or_insert(now);
        }
    }
    let of = |rows: &[crate::history::Row]| {
        let mut latest = 0;
        let up_to = |row: &crate::history::Row| {
            latest = latest.max(Write::of(&row.title).and_then(|write| asked.get(&write).copied()).unwrap_or(0));
            latest
        };
        rows.iter().map(up_to).collect()
    };
    truth.rows.iter().map(|(user, rows)| (*user, of(rows))).collect()
}

/// A page is a piece of the inbox, and holds what its node had answered or shown before.
fn pages(events: &[Event], truth: &Truth<'_>) -> Vec<Violation> {
    let (mut asked, mut known) = (HashMap::<Page, (Node, User, u64)>::new(), HashMap::<(Node, User), u64>::new());
    let (mut users, mut found) = (HashMap::<Write, User>::new(), Vec::new());
    for event in events {
        match event {
            Event::Asked { write, user } => {
                users.insert(*write, *user);
            }
            Event::Answered { write, node, outcome: Outcome::Stored(id) } => {
                let user = users.get(write).copied().unwrap_or_default();
                let newest = known.entry((*node, user)).or_default();
                *newest = (*newest).max(*id);
            }
            Event::ReadAsked { page, node, user } => {
                let newest = known.get(&(*node, *user)).copied().unwrap_or(0);
                asked.insert(*page, (*node, *user, newest));
            }
            Event::ReadDone { page, rows } => {
                let Some((node, user, least)) = asked.remove(page) else { continue };
                let newest = rows.first().map_or(0, |(id, _)| *id);
                if newest < least {
                    let what =
                        format!("node {node} knew of {least} for user {user}, and then showed {newest} as the newest");
                    found.push(Violation::new(Rule::Stale, what));
                }
                found.extend(piece((node, user), rows, truth));
                let known = known.entry((node, user)).or_default();
                *known = (*known).max(newest);
            }
            _ => {}
        }
    }
    found
}

fn piece((node, user): (Node, User), rows: &[(u64, String)], truth: &Truth<'_>) -> Option<Violation> {
    let of = |what: &str, id: u64| format!("a page of user {user} at node {node} {what} {id}");
    let mut expected: Option<usize> = None;
    for (id, title) in rows {
        let Some(at) = truth.place(user, *id).filter(|at| truth.rows(user)[*at].title == *title) else {
            return Some(Violation::new(Rule::Invented, of("shows what is not stored:", *id)));
        };
        if expected.is_some_and(|expected| expected != at) {
            return Some(Violation::new(Rule::Gap, of("leaves something out before", *id)));
        }
        expected = at.checked_sub(1);
    }
    None
}
