//! A run: a cluster under load, one fault after the other, and in the end the history against what was promised.

use crate::{
    board::{Board, Stage},
    check,
    faults::{
        Act, Fault, Served,
        evidence::{self, Before},
        inject,
    },
    gather,
    history::{Event, History, Stream, User},
    load::{
        Client, marker::Marker, people::Person, publisher::Publisher, resumer::Resumer, viewer::Viewer,
        watcher::Watcher, writer::Writer,
    },
    net::Network,
    nodes::Cluster,
    profile::Profile,
    support::{PATIENCE, Random},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How long a fault may take until it bites.
const BITE_PATIENCE: Duration = Duration::from_secs(20);
/// Calls that must be answered while it lasts, by those who must be served; and afterwards at each node.
const ANSWERS: u64 = 20;
/// See [`ANSWERS`].
const ANSWERS_AT_EACH: u64 = 3;
/// Who publish ephemeral events, and who come to the presence endpoint, if anybody does.
const PUBLISHERS: u64 = 3;
/// See [`PUBLISHERS`].
const PEOPLE: u64 = 5;
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Run {
    seed: u64,
    profile: Profile,
    random: Random,
    board: Arc<Board>,
    cluster: Cluster,
    /// Those who ask; they end when the load does.
    backends: JoinSet<()>,
    /// Those who listen, to the end of the run.
    listeners: JoinSet<()>,
    people: JoinSet<Person>,
    resumers: Vec<(Stream, User)>,
    report: Report,
}

/// What is told in the end.
#[derive(Debug, Default)]
struct Report {
    faults: Vec<(&'static str, Duration)>,
    /// The longest time in which nobody was answered well, from a fault's beginning until every node answers again.
    silences: Vec<(&'static str, Duration)>,
}

impl Run {
    pub async fn new(seed: u64, profile: Profile, network: Network) -> Self {
        let (mut random, board) = (Random::new(seed), Arc::new(Board::new()));
        let cluster = Cluster::start(profile.nodes, (board.clone(), network), random.next()).await;
        cluster.whole().await;
        Self {
            seed,
            profile,
            random,
            board,
            cluster,
            backends: JoinSet::new(),
            listeners: JoinSet::new(),
            people: JoinSet::new(),
            resumers: Vec::new(),
            report: Report::default(),
        }
    }

    /// The whole of it.
    pub async fn go(mut self) {
        self.start_load().await;
        let begun = Instant::now();
        let mut faults = self.profile.schedule(self.random.next());
        while let Some(fault) = faults.next(begun.elapsed()) {
            let lacks = match fault.act {
                Act::Fill(_) if !self.cluster.has_disks() => Some("mount a file system"),
                Act::Unplug(_) | Act::Lose(_) if !self.cluster.has_plugs() => Some("make a network namespace"),
                _ => None,
            };
            if let Some(lacks) = lacks {
                println!("not done: {}; no permission to {lacks}", fault.name);
                continue;
            }
            self.fault(&fault).await;
            self.fail_if_wrong();
        }
        let history = self.gather().await;
        self.judge(&history, begun.elapsed());
    }

    async fn start_load(&mut self) {
        let users: Vec<User> = (1..=self.profile.users).collect();
        for (nth, user) in users.iter().flat_map(|user| [*user; 2]).enumerate() {
            let client = self.client();
            let mut resumer = Resumer { client, stream: 1_000 + nth as u64, user, cursor: None };
            resumer.find_place().await;
            self.resumers.push((resumer.stream, user));
            self.listeners.spawn(resumer.run());
            let client = self.client();
            self.listeners.spawn(Watcher { client, stream: (nth as u64 + 1) << 32, user }.run());
        }
        for number in 0..self.profile.writers {
            let (client, users) = (self.client(), users.clone());
            self.backends.spawn(Writer { client, number, users }.run());
        }
        for user in &users {
            let (client, marks_all) = (self.client(), *user == self.profile.users);
            self.backends.spawn(Marker { client, user: *user, marks_all, asked: 0 }.run());
        }
        for number in 0..self.profile.viewers {
            let (client, users) = (self.client(), users.clone());
            self.backends.spawn(Viewer { client, page: number << 32, users }.run());
        }
        for number in 0..if self.profile.ephemeral { PUBLISHERS } else { 0 } {
            let (client, users) = (self.client(), users.clone());
            self.backends.spawn(Publisher { client, number: number << 32, users }.run());
        }
        for number in 0..if self.profile.presence { PEOPLE } else { 0 } {
            let client = self.client();
            self.people.spawn(Person::new(client, format!("p{number}")).run());
        }
        self.served_at_each(false).await;
    }

    fn client(&mut self) -> Client {
        Client::new(self.board.clone(), self.random.next())
    }

    /// One fault from its beginning to its end.
    async fn fault(&mut self, fault: &Fault) {
        let before = Before::look(&self.cluster, &self.board).await;
        let begun = Instant::now();
        self.board.note(Event::Fault);
        let mut injected = inject::inject(fault, &mut self.cluster, (&before, &mut self.random)).await;
        // A node that is started again on damaged files takes its time.
        let injected_at = Instant::now();
        let stored = self.stored_by_others(&injected.victims, fault.served);
        let lasts_until = begun + self.profile.fault_at_least + self.some(self.profile.fault_at_least);
        loop {
            inject::go_on(&mut injected, &self.cluster, &mut self.random);
            let missing = evidence::missing(fault.bites, (&injected, &before), (&mut self.cluster, &self.board)).await;
            let answered = self.stored_by_others(&injected.victims, fault.served) - stored;
            let is_served = fault.served == Served::Nobody || answered >= ANSWERS;
            if missing.is_empty() && is_served && Instant::now() >= lasts_until {
                break;
            }
            if injected_at.elapsed() > BITE_PATIENCE {
                let what = format!("it did not bite: no {missing:?}; {answered} calls were answered meanwhile");
                self.fail(fault.name, &what);
            }
            self.fail_if_wrong();
            tokio::time::sleep(LOOK_EVERY).await;
        }
        inject::heal(fault, &mut self.cluster, &mut injected).await;
        let is_full = matches!(fault.act, Act::Fill(_));
        self.served_at_each(is_full).await;
        self.cluster.whole().await;
        self.board.note(Event::Calm);
        self.report.silences.push((fault.name, self.board.longest_silence(begun)));
        let terms = self.cluster.leader().await.1.saturating_sub(before.term);
        println!("{:7.1?} {}: {:?}, {terms} terms later", begun.elapsed(), fault.name, injected.victims);
        self.report.faults.push((fault.name, begun.elapsed()));
    }

    fn some(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.random.below(1_000) as f64 / 1_000.0)
    }

    /// Calls that were answered well by those whom the fault does not hit.
    fn stored_by_others(&self, victims: &[u64], served: Served) -> u64 {
        let counts = self.board.answers();
        let meant = counts.iter().filter(|(node, _)| served == Served::Somebody || !victims.contains(node));
        meant.map(|(_, answers)| answers.stored).sum()
    }

    /// Waits until every node has answered some calls since now.
    async fn served_at_each(&mut self, may_fail: bool) {
        let before = self.board.answers();
        let of = |answers: &std::collections::BTreeMap<u64, crate::board::Answers>, node| {
            answers.get(&node).map_or(0, |answers| answers.stored)
        };
        let begun = Instant::now();
        let nodes = self.cluster.nodes();
        while !nodes.iter().all(|node| of(&self.board.answers(), *node) >= of(&before, *node) + ANSWERS_AT_EACH) {
            self.fail_if_wrong();
            if may_fail {
                self.cluster.restart_failed();
            }
            if begun.elapsed() > PATIENCE {
                self.fail("afterwards", &format!("not every node answers calls: {:?}", self.board.answers()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Everybody comes to rest; then everything is read at every node.
    async fn gather(&mut self) -> History {
        self.board.stage.send_replace(Stage::Settling);
        while let Some(ended) = self.backends.join_next().await {
            ended.expect("a backend's task");
        }
        let mut people = Vec::new();
        while let Some(person) = self.people.join_next().await {
            people.push(person.expect("somebody's task"));
        }
        let mut history =
            gather::gather(&self.cluster, (&self.board, self.profile.users), &self.resumers, people).await;
        self.board.stage.send_replace(Stage::Over);
        while let Some(ended) = self.listeners.join_next().await {
            ended.expect("a client's task");
        }
        history.events = self.board.take_events();
        history
    }

    fn judge(&self, history: &History, lasted: Duration) {
        let begun = Instant::now();
        let found = check::violations(history);
        let stored: usize = history
            .inboxes
            .iter()
            .filter(|inbox| inbox.node == history.inboxes[0].node)
            .map(|inbox| inbox.rows.len())
            .sum();
        println!(
            "{} faults in {lasted:.1?}; {stored} stored, {} answered calls, {} online, {} events of history, checked in {:.1?}; {:?}",
            self.report.faults.len(),
            self.board.stored(),
            history.online.truth.len(),
            history.events.len(),
            begun.elapsed(),
            self.board.counts()
        );
        self.tell_silences();
        if !found.is_empty() {
            let told: Vec<String> = found.iter().take(20).map(ToString::to_string).collect();
            self.fail("the history", &format!("{} promises were broken:\n  {}", found.len(), told.join("\n  ")));
        }
        self.fail_if_wrong();
    }

    /// How long nobody was answered, by fault.
    fn tell_silences(&self) {
        let mut all = std::collections::BTreeMap::<&str, Vec<Duration>>::new();
        for (name, silence) in &self.report.silences {
            all.entry(name).or_default().push(*silence);
        }
        for (name, mut silences) in all {
            silences.sort();
            let at = |hundredths: usize| silences[((silences.len() - 1) * hundredths).div_ceil(100)];
            println!(
                "{name}: {} times, longest time without an answer p50 {:.2?}, p99 {:.2?}",
                silences.len(),
                at(50),
                at(99)
            );
        }
    }

    fn fail_if_wrong(&self) {
        if let Some(failure) = self.board.failure() {
            self.fail("the load", &failure);
        }
    }

    fn fail(&self, when: &str, what: &str) -> ! {
        let again = self.profile.again(self.seed);
        panic!("{when}: {what}\nto run it again: {again}");
    }
}
