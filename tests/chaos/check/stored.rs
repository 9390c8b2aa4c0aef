//! What is in the inboxes: everything that was answered, nothing that was not asked for or was refused, nothing twice.

use super::{Rule, Violation};
use crate::history::{Event, History, Inbox, Outcome, User, Write};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What is known of a write from its writer.
#[derive(Default)]
struct Asked {
    user: User,
    id: Option<u64>,
    /// Attempts whose outcome is not known, or not told yet.
    open: i64,
    is_mark_asked: bool,
    is_marked: bool,
}

/// What is known of an inbox as a whole.
#[derive(Default)]
struct Whole {
    /// What was answered as stored, in this order.
    stored: Vec<Write>,
    /// Requests to mark all, and how much was stored before each: what is stored meanwhile may be marked or not.
    mark_asked: BTreeMap<u64, usize>,
    /// How much of it a confirmed one has marked.
    marked: usize,
}

pub(super) fn violations(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let (asked, wholes) = asked(&history.events, &mut found);
    for inbox in &history.inboxes {
        let may_be_marked = wholes.get(&inbox.user).is_some_and(|whole| !whole.mark_asked.is_empty());
        compare((inbox, may_be_marked), &asked, &mut found);
    }
    found
}

fn asked(events: &[Event], found: &mut Vec<Violation>) -> (HashMap<Write, Asked>, HashMap<User, Whole>) {
    let (mut all, mut wholes): (HashMap<Write, Asked>, HashMap<User, Whole>) = Default::default();
    for event in events {
        match event {
            Event::Asked { write, user } => {
                let asked = all.entry(*write).or_default();
                asked.user = *user;
                asked.open += 1;
            }
            Event::Answered { write, node, outcome } => {
                let asked = all.entry(*write).or_default();
                match outcome {
                    Outcome::Stored(id) => {
                        wholes.entry(asked.user).or_default().stored.push(*write);
                        if let Some(other) = asked.id.replace(*id).filter(|other| other != id) {
                            let what = format!("{write} was answered as {other}, then as {id} by node {node}");
                            found.push(Violation::new(Rule::Twice, what));
                        }
                    }
                    Outcome::Never => asked.open -= 1,
                    Outcome::Unknown => {}
                }
            }
            Event::MarkAsked { write } => all.entry(*write).or_default().is_mark_asked = true,
            Event::Marked { write } => all.entry(*write).or_default().is_marked = true,
            Event::AllMarkAsked { user, number } => {
                let whole = wholes.entry(*user).or_default();
                whole.mark_asked.insert(*number, whole.stored.len());
            }
            Event::AllMarked { user, number } => {
                let whole = wholes.entry(*user).or_default();
                whole.marked = whole.marked.max(whole.mark_asked.get(number).copied().unwrap_or(0));
            }
            _ => {}
        }
    }
    for whole in wholes.values() {
        for write in &whole.stored[..whole.marked] {
            all.entry(*write).or_default().is_marked = true;
        }
    }
    (all, wholes)
}

fn compare((inbox, may_be_marked): (&Inbox, bool), asked: &HashMap<Write, Asked>, found: &mut Vec<Violation>) {
    let at = format!("in the inbox of user {} at node {}", inbox.user, inbox.node);
    let mut wrong = |rule, what: String| found.push(Violation::new(rule, format!("{what} {at}")));
    let mut seen = HashSet::new();
    for row in &inbox.rows {
        let known = Write::of(&row.title).and_then(|write| Some((write, asked.get(&write)?)));
        let Some((write, known)) = known.filter(|(_, known)| known.user == inbox.user) else {
            wrong(Rule::Invented, format!("{:?} ({}), which nobody asked for, stands", row.title, row.id));
            continue;
        };
        if !seen.insert(write) {
            wrong(Rule::Twice, format!("{write} stands twice, now as {},", row.id));
        }
        if known.id.is_some_and(|id| id != row.id) {
            wrong(Rule::Differs, format!("{write} was answered as {:?} and stands as {}", known.id, row.id));
        }
        if known.id.is_none() && known.open <= 0 {
            wrong(
                Rule::TakenBack,
                format!("{write} ({}), of which every answer said that it never happened, stands", row.id),
            );
        }
        let may_be_read = known.is_mark_asked || may_be_marked;
        if row.is_read && !may_be_read || known.is_marked && !row.is_read {
            wrong(Rule::ReadState, format!("{write} ({}) has is_read: {}", row.id, row.is_read));
        }
    }
    for (write, known) in asked.iter().filter(|(_, known)| known.user == inbox.user) {
        if let Some(id) = known.id
            && !seen.contains(write)
        {
            wrong(Rule::Lost, format!("{write}, which was answered as {id}, is not"));
        }
    }
}
