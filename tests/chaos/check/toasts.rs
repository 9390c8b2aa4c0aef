//! Ephemeral events: at most once and in order always; exactly once to whoever was greeted before, while nothing is broken.

use super::{Rule, Violation};
use crate::history::{Event, History, Stream, Toast, User};
use std::collections::{HashMap, HashSet};

/// A publisher's events so far.
#[derive(Default)]
struct Publisher {
    user: User,
    /// For each, when its call began, and how many of those before it must come.
    calls: Vec<(usize, u64)>,
    due: u64,
}

struct Socket {
    user: User,
    greeted: usize,
    /// By publisher, the number after the last that was heard.
    next: HashMap<u64, u64>,
}

pub(crate) fn violations(history: &History) -> Vec<Violation> {
    let events = &history.events;
    // They are away again and again, and make up for what is durable.
    let resumed: HashSet<Stream> = history.resumed.iter().copied().collect();
    let (publishers, by_user) = publishers(events);
    let (mut sockets, mut found) = (HashMap::<Stream, Socket>::new(), Vec::new());
    for (now, event) in events.iter().enumerate() {
        match event {
            Event::Greeted { stream, user } if !resumed.contains(stream) => {
                sockets.entry(*stream).or_insert(Socket { user: *user, greeted: now, next: HashMap::new() });
            }
            Event::Heard { stream, toast } => {
                let (Some(socket), Some(publisher)) = (sockets.get_mut(stream), publishers.get(&toast.publisher))
                else {
                    found.push(Violation::new(Rule::Invented, format!("socket {stream} heard {toast:?}")));
                    continue;
                };
                found.extend(hear((*stream, socket), *toast, publisher));
            }
            // What it has not heard yet it need not hear any more.
            Event::Ended { stream } => {
                sockets.remove(stream);
            }
            _ => {}
        }
    }
    for (stream, socket) in &sockets {
        for number in by_user.get(&socket.user).into_iter().flatten() {
            let publisher = &publishers[number];
            let unheard = missing(socket, *number, (publisher.calls.len() as u64, publisher));
            if unheard > 0 {
                let what = format!("socket {stream} lacks {unheard} of publisher {number} at the end");
                found.push(Violation::new(Rule::Unheard, what));
            }
        }
    }
    found
}

/// Publishers by number, and whose sockets they publish to. What is due was begun and taken while nothing was broken.
fn publishers(events: &[Event]) -> (HashMap<u64, Publisher>, HashMap<User, Vec<u64>>) {
    let (mut all, mut by_user) = (HashMap::<u64, Publisher>::new(), HashMap::<User, Vec<u64>>::new());
    let (mut calm_since, mut is_calm) = (0, true);
    for (now, event) in events.iter().enumerate() {
        match event {
            Event::Fault => is_calm = false,
            Event::Calm => (calm_since, is_calm) = (now, true),
            Event::Published { toast, user } => {
                let publisher = all.entry(toast.publisher).or_insert_with(|| {
                    by_user.entry(*user).or_default().push(toast.publisher);
                    Publisher { user: *user, ..Publisher::default() }
                });
                let due = publisher.due;
                publisher.calls.push((now, due));
            }
            Event::Taken { toast } => {
                // One call after the other: it is the last.
                if let Some(publisher) = all.get_mut(&toast.publisher)
                    && publisher.calls.last().is_some_and(|(began, _)| is_calm && *began >= calm_since)
                {
                    publisher.due += 1;
                }
            }
            _ => {}
        }
    }
    (all, by_user)
}

fn hear((stream, socket): (Stream, &mut Socket), toast: Toast, publisher: &Publisher) -> Option<Violation> {
    let Toast { publisher: number, nth } = toast;
    if nth >= publisher.calls.len() as u64 || publisher.user != socket.user {
        return Some(Violation::new(Rule::Invented, format!("socket {stream} heard {toast:?}")));
    }
    let next = socket.next.get(&number).copied();
    if next.is_some_and(|next| nth < next) {
        let (rule, how) =
            if next == Some(nth + 1) { (Rule::Twice, "twice") } else { (Rule::Disorder, "late, or twice") };
        return Some(Violation::new(rule, format!("socket {stream} heard {toast:?} {how}")));
    }
    let unheard = missing(socket, number, (nth, publisher));
    socket.next.insert(number, nth + 1);
    (unheard > 0).then(|| Violation::new(Rule::Unheard, format!("socket {stream} lacks {unheard} before {toast:?}")))
}

/// How many must have come before the nth, and have not.
fn missing(socket: &Socket, number: u64, (nth, publisher): (u64, &Publisher)) -> u64 {
    let from = socket.next.get(&number).copied().unwrap_or_else(|| {
        // Found by halving, since calls are in order; each socket needs it once for each publisher.
        publisher.calls.partition_point(|(began, _)| *began <= socket.greeted) as u64
    });
    let due_before =
        |nth: u64| publisher.calls.get(usize::try_from(nth).expect("small")).map_or(publisher.due, |c| c.1);
    if nth <= from { 0 } else { due_before(nth) - due_before(from) }
}
