//! The truth that knows nothing of resuming: what writers were answered and what the API shows must be told by the
//! events, one by one.

use crate::{
    client::FOR_A_TAB,
    events::{END_OF_PHASE, Event, Own, Stream},
    load::{Answered, Change},
    support::{Api, inbox},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// An inbox as its events tell it.
#[derive(Default)]
struct Inbox {
    /// Title and read state by id.
    items: BTreeMap<u64, (String, bool)>,
    deleted: BTreeMap<u64, String>,
    /// How often everything was marked as read.
    read_all: u64,
}

impl Inbox {
    fn unread(&self) -> usize {
        self.items.values().filter(|(_, is_read)| !is_read).count()
    }

    /// Takes one event in, which must be possible where it stands, and say the right count.
    fn take(&mut self, event: &Event) -> Result<(), String> {
        let (data, id, before) = (event.data(), event.data()["id"].as_u64(), self.unread());
        let mut read_state = |id: Option<u64>, to: bool| match id.and_then(|id| self.items.get_mut(&id)) {
            Some((_, is_read)) if *is_read != to => {
                *is_read = to;
                Ok(())
            }
            _ => Err(format!("what changed nothing was announced: {event}")),
        };
        match (event.kind(), id) {
            ("new_notification", Some(id)) => {
                let last = self.items.keys().chain(self.deleted.keys()).max();
                if last.is_some_and(|last| id <= *last) {
                    return Err(format!("an id that does not ascend: {event}"));
                }
                self.items.insert(id, (data["title"].as_str().unwrap_or_default().to_owned(), data["is_read"] == true));
            }
            ("notification_read", None) if data["all"] == true && before > 0 => {
                self.items.values_mut().for_each(|(_, is_read)| *is_read = true);
                self.read_all += 1;
            }
            ("notification_read", id) => read_state(id, true)?,
            ("notification_unread", id) => read_state(id, false)?,
            ("notification_deleted", Some(id)) => {
                let (title, _) =
                    self.items.remove(&id).ok_or_else(|| format!("deleted without having been: {event}"))?;
                self.deleted.insert(id, title);
            }
            _ => return Err(format!("no event of an inbox: {event}")),
        }
        let counts: Vec<&Value> = event.frames[1..].iter().collect();
        let expected = json!({"type": "unread_count", "count": self.unread()});
        let may_be_silent = event.kind() == "notification_deleted" && before == self.unread();
        if counts != [&expected] && !(may_be_silent && counts.is_empty()) {
            return Err(format!("not followed by {expected}: {event}"));
        }
        Ok(())
    }
}

/// A user's events of notifications against what was answered, and against the inbox in the end.
pub async fn notifications(
    api: &Api,
    user: &str,
    events: &[Event],
    (answered, tabs): (&[Answered], &[&Own]),
) -> Result<(), String> {
    let mut told = Inbox::default();
    let mut changes: BTreeMap<u64, VecDeque<Change>> = BTreeMap::new();
    for ((of, id), list) in answered.iter().flat_map(|one| &one.changes) {
        if of == user {
            changes.entry(*id).or_default().extend(list);
        }
    }
    for event in events {
        explain(event, &told, &mut changes)?;
        told.take(event)?;
    }
    for (id, left) in changes {
        // Reading what "read all" has read changes nothing.
        let is_read = told.items.get(&id).is_some_and(|(_, is_read)| *is_read);
        if left.iter().any(|change| *change != Change::Read) || (!left.is_empty() && !is_read) {
            return Err(format!("user {user}: {left:?} of notification {id} was answered and never told"));
        }
    }
    let unread = |id: &u64| told.items.get(id).is_none_or(|(_, is_read)| !is_read);
    if let Some(id) = tabs.iter().flat_map(|tab| &tab.confirmed).find(|id| unread(id)) {
        return Err(format!("user {user}: that {id} was read was confirmed to a tab and never told"));
    }
    let by_backends: u64 = answered.iter().filter_map(|one| one.read_all.get(user)).sum();
    let asked = by_backends + tabs.iter().map(|tab| tab.asked_all).sum::<u64>();
    // One that finds nothing unread changes nothing, and nobody is told.
    if told.read_all > asked {
        return Err(format!("user {user}: told {} times that all was read, asked for {asked} times", told.read_all));
    }
    let all: BTreeMap<u64, &str> = told
        .deleted
        .iter()
        .map(|(id, title)| (*id, title.as_str()))
        .chain(told.items.iter().map(|(id, (title, _))| (*id, title.as_str())))
        .collect();
    for (writer, one) in answered.iter().enumerate() {
        let mine = format!("w{writer} ");
        let told: Vec<&str> =
            all.values().filter(|title| title.trim_start_matches(FOR_A_TAB).starts_with(&mine)).copied().collect();
        let sent = one.titles.get(user).map_or(&[][..], Vec::as_slice);
        if told != sent {
            return Err(format!("user {user}: writer {writer} sent {sent:?}, and told was {told:?}"));
        }
    }
    let stored: BTreeMap<u64, (String, bool)> = inbox::of(api, user)
        .await
        .into_iter()
        .map(|(id, item)| (id, (item["title"].as_str().unwrap_or_default().to_owned(), item["is_read"] == true)))
        .collect();
    if stored != told.items {
        return Err(format!("user {user}: stored is {stored:?}, and told was {:?}", told.items));
    }
    Ok(())
}

/// Crosses out the change that this event tells of. A `read` before it may have had no event of its own if the
/// notification had been read with all others.
fn explain(event: &Event, told: &Inbox, changes: &mut BTreeMap<u64, VecDeque<Change>>) -> Result<(), String> {
    let change = match event.kind() {
        "notification_read" => Change::Read,
        "notification_unread" => Change::Unread,
        "notification_deleted" => Change::Delete,
        _ => return Ok(()),
    };
    let Some(id) = event.data()["id"].as_u64() else { return Ok(()) };
    let state = told.items.get(&id);
    if state.is_some_and(|(title, _)| title.starts_with(FOR_A_TAB)) {
        return Ok(()); // A tab's doing: its own replies are held against it elsewhere.
    }
    let asked = changes.entry(id).or_default();
    while let Some(next) = asked.pop_front() {
        if next == change {
            return Ok(());
        }
        if next != Change::Read || !state.is_some_and(|(_, is_read)| *is_read) {
            return Err(format!("{next:?} of notification {id} was answered, but the next told of it is {event}"));
        }
    }
    Err(format!("nobody asked for {event}"))
}

/// Events of every other kind: what each writer was answered, all of it, once, in the writer's order.
pub fn sent(stream: &Stream, events: &[Event], answered: &[Answered]) -> Result<(), String> {
    let mut told: BTreeMap<usize, Vec<(&str, usize)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.end_of_phase().is_none()) {
        let number = |name: &str| event.data()[name].as_u64().and_then(|n| usize::try_from(n).ok());
        let (Some(writer), Some(n)) = (number("writer"), number("n")) else {
            return Err(format!("{stream}: nobody sent {event}"));
        };
        told.entry(writer).or_default().push((event.kind(), n));
    }
    for (writer, one) in answered.iter().enumerate() {
        let told = told.remove(&writer).unwrap_or_default();
        let sent: Vec<(&str, usize)> =
            one.sent.get(stream).into_iter().flatten().enumerate().map(|(n, kind)| (*kind, n)).collect();
        if let Some(nth) = (0..sent.len().max(told.len())).find(|nth| sent.get(*nth) != told.get(*nth)) {
            let (sent, told) = (sent.get(nth), told.get(nth));
            return Err(format!("{stream}: call {nth} of writer {writer} was {sent:?}, and told was {told:?}"));
        }
    }
    Ok(())
}

/// Payments and alerts can be read back: the same, newest first.
pub async fn read_back(api: &Api, stream: &Stream, events: &[Event]) -> Result<(), String> {
    let (path, kind) = match stream {
        Stream::Subscriptions(user) => (format!("/users/{user}/payments"), "payment_confirmation"),
        Stream::Alerts => ("/admin/alerts".to_owned(), "alert"),
        _ => return Ok(()),
    };
    let shown = api.get(&path).await.ok();
    let shown: Vec<&Value> = shown["data"].as_array().into_iter().flatten().map(|row| &row["data"]).collect();
    let told: Vec<&Value> =
        events.iter().rev().filter(|event| event.kind().ends_with(kind)).map(Event::data).take(shown.len()).collect();
    if shown.is_empty() || shown != told {
        return Err(format!("{stream}: {path} shows {shown:?}, and told was {told:?}"));
    }
    Ok(())
}

/// Everybody comes and goes in turn, and is in the end where the API says.
pub async fn presence(api: &Api, events: &[Event], people: &[String]) -> Result<(), String> {
    let mut online: BTreeMap<String, bool> = BTreeMap::new();
    for event in events {
        let frame = &event.frames[0];
        let who = frame["username"].as_str().ok_or_else(|| format!("nobody: {event}"))?;
        let now = frame["online"].as_bool().ok_or_else(|| format!("neither here nor gone: {event}"))?;
        if online.insert(who.to_owned(), now).unwrap_or(false) == now {
            return Err(format!("came or went twice: {event}"));
        }
    }
    for person in people {
        let shown = api.get(&format!("/users/{person}/presence")).await.ok();
        let told = online.get(person).copied().unwrap_or(false);
        if shown["is_online"] != told {
            let is_of = |event: &&Event| event.frames[0]["username"] == person.as_str();
            let last: Vec<String> = events.iter().rev().filter(is_of).take(3).map(ToString::to_string).collect();
            return Err(format!(
                "{person} is online: {told}, as told by {last:?} (newest first), and the API says {shown}"
            ));
        }
    }
    Ok(())
}

/// What the event that ends a phase has in it.
pub fn end_marker(phase: u64) -> String {
    format!("{END_OF_PHASE}{phase}x")
}

/// One last event on every stream but presence.
pub async fn mark_end(api: &Api, users: &[&str], phase: u64) {
    let marker = end_marker(phase);
    let data = json!({"data": {"marker": marker}});
    for user in users {
        api.notify(user, &marker).await;
        api.post(&format!("/users/{user}/dashboard"), &data).await.ok();
        api.post(&format!("/users/{user}/expiry-warnings"), &data).await.ok();
    }
    api.post("/admin/dashboard", &data).await.ok();
    api.post("/admin/alerts", &json!({"alert_type": "new_subscription", "data": data["data"]})).await.ok();
}
