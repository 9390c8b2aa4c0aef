//! The state machine at work: a log, tables in memory, and what it answered and announced.

use crate::commands::{NODE, Step, tenants, users};
use carillon::{
    protocol::{Tenant, Timestamp},
    records::{
        Batch, Command, Effect, EffectKind, Op, Reply, alerts, apply_batch, dashboard, directory, inbox, presence,
        subscriptions,
    },
};
use carillon_storage::tables::MemoryTables;

/// A state machine with its history.
#[derive(Default)]
pub struct Machine {
    pub tables: MemoryTables,
    pub log: Vec<(u64, Batch)>,
    pub replies: Vec<Reply>,
    pub effects: Vec<Effect>,
}

impl Machine {
    /// Runs steps, packed into entries of these sizes in turn.
    pub fn run(&mut self, steps: &[Step], sizes: &[usize]) {
        let mut sizes = sizes.iter().cycle();
        let (mut epoch, mut sequence) = (0, 0);
        let mut waiting = vec![started(Timestamp(0))];
        let mut size = 1;
        let mut at = Timestamp::from_seconds(1_000_000_000);
        epoch += 1;
        for step in steps {
            let full = waiting.len() >= size;
            if full || matches!(step, Step::Restart) {
                sequence += 1;
                self.append(Batch { node: NODE, epoch, sequence, commands: std::mem::take(&mut waiting) });
                size = *sizes.next().expect("endless");
            }
            match step {
                Step::Restart => {
                    (epoch, sequence) = (epoch + 1, 0);
                    waiting.push(started(at));
                }
                Step::Do(todo) => {
                    at = at.plus_seconds(todo.after);
                    waiting.push(todo.command(at, epoch));
                }
            }
        }
        self.append(Batch { node: NODE, epoch, sequence: sequence + 1, commands: waiting });
    }

    fn append(&mut self, batch: Batch) {
        // A restart right after a full entry leaves nothing to write.
        if batch.commands.is_empty() {
            return;
        }
        let index = self.log.len() as u64 + 1;
        self.apply(index, &batch);
        self.log.push((index, batch));
    }

    /// Applies an entry; how many rows it wrote.
    pub fn apply(&mut self, index: u64, batch: &Batch) -> usize {
        let applied = apply_batch(&self.tables, index, batch).expect("applied");
        assert_eq!(applied.replies.len(), batch.commands.len());
        assert!(applied.effects.is_sorted_by_key(|effect| effect.pos), "effects are not in the log's order");
        let rows = applied.writes.len();
        self.tables.commit(&applied.writes, &index.to_be_bytes()).expect("committed");
        self.replies.extend(applied.replies);
        self.effects.extend(applied.effects);
        rows
    }

    /// Comings and goings, as they were announced.
    pub fn transitions(&self) -> Vec<(Tenant, String, bool)> {
        let transition = |effect: &Effect| match &effect.kind {
            EffectKind::Online { user, .. } => Some((effect.tenant.clone(), user.as_str().to_owned(), true)),
            EffectKind::Offline { user } => Some((effect.tenant.clone(), user.as_str().to_owned(), false)),
            _ => None,
        };
        self.effects.iter().filter_map(transition).collect()
    }

    /// Effects without their positions.
    pub fn kinds(&self) -> Vec<(&Tenant, &EffectKind)> {
        self.effects.iter().map(|effect| (&effect.tenant, &effect.kind)).collect()
    }

    /// Everything that can be asked, as text.
    pub fn shown(&self) -> Vec<String> {
        let rows = &self.tables;
        let mut shown = Vec::new();
        for tenant in tenants() {
            shown.push(format!("{:?}", dashboard::figures(rows, &tenant).expect("read")));
            shown.push(subscriptions::stats_frame(rows, &tenant).expect("read"));
            shown.push(dashboard::system_stats_frame(rows, &tenant).expect("read"));
            shown.push(format!("{:?}", alerts::newest(rows, &tenant, (200, None)).expect("read")));
            for user in users() {
                let filter = inbox::Filter { limit: 1_000, ..inbox::Filter::default() };
                for (id, row, is_read) in inbox::page(rows, (&tenant, &user), &filter).expect("read").items {
                    shown.push(format!("{id} {} {} {is_read}", row.created_at, row.level));
                }
                shown.push(dashboard::frame(rows, &tenant, &user).expect("read"));
                shown.push(subscriptions::status_frame(rows, &tenant, &user).expect("read"));
                shown.push(subscriptions::history_frame(rows, &tenant, &user).expect("read"));
                shown.push(format!("{:?}", directory::of(rows, &tenant, &user).expect("read")));
                let presence = presence::of(rows, &tenant, &user).expect("read");
                shown.push(format!("{:?}", presence.map(|p| (p.boots, p.last_seen, p.last_activity))));
            }
        }
        shown
    }
}

fn started(at: Timestamp) -> Command {
    Command { tenant: Tenant::default(), at, idempotency: None, op: Op::NodeStarted }
}
