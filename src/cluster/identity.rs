//! Who this node is, on its own disk: its number, its incarnation, its cluster, how often it has started.
//!
//! It stands beside the log and the vote, and goes with them: a data directory that was wiped gets another
//! incarnation, so that nobody takes the node for the one that had promised something.

use super::codec;
use crate::protocol::NodeId;
use carillon_storage::{CodecError, NoteError, note};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use tokio::sync::watch;

/// The file in the data directory.
const FILE: &str = "node";

/// A cluster's name, drawn once by the node that forms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterId([u8; 16]);

/// The name of a data directory, drawn when it is made.
pub(crate) type Incarnation = [u8; 16];

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a data directory is not this node's.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file can't be used.
    #[error("who this node is: {0}")]
    Note(#[from] NoteError),
    /// The file's value can't be used.
    #[error("who this node is: {0}")]
    Codec(#[from] CodecError),
    /// It is another node's.
    #[error(
        "the data directory belongs to node {found}, and server.node_id is {configured}: set server.node_id to {found}, \
         or name node {configured}'s own directory in server.data_dir"
    )]
    OtherNode {
        /// Whose it is.
        found: NodeId,
        /// Who this is to be.
        configured: NodeId,
    },
    /// No source of random numbers.
    #[error("the system gives no random numbers, so nothing can be named")]
    Random,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    node: NodeId,
    incarnation: Incarnation,
    cluster: Option<ClusterId>,
    /// This node has drawn the cluster's name and must form it.
    is_forming: bool,
    boots: u64,
    /// The last entry of a snapshot that is being taken in place of everything.
    installing: Option<u64>,
}

/// The identity, in memory and on disk.
#[derive(Debug)]
pub(crate) struct Identity {
    path: PathBuf,
    stored: Mutex<Stored>,
    cluster: watch::Sender<Option<ClusterId>>,
}

impl Identity {
    /// Reads the identity that `dir` has, or draws one for `node`.
    pub(crate) fn open(dir: &Path, node: NodeId) -> Result<Self, IdentityError> {
        let path = dir.join(FILE);
        let stored = match note::read(&path)? {
            Some(bytes) => codec::decode::<Stored>(&bytes)?,
            None => {
                let incarnation = draw()?;
                let stored = Stored { node, incarnation, cluster: None, is_forming: false, boots: 0, installing: None };
                note::write(&path, &codec::encode(&stored)?)?;
                stored
            }
        };
        if stored.node != node {
            return Err(IdentityError::OtherNode { found: stored.node, configured: node });
        }
        let cluster = watch::Sender::new(stored.cluster);
        Ok(Self { path, stored: Mutex::new(stored), cluster })
    }

    /// Whose directory this is, and the last entry of a snapshot that was being taken in; `None` if it never had company.
    pub(crate) fn of_directory(dir: &Path) -> Result<Option<(NodeId, Option<u64>)>, IdentityError> {
        let Some(bytes) = note::read(&dir.join(FILE))? else { return Ok(None) };
        let stored: Stored = codec::decode(&bytes)?;
        Ok(Some((stored.node, stored.installing)))
    }

    pub(crate) fn node(&self) -> NodeId {
        self.stored.lock().node
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.stored.lock().incarnation
    }

    pub(crate) fn cluster(&self) -> Option<ClusterId> {
        *self.cluster.borrow()
    }

    /// Says when the node gets a cluster.
    pub(crate) fn watch_cluster(&self) -> watch::Receiver<Option<ClusterId>> {
        self.cluster.subscribe()
    }

    /// Draws a name for a cluster of this node's own, if it has none yet.
    pub(crate) fn found_cluster(&self) -> Result<(), IdentityError> {
        let id = ClusterId(draw()?);
        self.change(|stored| {
            if stored.cluster.is_none() {
                (stored.cluster, stored.is_forming) = (Some(id), true);
            }
        })
    }

    /// Becomes one of an existing cluster; false if it is one of another.
    pub(crate) fn adopt(&self, id: ClusterId) -> Result<bool, IdentityError> {
        self.change(|stored| {
            stored.cluster.get_or_insert(id);
        })?;
        Ok(self.cluster() == Some(id))
    }

    /// Whether this node has drawn the cluster's name and hasn't formed it yet.
    pub(crate) fn is_forming(&self) -> bool {
        self.stored.lock().is_forming
    }

    /// The cluster is formed.
    pub(crate) fn formed(&self) -> Result<(), IdentityError> {
        self.change(|stored| stored.is_forming = false)
    }

    /// Begins a boot: a number that no earlier boot had, and that is larger than `seen`.
    pub(crate) fn begin_boot(&self, seen: u64) -> Result<u64, IdentityError> {
        self.change(|stored| stored.boots = stored.boots.max(seen) + 1)?;
        Ok(self.stored.lock().boots)
    }

    /// The last entry of a snapshot whose taking in was begun and not ended.
    pub(crate) fn installing(&self) -> Option<u64> {
        self.stored.lock().installing
    }

    /// Notes that a snapshot is being taken in, or that it has been.
    pub(crate) fn set_installing(&self, index: Option<u64>) -> Result<(), IdentityError> {
        self.change(|stored| stored.installing = index)
    }

    /// On disk first.
    fn change(&self, change: impl FnOnce(&mut Stored)) -> Result<(), IdentityError> {
        let mut stored = self.stored.lock();
        let mut next = stored.clone();
        change(&mut next);
        if next != *stored {
            note::write(&self.path, &codec::encode(&next)?)?;
            *stored = next;
        }
        let cluster = stored.cluster;
        self.cluster.send_if_modified(|known| std::mem::replace(known, cluster) != cluster);
        Ok(())
    }
}

fn draw() -> Result<[u8; 16], IdentityError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| IdentityError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_outlives_the_process_and_no_boot_has_a_number_twice() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Identity::open(dir.path(), 2).expect("new");
        assert_eq!((first.begin_boot(0).expect("1"), first.begin_boot(7).expect("8")), (1, 8));
        first.found_cluster().expect("drawn");
        let (incarnation, cluster) = (first.incarnation(), first.cluster());
        let again = Identity::open(dir.path(), 2).expect("known");
        assert_eq!((again.incarnation(), again.cluster(), again.is_forming()), (incarnation, cluster, true));
        assert_eq!(again.begin_boot(3).expect("9"), 9);
        assert!(matches!(Identity::open(dir.path(), 3), Err(IdentityError::OtherNode { found: 2, configured: 3 })));
    }

    #[test]
    fn a_node_has_one_cluster_for_ever_and_a_wiped_one_is_another() {
        let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let (one, other) = (Identity::open(one.path(), 1).expect("new"), Identity::open(other.path(), 1).expect("new"));
        assert_ne!(one.incarnation(), other.incarnation());
        one.found_cluster().expect("drawn");
        let id = one.cluster().expect("drawn");
        assert!(other.adopt(id).expect("adopted") && !other.is_forming());
        other.found_cluster().expect("has one");
        assert_eq!(other.cluster(), Some(id));
        assert!(!other.adopt(ClusterId([9; 16])).expect("kept"));
    }
}
