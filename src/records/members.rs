//! Which node ids have been given to which data directories. An id is given once, for ever: a node that was wiped or
//! removed cannot come back under it, for it has forgotten what it had promised.

use super::{RecordsError, Rejection, Reply, apply::Step, groups, keys::Key, rows::Member, txn::get};
use crate::protocol::NodeId;
use carillon_storage::tables::Read;

pub(crate) fn enter<S: Read>(
    step: &mut Step<'_, '_, S>,
    node: NodeId,
    incarnation: [u8; 16],
) -> Result<Reply, RecordsError> {
    let key = Key::member(node);
    match get::<Member>(step.txn, &key)? {
        Some(member) if member.is_removed => Ok(Reply::Rejected(Rejection::Removed { node })),
        Some(member) if member.incarnation != incarnation => Ok(Reply::Rejected(Rejection::Wiped { node })),
        Some(_) => Ok(Reply::Done),
        None => {
            step.txn.put(key, &Member { incarnation, is_removed: false })?;
            Ok(Reply::Done)
        }
    }
}

pub(crate) fn remove<S: Read>(step: &mut Step<'_, '_, S>, node: NodeId) -> Result<Reply, RecordsError> {
    let key = Key::member(node);
    let known = get::<Member>(step.txn, &key)?.map(|member| member.incarnation);
    // One that was never entered is kept out all the same.
    step.txn.put(key, &Member { incarnation: known.unwrap_or_default(), is_removed: true })?;
    match groups::standing(step.txn, node)? {
        Some(epoch) => groups::mark_down(step, (node, epoch)),
        None => Ok(Reply::Done),
    }
}

/// What is known of a node's id.
///
/// # Errors
/// When rows can't be read.
pub fn of(read: &impl Read, node: NodeId) -> Result<Option<Member>, RecordsError> {
    get(read, &Key::member(node))
}
