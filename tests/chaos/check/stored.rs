//! What is in the inboxes: everything that was answered, nothing that was not asked for or was refused, nothing twice.

use super::{Rule, Violation};
use crate::history::{Event, History, Inbox, Outcome, User, Write};
use std::collections::{HashMap, HashSet};

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

pub(super) fn violations(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let asked = asked(&history.events, &mut found);
    for inbox in &history.inboxes {
        compare(inbox, &asked, &mut found);
    }
    found
}

fn asked(events: &[Event], found: &mut Vec<Violation>) -> HashMap<Write, Asked> {
    let mut all: HashMap<Write, Asked> = HashMap::new();
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
            _ => {}
        }
    }
    all
}

fn compare(inbox: &Inbox, asked: &HashMap<Write, Asked>, found: &mut Vec<Violation>) {
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
        if row.is_read && !known.is_mark_asked || known.is_marked && !row.is_read {
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
