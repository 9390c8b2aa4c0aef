//! One order for all: the same at every node, without a gap, and none against what was answered before what.

use super::{Rule, Truth, Violation};
use crate::history::{Event, History, Outcome, Row, Write};
use std::collections::HashMap;

pub(super) fn violations(history: &History, truth: &Truth<'_>) -> Vec<Violation> {
    let mut found = same_everywhere(history, truth);
    let by_id = by_id(truth, &mut found);
    found.extend(overtaken(&history.events, &by_id));
    found
}

fn same_everywhere(history: &History, truth: &Truth<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for inbox in &history.inboxes {
        let rows = truth.rows(inbox.user);
        let differs = rows.iter().zip(&inbox.rows).find(|(one, other)| one != other);
        if let Some((one, other)) = differs {
            let what = format!("node {} has {other:?} for user {}, and another {one:?}", inbox.node, inbox.user);
            found.push(Violation::new(Rule::Differs, what));
        } else if rows.len() != inbox.rows.len() {
            let (one, other) = (rows.len(), inbox.rows.len());
            let what = format!("node {} has {other} rows for user {}, another {one}", inbox.node, inbox.user);
            found.push(Violation::new(Rule::Differs, what));
        }
        if let Some(pair) = inbox.rows.windows(2).find(|pair| pair[0].id >= pair[1].id) {
            let what = format!("{} before {} in the inbox of user {}", pair[0].id, pair[1].id, inbox.user);
            found.push(Violation::new(Rule::Disorder, what));
        }
    }
    found
}

/// Rows of all users by id: nothing is ever deleted, so the ids are 1, 2, 3 and so on.
fn by_id<'a>(truth: &Truth<'a>, found: &mut Vec<Violation>) -> Vec<Option<&'a Row>> {
    let count: usize = truth.rows.values().map(|rows| rows.len()).sum();
    let mut by_id: Vec<Option<&Row>> = vec![None; count + 1];
    for row in truth.rows.values().copied().flatten() {
        match usize::try_from(row.id).ok().and_then(|id| by_id.get_mut(id)).filter(|_| row.id > 0) {
            Some(place) if place.is_none() => *place = Some(row),
            Some(_) => found.push(Violation::new(Rule::Twice, format!("two notifications have the id {}", row.id))),
            None => {
                let what = format!("there are {count} notifications, and one has the id {}", row.id);
                found.push(Violation::new(Rule::Gap, what));
            }
        }
    }
    by_id
}

/// When each was first asked for, and when it was answered.
fn times(events: &[Event]) -> HashMap<Write, (usize, usize)> {
    let mut times = HashMap::new();
    for (now, event) in events.iter().enumerate() {
        match event {
            Event::Asked { write, .. } => {
                times.entry(*write).or_insert((now, usize::MAX));
            }
            Event::Answered { write, outcome: Outcome::Stored(_), .. } => {
                if let Some((_, answered)) = times.get_mut(write) {
                    *answered = now.min(*answered);
                }
            }
            _ => {}
        }
    }
    times
}

/// From the last to the first: whatever has a lower id must have been asked for before anything later was answered.
fn overtaken(events: &[Event], by_id: &[Option<&Row>]) -> Vec<Violation> {
    let (times, mut found) = (times(events), Vec::new());
    let mut first_answered: Option<(usize, &Row)> = None;
    for row in by_id.iter().rev().flatten() {
        let Some((asked, answered)) = Write::of(&row.title).and_then(|write| times.get(&write)) else { continue };
        if let Some((before, later)) = first_answered.filter(|(before, _)| before < asked) {
            let what = format!(
                "{} ({}) was asked for at {asked}, and stands before {} ({}), which was answered at {before}",
                row.title, row.id, later.title, later.id
            );
            found.push(Violation::new(Rule::Overtaken, what));
        }
        if first_answered.is_none_or(|(before, _)| *answered < before) {
            first_answered = Some((*answered, row));
        }
    }
    found
}
