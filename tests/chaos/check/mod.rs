//! Whether a history keeps what is promised: functions over a value, in time that is linear in its length.
//!
//! [`stored`]: what is in the inboxes · [`order`]: in which order · [`shown`]: what sockets and pages showed · [`toasts`]:
//! ephemeral events · here: who is online. Each violation is told with what it is about; `tests` has a made-up
//! history for each.

mod order;
mod shown;
mod stored;
#[cfg(test)]
mod tests;
pub mod toasts;

use crate::history::{History, Row, User};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

/// What was promised, and broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What is answered is stored.
    Lost,
    /// What is stored was asked for.
    Invented,
    /// What "never happened" never did.
    TakenBack,
    /// Nothing is there twice.
    Twice,
    /// Every node has the same rows in the same order.
    Differs,
    /// No id, and nothing on a socket, is left out.
    Gap,
    /// What was answered before something else was asked comes before it.
    Overtaken,
    /// What is shown comes in the order of the inbox.
    Disorder,
    /// What a node has answered it shows from then on.
    Stale,
    /// Read is what somebody marked, all of it.
    ReadState,
    /// An ephemeral event that must come has not.
    Unheard,
    /// Whoever is there is online, nobody else is.
    Presence,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

impl Violation {
    pub fn new(rule: Rule, what: impl Into<String>) -> Self {
        Self { rule, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// What every user has, as one node shows it; the others are held against it.
struct Truth<'a> {
    rows: BTreeMap<User, &'a [Row]>,
    /// Where an id stands in its user's inbox.
    places: HashMap<u64, (User, usize)>,
}

impl<'a> Truth<'a> {
    fn of(history: &'a History) -> Self {
        let (mut rows, mut places) = (BTreeMap::new(), HashMap::new());
        for inbox in &history.inboxes {
            if rows.contains_key(&inbox.user) {
                continue;
            }
            rows.insert(inbox.user, inbox.rows.as_slice());
            places.extend(inbox.rows.iter().enumerate().map(|(at, row)| (row.id, (inbox.user, at))));
        }
        Self { rows, places }
    }

    fn rows(&self, user: User) -> &'a [Row] {
        self.rows.get(&user).copied().unwrap_or_default()
    }

    /// Where an id stands in this user's inbox.
    fn place(&self, user: User, id: u64) -> Option<usize> {
        self.places.get(&id).filter(|(of, _)| *of == user).map(|(_, at)| *at)
    }
}

/// Everything that is wrong.
pub fn violations(history: &History) -> Vec<Violation> {
    let truth = Truth::of(history);
    let mut found = stored::violations(history);
    found.extend(order::violations(history, &truth));
    found.extend(shown::violations(history, &truth));
    found.extend(toasts::violations(history));
    found.extend(presence(history));
    found
}

fn presence(history: &History) -> Vec<Violation> {
    let mut truth = history.online.truth.clone();
    truth.sort();
    let differs = history.online.shown.iter().filter_map(|(node, shown)| {
        let mut shown = shown.clone();
        shown.sort();
        (shown != truth).then(|| {
            Violation::new(Rule::Presence, format!("node {node} has {shown:?} online, and there are {truth:?}"))
        })
    });
    differs.collect()
}
