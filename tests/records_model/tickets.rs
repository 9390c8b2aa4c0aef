//! Tickets in the state machine: random histories against a plain list, and the bound on how many are live.

use carillon::{
    config::limits::{TICKET_SECONDS, TICKETS_LIVE_MAX},
    protocol::{Tenant, Timestamp, UserId},
    records::{Batch, Command, Op, Rejection, Reply, TicketGrant, apply_batch, tickets},
};
use carillon_storage::tables::MemoryTables;
use proptest::prelude::*;

const GONE: Reply = Reply::Rejected(Rejection::TicketGone);

#[derive(Default)]
struct Log {
    tables: MemoryTables,
    index: u64,
}

impl Log {
    /// One entry with these commands; their answers.
    fn entry(&mut self, commands: Vec<Command>) -> Vec<Reply> {
        self.index += 1;
        let batch = Batch { node: 1, epoch: 1, sequence: self.index, commands };
        let applied = apply_batch(&self.tables, self.index, &batch).expect("applied");
        self.tables.commit(&applied.writes, &self.index.to_be_bytes()).expect("committed");
        applied.replies
    }

    fn one(&mut self, tenant: &Tenant, at: i64, op: Op) -> Reply {
        self.entry(vec![command(tenant, at, op)]).remove(0)
    }
}

fn command(tenant: &Tenant, at: i64, op: Op) -> Command {
    Command { tenant: tenant.clone(), at: Timestamp::from_seconds(at), idempotency: None, op }
}

fn tenant(name: &str) -> Tenant {
    Tenant::new(name).expect("a tenant")
}

fn hash(n: u64) -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&n.to_be_bytes());
    hash
}

fn issue(n: u64, at: i64) -> Op {
    let grant = Box::new(TicketGrant {
        user: UserId::new("1").expect("an id"),
        username: None,
        first_name: None,
        last_name: None,
        is_staff: Some(true),
        endpoint: Some("/ws/presence/".into()),
        origin: Some("https://app.example.org".into()),
        session_seconds: 60,
    });
    Op::IssueTicket { hash: hash(n), grant, expires_at: Timestamp::from_seconds(at + TICKET_SECONDS) }
}

fn spend(n: u64) -> Op {
    Op::SpendTicket { hash: hash(n) }
}

#[test]
fn a_ticket_is_spent_once_in_time_and_by_its_own_tenant_only() {
    let (default, acme) = (tenant("default"), tenant("acme"));
    let mut log = Log::default();
    assert_eq!(log.one(&default, 100, spend(1)), GONE, "never issued");
    assert_eq!(log.one(&default, 100, issue(1, 100)), Reply::Done);
    let row = tickets::find(&log.tables, &hash(1)).expect("read").expect("kept");
    assert_eq!((row.tenant, row.issued_at), (default.clone(), Timestamp::from_seconds(100)));
    assert_eq!(log.one(&acme, 101, spend(1)), GONE, "another tenant's");
    let both = log.entry(vec![command(&default, 102, spend(1)), command(&default, 102, spend(1))]);
    assert_eq!(both, [Reply::Done, GONE], "two in one entry");
    assert_eq!(log.one(&default, 103, spend(1)), GONE, "spent");
    assert_eq!(tickets::find(&log.tables, &hash(1)).expect("read"), None);

    log.one(&default, 200, issue(2, 200));
    log.one(&default, 200, issue(3, 200));
    assert_eq!(log.one(&default, 200, issue(3, 200)), GONE, "the same bits again");
    assert_eq!(log.one(&default, 200 + TICKET_SECONDS - 1, spend(2)), Reply::Done, "in its last second");
    assert_eq!(log.one(&default, 200 + TICKET_SECONDS, spend(3)), GONE, "expired");
}

#[test]
fn a_tenant_has_only_so_many_tickets_and_expired_ones_make_room() {
    let (default, acme) = (tenant("default"), tenant("acme"));
    let mut log = Log::default();
    let full = Reply::Rejected(Rejection::TooManyTickets { max: TICKETS_LIVE_MAX });
    for first in (0..TICKETS_LIVE_MAX).step_by(1_000) {
        let commands = (first..first + 1_000).map(|n| command(&default, 100, issue(n, 100))).collect();
        assert!(log.entry(commands).iter().all(|reply| *reply == Reply::Done));
    }
    assert_eq!(log.one(&default, 129, issue(50_000, 129)), full);
    assert_eq!(log.one(&acme, 129, issue(50_001, 129)), Reply::Done, "each tenant counts for itself");
    assert_eq!(log.one(&default, 129, spend(5_000)), Reply::Done);
    assert_eq!(log.one(&default, 129, issue(50_002, 129)), Reply::Done, "one was spent");
    assert_eq!(log.one(&default, 129, issue(50_003, 129)), full);
    assert_eq!(log.one(&default, 130, issue(50_004, 130)), Reply::Done, "the first have expired");

    let now = Timestamp::from_seconds(140);
    assert_eq!(tickets::expired(&log.tables, now).expect("read"), std::slice::from_ref(&default));
    let mut rounds = 0;
    while let Reply::Progress { more: true, removed } = log.one(&default, 140, Op::SweepTickets) {
        assert!(removed <= 500);
        rounds += 1;
    }
    assert!(rounds >= 19, "{rounds}");
    assert_eq!(tickets::live(&log.tables, &default).expect("read"), 2, "the two that have not expired");
    assert_eq!(tickets::expired(&log.tables, now).expect("read"), []);
    assert_eq!(tickets::live(&log.tables, &acme).expect("read"), 1);
}

proptest! {
    /// Whatever is issued, spent and swept by whom, and however it is packed into entries: the answers are those of a
    /// plain list, and what is counted as live is what has not been spent and may still be swept.
    #[test]
    fn tickets_behave_like_a_list(
        steps in proptest::collection::vec((0u8..8, 0u64..8, 0i64..12, any::<bool>()), 1..150),
        sizes in proptest::collection::vec(1usize..6, 1..10),
    ) {
        let tenants = [tenant("default"), tenant("acme")];
        // Whose, until when, and whether it was spent; a ticket's number is its place.
        let mut list: Vec<(usize, i64, bool)> = Vec::new();
        let (mut log, mut at, mut waiting, mut expected) = (Log::default(), 1_000, Vec::new(), Vec::new());
        let mut sizes = sizes.iter().cycle();
        for (kind, back, after, acme) in steps {
            at += after;
            let whose = usize::from(acme);
            let (op, want) = match kind {
                0..3 => {
                    list.push((whose, at + TICKET_SECONDS, false));
                    (issue(list.len() as u64, at), Some(Reply::Done))
                }
                3..7 => {
                    // One of the last few, or one that never was.
                    let n = (list.len() as u64).saturating_sub(back);
                    let is_good = |(owner, until, spent): &mut (usize, i64, bool)| {
                        let good = *owner == whose && at < *until && !*spent;
                        *spent |= good;
                        good
                    };
                    let good = n > 0 && list.get_mut(n as usize - 1).is_some_and(is_good);
                    (spend(n), Some(if good { Reply::Done } else { GONE }))
                }
                _ => (Op::SweepTickets, None),
            };
            waiting.push(command(&tenants[whose], at, op));
            expected.push(want);
            if waiting.len() >= *sizes.next().expect("endless") {
                let replies = log.entry(std::mem::take(&mut waiting));
                for (got, want) in replies.iter().zip(expected.drain(..)) {
                    prop_assert!(want.as_ref().is_none_or(|want| got == want), "{:?} instead of {:?}", got, want);
                }
            }
        }
        log.entry(std::mem::take(&mut waiting));
        for (whose, tenant) in tenants.iter().enumerate() {
            log.one(tenant, at, Op::SweepTickets);
            let left = list.iter().filter(|(owner, until, spent)| *owner == whose && at < *until && !spent).count();
            prop_assert_eq!(tickets::live(&log.tables, tenant).expect("read"), left as u64);
        }
    }
}
