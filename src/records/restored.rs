//! What a restored directory takes over from a backup: every row but those that belong to the old history.

use super::{
    CLUSTER, RecordsError,
    keys::{Key, Table},
    rows::Presence,
    txn::{decode, encode},
};
use crate::protocol::NodeId;

/// Tables whose rows stay behind: the name of the history, of which a restored node begins another; the journal, whose
/// positions nobody can resume from any more; and who belonged to the cluster that was backed up, and with what.
const LEFT_BEHIND: &[Table] = &[
    Table::History,
    Table::Journal,
    Table::JournalBuckets,
    Table::JournalEvents,
    Table::Members,
    Table::Groups,
    Table::Absences,
    Table::Shown,
    Table::Features,
];

/// A backup's row as the restored node `node` has it; `None` if it has none.
///
/// # Errors
/// When the row can't be read.
pub fn restored(key: &[u8], value: Vec<u8>, node: NodeId) -> Result<Option<Vec<u8>>, RecordsError> {
    let is_of = |table: Table| key.first() == Some(&(table as u8));
    if LEFT_BEHIND.iter().any(|table| is_of(*table)) {
        return Ok(None);
    }
    if is_of(Table::Nodes) {
        // A node of that number that joins later begins with its first boot.
        return Ok([node, CLUSTER].contains(&Key::last_number(key)).then_some(value));
    }
    if !is_of(Table::Presence) {
        return Ok(Some(value));
    }
    let mut row: Presence = decode(&value)?;
    // Nodes that are no more never say that a user has gone: their users count as those of an earlier boot of this one.
    for boot in row.boots.iter_mut().filter(|(of, _)| *of != node) {
        *boot = (node, 0);
    }
    row.boots.dedup();
    Ok(Some(encode(&row)?))
}

/// The name of a table in the headers of backups.
pub fn table_name(table: u8) -> String {
    Table::ALL.iter().find(|known| **known as u8 == table).map_or_else(
        || format!("table_{table}"),
        |known| {
            let mut name = String::new();
            for letter in format!("{known:?}").chars() {
                if letter.is_ascii_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(letter.to_ascii_lowercase());
            }
            name
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_nodes_that_are_no_more_count_as_those_of_an_earlier_boot() -> Result<(), RecordsError> {
        let row = Presence { boots: vec![(1, 3), (2, 5), (3, 7)], ..Presence::default() };
        let value = restored(&[Table::Presence as u8, b'x'], encode(&row)?, 1)?.expect("kept");
        assert_eq!(decode::<Presence>(&value)?.boots, [(1, 3), (1, 0)]);
        let other = vec![1, 2, 3];
        assert_eq!(restored(&[Table::Users as u8], other.clone(), 1)?, Some(other));
        Ok(())
    }

    #[test]
    fn other_nodes_have_never_been_there() -> Result<(), RecordsError> {
        for (node, is_kept) in [(1, true), (2, false), (CLUSTER, true)] {
            assert_eq!(restored(Key::node(node).as_bytes(), vec![1], 1)?.is_some(), is_kept, "node {node}");
        }
        Ok(())
    }

    #[test]
    fn tables_have_names() {
        assert_eq!(table_name(Table::IdempotencyKeys as u8), "idempotency_keys");
        assert_eq!(table_name(200), "table_200");
    }
}
