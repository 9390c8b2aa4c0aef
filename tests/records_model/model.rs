//! The naive model: lists that are counted anew for every question.

use crate::{
    commands::{NODE, Step, tenants, users},
    machine::Machine,
};
use carillon::{
    protocol::{Tenant, Timestamp, UserId},
    records::{Command, Op, Rejection, Reply, dashboard, directory, inbox, levels, presence, subscriptions},
};
use std::collections::{BTreeMap, HashMap};

#[path = "model_import.rs"]
mod import;
#[path = "model_retention.rs"]
mod retention;

#[derive(Default)]
pub struct Model {
    /// Node ids with their incarnations, and whether they were removed.
    members: std::collections::BTreeMap<u64, ([u8; 16], bool)>,
    tenants: HashMap<Tenant, Of>,
    /// Present boot of the node.
    epoch: u64,
    /// The last boot that the node was taken out in.
    ended: Option<u64>,
    pub transitions: Vec<(Tenant, String, bool)>,
}

/// One tenant.
#[derive(Default)]
struct Of {
    /// In the order of their ids.
    notes: Vec<Note>,
    last_note: u64,
    /// The id of each key that may be imported, and whether it was.
    keys: Vec<(u64, bool)>,
    /// In the order of their making.
    subscriptions: Vec<(UserId, Subscription)>,
    last_subscription: u64,
    history: HashMap<UserId, usize>,
    last_alert: u64,
    answered: HashMap<[u8; 32], ([u8; 32], Reply, Timestamp)>,
    people: BTreeMap<UserId, Person>,
    /// When the backend had last stated who was erased, and was not staff.
    demoted: HashMap<UserId, Timestamp>,
    presence: HashMap<UserId, Here>,
}

struct Note {
    id: u64,
    user: UserId,
    read: bool,
    level: String,
    at: Timestamp,
}

#[derive(Clone)]
struct Subscription {
    id: String,
    plan: String,
    active: bool,
}

#[derive(Clone, Default)]
struct Person {
    name: String,
    /// First and last name; only tokens give any.
    names: (&'static str, &'static str),
    inactive: bool,
    staff: bool,
    stated: Option<Timestamp>,
    /// When the token was issued that said so.
    token: Option<Timestamp>,
}

#[derive(Default)]
struct Here {
    boots: Vec<(u64, u64)>,
    seen: Option<Timestamp>,
    activity: Option<Timestamp>,
}

/// An answer as it is given again: ids are kept, and the users are those of the retry. (These histories also retry
/// with another command under the same hash, which no caller can.)
fn again(reply: &Reply, op: &Op) -> Reply {
    match (reply, op) {
        (Reply::Created { notifications, created_at }, op) => {
            let first = notifications.first().map_or(0, |(_, id)| *id);
            let Op::SendNotification { users, .. } = op else {
                return Reply::CreatedFrom { first, created_at: *created_at };
            };
            Reply::Created { notifications: users.iter().cloned().zip(first..).collect(), created_at: *created_at }
        }
        (other, _) => other.clone(),
    }
}

impl Model {
    /// Runs steps; what each command is answered.
    pub fn run(&mut self, steps: &[Step]) -> Vec<Reply> {
        let mut at = Timestamp::from_seconds(1_000_000_000);
        self.epoch = 1;
        let mut replies = vec![Reply::Done];
        for step in steps {
            replies.push(match step {
                Step::Restart => {
                    self.epoch += 1;
                    Reply::Done
                }
                Step::Do(todo) => {
                    at = at.plus_seconds(todo.after);
                    self.command(&todo.command(at, self.epoch))
                }
            });
        }
        replies
    }

    fn command(&mut self, command: &Command) -> Reply {
        let of = self.tenants.entry(command.tenant.clone()).or_default();
        let day_ago = command.at.plus_seconds(-24 * 3_600);
        let Some(idempotency) = &command.idempotency else { return self.op(command) };
        match of.answered.get(&idempotency.key).filter(|(_, _, at)| *at >= day_ago) {
            Some((body, ..)) if *body != idempotency.body => Reply::Rejected(Rejection::KeyReused),
            Some((_, reply, _)) => Reply::Replayed(Box::new(again(reply, &command.op))),
            None => {
                let reply = self.op(command);
                if !matches!(reply, Reply::Rejected(_)) {
                    let of = self.tenants.entry(command.tenant.clone()).or_default();
                    of.answered.insert(idempotency.key, (idempotency.body, reply.clone(), command.at));
                }
                reply
            }
        }
    }

    fn op(&mut self, command: &Command) -> Reply {
        let (tenant, at) = (&command.tenant, command.at);
        let of = self.tenants.entry(tenant.clone()).or_default();
        match &command.op {
            Op::SendNotification { users, level, .. } => of.send(users, level, at),
            Op::SetRead { user, id, read, .. } => of.set_read(user, *id, *read),
            Op::ReadAll { user, .. } => {
                let changed = of.unread(user) > 0;
                of.notes.iter_mut().filter(|note| note.user == *user).for_each(|note| note.read = true);
                Reply::Inbox { found: true, changed, unread: 0 }
            }
            Op::DeleteNotification { user, id } => {
                let before = of.notes.len();
                of.notes.retain(|note| !(note.id == *id && note.user == *user));
                let there = of.notes.len() < before;
                Reply::Inbox { found: there, changed: there, unread: of.unread(user) }
            }
            Op::Expire { user, keep, before } => of.expire(user, *keep, *before),
            Op::ExpireLevels { user, bounds } => of.expire_levels(user, bounds),
            Op::UpdateSubscription { user, data } => of.subscribe(user, data),
            Op::BeginHistory { .. } => Reply::Done,
            Op::EnterNode { node, incarnation } => match self.members.entry(*node).or_insert((*incarnation, false)) {
                (_, true) => Reply::Rejected(Rejection::Removed { node: *node }),
                (known, false) if known != incarnation => Reply::Rejected(Rejection::Wiped { node: *node }),
                _ => Reply::Done,
            },
            Op::RemoveNode { node } => {
                self.members.entry(*node).or_default().1 = true;
                if *node == NODE {
                    self.ended = Some(self.epoch);
                }
                Reply::Done
            }
            Op::EditGroups { .. }
            | Op::PruneGroups { .. }
            | Op::ShowGroups { .. }
            | Op::MarkDown { .. }
            | Op::RaiseFeatures { .. }
            | Op::EndStays { .. } => {
                unreachable!("groups have tests of their own")
            }
            // Its own check holds the journal against what was announced.
            Op::TrimJournal { .. } => Reply::Progress { removed: u64::MAX, more: false },
            Op::RaiseAlert { .. } => {
                of.last_alert += 1;
                Reply::Alert { id: of.last_alert }
            }
            Op::PutUser { user, username, is_active, is_staff, .. } => {
                let person = of.person(user);
                person.name = username.clone().unwrap_or(person.name.clone());
                person.inactive = !is_active.unwrap_or(!person.inactive);
                person.staff = is_staff.unwrap_or(person.staff);
                person.stated = Some(at);
                Reply::User {
                    username: person.name.clone(),
                    first_name: person.names.0.into(),
                    last_name: person.names.1.into(),
                    is_active: !person.inactive,
                    is_staff: person.staff,
                }
            }
            Op::SeeUser { user, username, is_staff, issued_at, .. } => {
                let is_new = !of.people.contains_key(user);
                let person = of.person(user);
                let after_backend = person.stated.is_none_or(|at| issued_at.is_some_and(|issued| issued > at));
                let after_token = person.token.is_none_or(|at| issued_at.is_some_and(|issued| issued >= at));
                let is_news = (&person.name, person.names, person.staff) != (username, ("f", "l"), *is_staff);
                if is_new || (after_backend && after_token && is_news) {
                    (person.name, person.names) = (username.clone(), ("f", "l"));
                    (person.staff, person.token) = (*is_staff && after_backend, *issued_at);
                }
                Reply::Done
            }
            Op::RevokeTokens { user } => {
                of.person(user);
                Reply::Done
            }
            Op::EraseUser { user } => self.erase(tenant, user),
            Op::ComeOnline { user, node, epoch } => {
                if *node != NODE || (*epoch >= self.epoch && self.ended < Some(*epoch)) {
                    let here = of.presence.entry(user.clone()).or_default();
                    if here.boots.is_empty() {
                        self.transitions.push((tenant.clone(), user.as_str().into(), true));
                    }
                    here.boots.retain(|(n, _)| n != node);
                    here.boots.push((*node, *epoch));
                    here.seen = Some(at);
                }
                Reply::Done
            }
            Op::GoOffline { user, node, epoch, seen, .. } => {
                if let Some(here) = of.presence.get_mut(user).filter(|here| here.boots.contains(&(*node, *epoch))) {
                    here.boots.retain(|boot| *boot != (*node, *epoch));
                    if here.boots.is_empty() {
                        here.seen = seen.or(here.seen.max(here.activity));
                        self.transitions.push((tenant.clone(), user.as_str().into(), false));
                    }
                }
                Reply::Done
            }
            // Histories have none of these: they have a model of their own.
            Op::IssueTicket { .. } | Op::SpendTicket { .. } | Op::SweepTickets => unreachable!("tickets"),
            Op::NoteActivity { users } => {
                for (user, at) in users.iter().filter(|(user, _)| of.people.contains_key(user)) {
                    let here = of.presence.entry(user.clone()).or_default();
                    here.activity = here.activity.max(Some(*at));
                }
                Reply::Done
            }
            Op::Import { reserve, records } => of.import(*reserve, records),
            Op::RecordPayment { .. }
            | Op::WarnOfExpiry { .. }
            | Op::UpdateDashboard { .. }
            | Op::UpdateAdminDashboard { .. }
            | Op::NodeStarted => Reply::Done,
        }
    }

    fn erase(&mut self, tenant: &Tenant, user: &UserId) -> Reply {
        let of = self.tenants.entry(tenant.clone()).or_default();
        of.notes.retain(|note| note.user != *user);
        of.subscriptions.retain(|(of, _)| of != user);
        of.history.remove(user);
        if let Some(person) = of.people.remove(user) {
            of.demoted.remove(user);
            of.demoted.extend(person.stated.filter(|_| !person.staff).map(|at| (user.clone(), at)));
        }
        if of.presence.remove(user).is_some_and(|here| !here.boots.is_empty()) {
            self.transitions.push((tenant.clone(), user.as_str().into(), false));
        }
        // How many rows that were is the machine's business.
        Reply::Progress { removed: u64::MAX, more: false }
    }

    /// Asserts that the machine shows what the lists say.
    pub fn compare(&mut self, machine: &Machine) {
        let rows = &machine.tables;
        for tenant in tenants() {
            let of = self.tenants.entry(tenant.clone()).or_default();
            let figures = dashboard::figures(rows, &tenant).expect("read");
            assert_eq!(figures.last_notification, of.last_note);
            assert_eq!(figures.users, of.people.len() as u64);
            assert_eq!(figures.active_users, of.people.values().filter(|p| !p.inactive).count() as u64);
            assert_eq!(figures.staff_users, of.people.values().filter(|p| p.staff).count() as u64);
            assert_eq!(figures.subscriptions, of.subscriptions.len() as u64);
            assert_eq!(figures.active_subscriptions, of.subscriptions.iter().filter(|(_, s)| s.active).count() as u64);
            for user in users() {
                let filter = inbox::Filter { limit: 1_000, ..inbox::Filter::default() };
                let page = inbox::page(rows, (&tenant, &user), &filter).expect("read");
                let shown: Vec<_> = page.items.iter().map(|(id, _, read)| (*id, *read)).collect();
                let kept = of.notes.iter().rev().filter(|n| n.user == user).map(|n| (n.id, n.read));
                assert_eq!(shown, kept.collect::<Vec<_>>(), "notifications of {user} in {tenant}");
                assert_eq!(inbox::unread_count(rows, &tenant, &user).expect("read"), of.unread(&user));
                of.compare_levels(machine, (&tenant, &user));
                of.compare_subscriptions(machine, (&tenant, &user));
                let name = directory::of(rows, &tenant, &user).expect("read").map(|row| row.username);
                assert_eq!(name, of.people.get(&user).map(|person| person.name.clone()));
                let (_, known) = directory::known(rows, &tenant, &user).expect("read");
                let staff = of.people.get(&user).is_some_and(|person| person.staff);
                let stated = of.people.get(&user).map_or(of.demoted.get(&user).copied(), |person| person.stated);
                assert_eq!((known.is_staff, known.stated_at), (staff, stated));
                let here = presence::of(rows, &tenant, &user).expect("read");
                let here = here.map(|row| (row.online_since.is_some(), row.boots, row.last_seen, row.last_activity));
                let kept = of.presence.get(&user);
                assert_eq!(here, kept.map(|h| (!h.boots.is_empty(), h.boots.clone(), h.seen, h.activity)));
            }
        }
    }
}

impl Of {
    /// Somebody's entry, made if there is none.
    fn person(&mut self, user: &UserId) -> &mut Person {
        let stated = self.demoted.get(user).copied();
        self.people.entry(user.clone()).or_insert_with(|| Person { stated, ..Person::default() })
    }

    fn unread(&self, user: &UserId) -> u64 {
        self.notes.iter().filter(|note| note.user == *user && !note.read).count() as u64
    }

    fn send(&mut self, users: &[UserId], level: &str, at: Timestamp) -> Reply {
        let mut notifications = Vec::new();
        for user in users {
            self.last_note += 1;
            let level = level.to_owned();
            self.notes.push(Note { id: self.last_note, user: user.clone(), read: false, level, at });
            notifications.push((user.clone(), self.last_note));
        }
        Reply::Created { notifications, created_at: at }
    }

    fn set_read(&mut self, user: &UserId, id: u64, read: bool) -> Reply {
        let note = self.notes.iter_mut().find(|note| note.id == id && note.user == *user);
        let found = note.is_some();
        let changed = note.is_some_and(|note| std::mem::replace(&mut note.read, read) != read);
        Reply::Inbox { found, changed, unread: self.unread(user) }
    }

    /// What the machine has counted by level is a recount.
    fn compare_levels(&self, machine: &Machine, (tenant, user): (&Tenant, &UserId)) {
        let Some(counts) = levels::counts_of(&machine.tables, tenant, user).expect("read") else { return };
        let mut kept = BTreeMap::<_, u64>::new();
        for note in self.notes.iter().filter(|note| note.user == *user && note.id <= counts.counted_to) {
            *kept.entry(note.level.clone()).or_default() += 1;
        }
        for level in &counts.levels {
            let oldest = self.notes.iter().find(|note| note.user == *user && note.level == level.level);
            let oldest = oldest.expect("counted");
            assert!(level.first <= oldest.id && level.oldest <= oldest.at, "{level:?} of {user} in {tenant}");
        }
        let counted = counts.levels.into_iter().map(|level| (level.level, level.count)).collect();
        assert_eq!(kept, counted, "levels of {user} in {tenant}");
    }

    fn subscribe(&mut self, user: &UserId, data: &str) -> Reply {
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        let bare = |id: &str| id.trim_matches('"').to_owned();
        let id = data.get("id").map(ToString::to_string);
        let plan = data["plan_name"].as_str();
        let wanted = |row: &Subscription| match &id {
            Some(id) => bare(&row.id) == bare(id),
            None => Some(row.plan.as_str()) == plan,
        };
        let active = data["status"] == "active";
        // The newest of that plan; an id is there once.
        let row = self.subscriptions.iter_mut().rev().find(|(of, row)| of == user && wanted(row));
        let id = if let Some((_, row)) = row {
            row.plan = plan.map_or(row.plan.clone(), str::to_owned);
            row.active = active;
            row.id.clone()
        } else {
            let Some(plan) = plan else { return Reply::Rejected(Rejection::NoPlan) };
            let number = id.as_ref().and_then(|id| bare(id).parse().ok());
            let next = self.last_subscription + u64::from(id.is_none());
            self.last_subscription = next.max(number.unwrap_or(0));
            let id = id.unwrap_or_else(|| self.last_subscription.to_string());
            self.subscriptions.push((user.clone(), Subscription { id: id.clone(), plan: plan.into(), active }));
            id
        };
        *self.history.entry(user.clone()).or_default() += 1;
        Reply::Subscription { id }
    }

    fn compare_subscriptions(&self, machine: &Machine, (tenant, user): (&Tenant, &UserId)) {
        let frame = subscriptions::status_frame(&machine.tables, tenant, user).expect("read");
        let frame: serde_json::Value = serde_json::from_str(&frame).expect("JSON");
        let list = frame["data"]["active_subscriptions"].as_array().expect("a list");
        let shown: Vec<_> = list.iter().map(|row| (row["id"].to_string(), row["plan_name"].clone())).collect();
        let kept = self.subscriptions.iter().filter(|(of, row)| of == user && row.active);
        let kept: Vec<_> = kept.map(|(_, row)| (row.id.clone(), row.plan.clone().into())).collect();
        assert_eq!(shown, kept, "active subscriptions of {user} in {tenant}");
        let history = subscriptions::history_frame(&machine.tables, tenant, user).expect("read");
        let history: serde_json::Value = serde_json::from_str(&history).expect("JSON");
        let steps = history["data"].as_array().map_or(0, Vec::len);
        assert_eq!(steps, self.history.get(user).copied().unwrap_or(0));
    }
}
