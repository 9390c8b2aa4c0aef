//! Log entries → writes, answers, effects. The only way rows change.

use super::{
    Batch, CLUSTER, Command, Effect, EffectKind, Op, RecordsError, Rejection, Reply, alerts, dashboard, directory,
    erase, features, groups, idempotency, import, inbox, journal,
    keys::Key,
    levels, members, presence,
    rows::{Clock, Node},
    subscriptions, tickets,
    txn::Txn,
};
use crate::protocol::{GroupName, InV1, Pos, SessionId, Tenant, Timestamp, UserId};
use carillon_storage::tables::{Read, VALUE_BYTES_MAX, Writes};

/// What one entry came to. The writes are to be committed before anything else happens.
#[derive(Debug)]
pub struct Applied {
    /// Rows to write, in one atomic commit.
    pub writes: Writes,
    /// One answer for each command.
    pub replies: Vec<Reply>,
    /// What sockets see of it, in order.
    pub effects: Vec<Effect>,
}

/// Applies the batch at log index `index` over what is stored.
///
/// # Errors
/// When rows can't be read: the node can't go on.
pub fn apply_batch(stored: &impl Read, index: u64, batch: &Batch) -> Result<Applied, RecordsError> {
    let mut txn = Txn::new(stored);
    let mut effects = Vec::new();
    match note_batch(&mut txn, batch)? {
        Noted::Repeat => {
            let replies = vec![Reply::Repeated; batch.commands.len()];
            return Ok(Applied { writes: Writes::new(), replies, effects });
        }
        Noted::FirstOf { earlier } if earlier > 0 && batch.node != CLUSTER => effects.push(Effect {
            pos: Pos::new(index, 0),
            tenant: Tenant::default(),
            kind: EffectKind::BootEnded { node: batch.node, epoch: earlier },
        }),
        Noted::FirstOf { .. } | Noted::New => {}
    }
    let mut clock = Clock::begin(&txn)?;
    let mut replies = Vec::with_capacity(batch.commands.len());
    for (nth, command) in batch.commands.iter().enumerate() {
        let mut step = Step {
            txn: &mut txn,
            effects: &mut effects,
            tenant: &command.tenant,
            at: clock.at(command.at),
            pos: Pos::new(index, nth),
        };
        replies.push(step.command(command)?);
    }
    clock.keep(&mut txn)?;
    Ok(Applied { writes: txn.into_writes(), replies, effects })
}

/// What a batch is to the log so far.
enum Noted {
    /// It was applied before, or is of a boot that is over.
    Repeat,
    /// The first of its boot.
    FirstOf {
        earlier: u64,
    },
    New,
}

/// Notes that this batch is applied, unless it was before.
fn note_batch(txn: &mut Txn<'_, impl Read>, batch: &Batch) -> Result<Noted, RecordsError> {
    let key = Key::node(batch.node);
    let known: Node = txn.get_or_default(&key)?;
    if (batch.epoch, batch.sequence) <= (known.epoch, known.last_sequence) {
        return Ok(Noted::Repeat);
    }
    txn.put(key, &Node { epoch: batch.epoch, last_sequence: batch.sequence })?;
    Ok(if batch.epoch > known.epoch { Noted::FirstOf { earlier: known.epoch } } else { Noted::New })
}

/// One command being applied: its place in the log, and where its writes and effects go.
pub(crate) struct Step<'a, 's, S: Read> {
    pub(crate) txn: &'a mut Txn<'s, S>,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) tenant: &'a Tenant,
    pub(crate) at: Timestamp,
    pub(crate) pos: Pos,
}

impl<S: Read> Step<'_, '_, S> {
    /// Applies a command, wholly or not at all. Whatever a command holds, it never stops the node: an entry that
    /// did would stop every later start as well.
    fn command(&mut self, command: &Command) -> Result<Reply, RecordsError> {
        self.txn.begin_command();
        let effects = self.effects.len();
        let done = self.once(command).and_then(|reply| journal::record(self, effects).map(|()| reply));
        match done {
            Err(RecordsError::TooLarge { row, bytes }) => {
                self.txn.roll_back();
                self.effects.truncate(effects);
                let (bytes, max) = (bytes as u64, VALUE_BYTES_MAX as u64);
                Ok(Reply::Rejected(Rejection::TooLarge { what: row.into(), bytes, max }))
            }
            done => done,
        }
    }

    /// With an idempotency key, only the first time.
    fn once(&mut self, command: &Command) -> Result<Reply, RecordsError> {
        let Some(idempotency) = &command.idempotency else {
            return self.op(&command.op);
        };
        match idempotency::look_up(self, idempotency)? {
            Some(answered) if answered.body != idempotency.body => Ok(Reply::Rejected(Rejection::KeyReused)),
            Some(answered) => Ok(Reply::Replayed(Box::new(answered.reply.unpacked(&command.op)))),
            None => {
                let reply = self.op(&command.op)?;
                // What was refused did nothing: the same key may try again.
                if !matches!(reply, Reply::Rejected(_)) {
                    idempotency::remember(self, idempotency, &reply)?;
                }
                Ok(reply)
            }
        }
    }

    fn op(&mut self, op: &Op) -> Result<Reply, RecordsError> {
        match op {
            Op::SendNotification { users, title, message, level, data } => {
                inbox::send(self, users, &inbox::Content { title, message, level, data })
            }
            Op::SetRead { user, id, read, actor } => inbox::set_read(self, user, *id, (*read, *actor)),
            Op::ReadAll { user, actor } => inbox::read_all(self, user, *actor),
            Op::DeleteNotification { user, id } => inbox::delete(self, user, *id),
            Op::Expire { user, keep, before } => inbox::expire(self, user, *keep, *before),
            Op::UpdateDashboard { user, data } => dashboard::update(self, user, data),
            Op::UpdateSubscription { user, data } => subscriptions::update(self, user, data),
            Op::RecordPayment { user, data } => subscriptions::record_payment(self, user, data),
            Op::WarnOfExpiry { user, data } => subscriptions::warn_of_expiry(self, user, data),
            Op::UpdateAdminDashboard { data } => dashboard::update_admin(self, data),
            Op::RaiseAlert { alert_type, data } => alerts::raise(self, alert_type, data),
            Op::PutUser { .. } => directory::put(self, op),
            Op::SeeUser { .. } => directory::see(self, op),
            Op::RevokeTokens { user } => directory::revoke_tokens(self, user),
            Op::EraseUser { user } => erase::erase(self, user),
            // The batch that carries it has begun the boot already.
            Op::NodeStarted => Ok(Reply::Done),
            Op::ComeOnline { user, node, epoch } => presence::come_online(self, user, (*node, *epoch)),
            Op::GoOffline { user, node, epoch, seen, activity } => {
                presence::go_offline(self, user, (*node, *epoch), (*seen, *activity))
            }
            Op::NoteActivity { users } => presence::note_activity(self, users),
            Op::BeginHistory { id } => journal::begin_history(self, *id),
            Op::TrimJournal { through } => journal::trim(self, *through),
            Op::ExpireLevels { user, bounds } => levels::expire(self, user, bounds),
            Op::IssueTicket { hash, grant, expires_at } => tickets::issue(self, *hash, (grant, *expires_at)),
            Op::SpendTicket { hash } => tickets::spend(self, hash),
            Op::SweepTickets => tickets::sweep(self),
            Op::Import { reserve, records } => import::import(self, *reserve, records),
            Op::EnterNode { node, incarnation } => members::enter(self, *node, *incarnation),
            Op::RemoveNode { node } => members::remove(self, *node),
            Op::EditGroups { node, epoch, joined, left } => groups::edit(self, (*node, *epoch), (joined, left)),
            Op::PruneGroups { groups } => groups::prune(self, groups),
            Op::ShowGroups { node, epoch } => groups::show(self, (*node, *epoch)),
            Op::RaiseFeatures { level } => features::raise(self, *level),
            Op::EndStays { stays } => presence::end_stays(self, stays),
            Op::MarkDown { node, epoch } => groups::mark_down(self, (*node, *epoch)),
        }
    }

    /// Shows frames to a group.
    pub(crate) fn publish(&mut self, group: GroupName, frames: Vec<String>, except: Option<SessionId>) {
        self.publish_as(group, (frames, InV1::Same), except);
    }

    /// Shows a group what each edition has of an event.
    pub(crate) fn publish_as(
        &mut self,
        group: GroupName,
        (frames, v1): (Vec<String>, InV1),
        except: Option<SessionId>,
    ) {
        self.effect(EffectKind::Publish { group, frames, v1, except });
    }

    pub(crate) fn effect(&mut self, kind: EffectKind) {
        self.effects.push(Effect { pos: self.pos, tenant: self.tenant.clone(), kind });
    }

    /// The key of a row that a user has once.
    pub(crate) fn user_key(&self, table: super::keys::Table, user: &UserId) -> Key {
        Key::user(table, self.tenant, user)
    }
}
