//! The proof: phases of load, each with an end of its own, and in the end a comparison of everything with everything.

use crate::{
    board::{Board, Place},
    client::Client,
    events::{self, Event, Own, Stream},
    load::{Answered, Writer},
    oracle,
    support::{Options, Random, Server, Socket, User},
    visitors::Visitor,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet};

const USERS: [&str; 5] = ["1", "2", "3", "4", "u-5"];
const WRITERS: u64 = 6;
const VISITORS: usize = 8;
/// Resumes, and answered calls, of one phase at least.
const PHASE_RESUMES: u64 = 150;
const PHASE_ANSWERS: u64 = 100;

/// How long everybody may take to see a phase's end.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// How a phase ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Writers pause, and everybody comes to the same place.
    Calm,
    /// SIGKILL in the middle of it.
    Kill,
    /// SIGTERM, and a drain.
    Drain,
}

/// What an undisturbed client saw, and whether it begins where the one before ended.
struct Seen {
    stream: Stream,
    events: Vec<Event>,
    joined: bool,
}

pub struct Run {
    seed: u64,
    random: Random,
    server: Server,
    board: Arc<Board>,
    clients: JoinSet<Client>,
    clients_count: usize,
    writers: JoinSet<Writer>,
    visitors: JoinSet<Visitor>,
    leaving: Arc<AtomicBool>,
    seen: Vec<Seen>,
    snapshots: BTreeSet<OsString>,
}

impl Run {
    pub async fn new(seed: u64) -> Self {
        // Small, so that snapshots are cut and the log is trimmed under load; and people are gone after a second.
        let server = Options::default()
            .set("DRAIN__SECONDS", 1)
            .set("PRESENCE__GRACE_SECONDS", 1)
            .set("STORAGE__SEGMENT_BYTES", 131_072)
            .set("STORAGE__SNAPSHOT_LOG_BYTES", 1_048_576)
            .start();
        let board = Arc::new(Board::new(server.address()));
        let mut run = Self {
            seed,
            random: Random::new(seed),
            server,
            board,
            clients: JoinSet::new(),
            clients_count: 0,
            writers: JoinSet::new(),
            visitors: JoinSet::new(),
            leaving: Arc::default(),
            seen: Vec::new(),
            snapshots: BTreeSet::new(),
        };
        run.start_clients().await;
        run
    }

    async fn start_clients(&mut self) {
        for stream in streams() {
            let tabs = if matches!(stream, Stream::Notifications(_)) { 3 } else { 2 };
            let mut first = Client::new(self.clients_count, stream.clone(), self.board.clone(), self.random.next());
            first.find_place().await;
            // All begin where the first one does.
            let place = first.cursor.clone();
            for tab in 1..tabs {
                let number = self.clients_count + tab;
                let mut client = Client::new(number, stream.clone(), self.board.clone(), self.random.next());
                client.cursor.clone_from(&place);
                client.acts = tab == 2;
                self.clients.spawn(client.run());
            }
            self.clients.spawn(first.run());
            self.clients_count += tabs;
        }
    }

    /// Phases until there were so many resumes; then everything is compared.
    pub async fn until(mut self, resumes: u64) {
        let (users, board) = (Arc::from(USERS.map(String::from)), self.board.clone());
        let mut silence = Some(board.gate.write().await);
        for number in 0..WRITERS {
            self.writers.spawn(Writer::new(number, self.random.next(), Arc::clone(&users), board.clone()).run());
        }
        for number in 0..VISITORS {
            let visitor = Visitor::new(format!("v{number}"), self.random.next(), board.clone(), self.leaving.clone());
            self.visitors.spawn(visitor.run());
        }
        let (mut phase, mut before, mut last) = (0, End::Drain, false);
        while !last {
            let end = match phase % 3 {
                _ if board.resumes() + PHASE_RESUMES >= resumes => End::Calm,
                0 => End::Calm,
                1 => End::Kill,
                _ => [End::Kill, End::Drain][self.random.index(2)],
            };
            let watching = self.watch(phase).await;
            silence.take();
            let (resumed, answered) = (board.resumes(), board.answers());
            let resumes_to_come = PHASE_RESUMES + self.random.below(PHASE_RESUMES);
            board
                .wait(self.seed, "enough load", |board| {
                    board.resumes() >= resumed + resumes_to_come && board.answers() >= answered + PHASE_ANSWERS
                })
                .await;
            last = end == End::Calm && board.resumes() >= resumes;
            if last {
                board.hush();
            }
            silence = Some(self.end(phase, end, last, &board).await);
            self.collect(watching, before == End::Calm).await;
            self.note_snapshots();
            board.count(format!("phases ended by {end:?}"));
            (phase, before) = (phase + 1, end);
            if board.is_stopped() {
                break;
            }
        }
        let is_over = last && !board.is_stopped();
        board.stop();
        drop(silence);
        self.compare(is_over).await;
    }

    /// Undisturbed clients on every stream, who have been greeted.
    async fn watch(&mut self, phase: u64) -> JoinSet<Client> {
        let mut watching = JoinSet::new();
        for (nth, stream) in streams().into_iter().enumerate() {
            let (ready, is_ready) = oneshot::channel();
            let client = Client::new(10_000 + nth, stream, self.board.clone(), 0);
            watching.spawn(client.undisturbed(phase, ready));
            is_ready.await.unwrap_or_else(|_| panic!("CARILLON_SEED={}: no greeting", self.seed));
        }
        watching
    }

    /// Ends a phase; nothing is being written afterwards.
    async fn end<'a>(
        &mut self,
        phase: u64,
        end: End,
        last: bool,
        board: &'a Board,
    ) -> tokio::sync::RwLockWriteGuard<'a, ()> {
        if end == End::Calm {
            let silence = board.gate.write().await;
            let _here = self.mark_end(phase).await;
            if last {
                // What a tab had begun is done once everybody has seen this end, and comes before the next one.
                self.settle().await;
                let _here = self.mark_end(phase + 1).await;
            }
            return silence;
        }
        tokio::task::block_in_place(|| {
            if end == End::Kill {
                self.server.kill();
            } else {
                self.server.stop();
            }
            self.server.start();
        });
        board.place.send_modify(|place| *place = Place { boot: place.boot + 1, address: self.server.address() });
        board.gate.write().await
    }

    /// Visitors stay where they are, and the server has noticed.
    async fn settle(&mut self) {
        self.leaving.store(true, Ordering::Release);
        let mut visitors = Vec::new();
        while let Some(visitor) = self.visitors.join_next().await {
            visitors.push(visitor.expect("a visitor's task"));
        }
        for visitor in visitors {
            visitor.settled().await;
            // Keeps its tabs.
            self.visitors.spawn(async { visitor });
        }
    }

    /// One last event on every stream, and everybody has seen it.
    async fn mark_end(&self, phase: u64) -> Socket {
        oracle::mark_end(&self.server.api(), &USERS, phase).await;
        let name = oracle::end_marker(phase);
        let here = self.server.connect("/ws/presence/", User::named(&name)).await;
        let clients = self.clients_count;
        let everybody = self.board.wait(self.seed, "everybody sees the end", |board| board.all_reached(clients, phase));
        if tokio::time::timeout(END_PATIENCE, everybody).await.is_err() {
            // Somebody misses the last event: the comparison says who, and what else.
            self.board.stop();
        }
        here
    }

    async fn collect(&mut self, mut watching: JoinSet<Client>, after_calm: bool) {
        while let Some(watcher) = watching.join_next().await {
            let watcher = watcher.expect("a watcher's task");
            let events = watcher.of_others(&watcher.events);
            // Tabs, and people, do what they do while the writers are silent.
            let joined = after_calm && !matches!(watcher.stream, Stream::Presence | Stream::Notifications(_));
            self.seen.push(Seen { stream: watcher.stream, events, joined });
        }
    }

    fn note_snapshots(&mut self) {
        let dir = std::fs::read_dir(self.server.data_dir().join("snapshots")).expect("a directory");
        self.snapshots.extend(dir.filter_map(|entry| Some(entry.ok()?.file_name())));
    }

    async fn compare(mut self, is_over: bool) {
        let mut clients: BTreeMap<Stream, Vec<Client>> = BTreeMap::new();
        while let Some(client) = self.clients.join_next().await {
            let client = client.expect("a client's task");
            clients.entry(client.stream.clone()).or_default().push(client);
        }
        let mut answered: Vec<(u64, Answered)> = Vec::new();
        while let Some(writer) = self.writers.join_next().await {
            let writer = writer.expect("a writer's task");
            answered.push((writer.number, writer.answered));
        }
        answered.sort_by_key(|(number, _)| *number);
        let answered: Vec<Answered> = answered.into_iter().map(|(_, one)| one).collect();
        self.board.check(self.seed);
        let mut events = 0;
        for (stream, clients) in &clients {
            let compared = self.compare_stream(stream, clients, &answered).await;
            events += compared.unwrap_or_else(|what| panic!("CARILLON_SEED={}: {what}", self.seed));
        }
        println!(
            "{} resumes, {} answered calls, {events} events on {} streams, {} clients, {} snapshots, {:?}",
            self.board.resumes(),
            self.board.answers(),
            clients.len(),
            self.clients_count,
            self.snapshots.len(),
            self.board.counts()
        );
        assert!(is_over, "CARILLON_SEED={}: never: everybody sees the end", self.seed);
        assert!(!self.snapshots.is_empty(), "no snapshot was cut");
    }

    async fn compare_stream(
        &self,
        stream: &Stream,
        clients: &[Client],
        answered: &[Answered],
    ) -> Result<usize, String> {
        // Whoever did nothing has to know everything; where they differ, one of them has missed something.
        let readers = clients.iter().filter(|client| !client.acts);
        let reader = readers.max_by_key(|client| client.events.len()).ok_or("nobody only read")?;
        let truth = reader.of_others(&reader.events);
        for client in clients {
            client.check(&truth).map_err(|what| format!("{what}\n  (as {} knows it)", reader.name()))?;
        }
        let mut from = 0;
        for seen in self.seen.iter().filter(|seen| seen.stream == *stream) {
            from = events::piece(&truth, &seen.events, from, seen.joined)
                .map_err(|what| format!("{}: {what}", reader.name()))?;
        }
        let api = self.server.api();
        match stream {
            Stream::Notifications(user) => {
                let tabs: Vec<&Own> = clients.iter().filter(|client| client.acts).map(|client| &client.own).collect();
                oracle::notifications(&api, user, &truth, (answered, &tabs)).await?;
            }
            Stream::Presence => {
                let people: Vec<String> = (0..VISITORS).map(|number| format!("v{number}")).collect();
                oracle::presence(&api, &truth, &people).await?;
            }
            _ => {
                oracle::sent(stream, &truth, answered)?;
                oracle::read_back(&api, stream, &truth).await?;
            }
        }
        Ok(truth.len())
    }
}

fn streams() -> Vec<Stream> {
    let personal = USERS.iter().flat_map(|user| {
        let user = (*user).to_owned();
        [Stream::Notifications(user.clone()), Stream::Dashboard(user.clone()), Stream::Subscriptions(user)]
    });
    personal.chain([Stream::Presence, Stream::AdminDashboard, Stream::Alerts]).collect()
}
