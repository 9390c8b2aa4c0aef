//! `carillon cluster recover`: the way back when a majority is lost for good. It never happens by accident: it works on
//! a stopped node's directory, leaves it as it is, and wants the nodes named that are given up.

use crate::{
    cli::{Exit, Failure, backup, print, runtime},
    cluster::{self, Stopped},
    protocol::NodeId,
};
use carillon_storage::snapshot;
use clap::Args;
use std::{fmt::Write, path::PathBuf};

#[derive(Args, Debug)]
pub(super) struct Recover {
    /// The directory of a stopped node that is left; of several, the one with the highest term and entry.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The directory to make; it must not be there, or be empty.
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// All other nodes of the cluster, which must never run again: 2,3.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    giving_up: Vec<NodeId>,
}

pub(super) fn run(arguments: &Recover) -> Result<(), Failure> {
    let Recover { data_dir, into, giving_up } = arguments;
    let usage = |what: String| Failure::new(Exit::Usage, what);
    runtime()?.block_on(async {
        let stopped = Stopped::open(data_dir).await.map_err(|error| backup::offline_failure(&error))?;
        let (node, others, (term, index)) = (stopped.node(), stopped.others().to_vec(), stopped.last());
        if others.is_empty() {
            return Err(usage(format!("node {node} is alone: it needs no recovery, `carillon serve` starts it")));
        }
        let mut named = giving_up.clone();
        named.sort_unstable();
        if named != others {
            return Err(usage(refusal((node, &others), (term, index), &data_dir.display().to_string())));
        }
        // Beside what is made, so that there is room for both or for neither.
        let copy = into.with_extension("recovering");
        let made = stopped.back_up(&copy).await.map_err(|error| backup::offline_failure(&error))?;
        let restored = cluster::restore(&made.1.path, into, Some(node));
        // A copy that is left behind is in the way of the next attempt, and says so.
        let _ = snapshot::remove(&copy);
        restored.map_err(|error| backup::restore_failure(&error, &copy))?;
        print(&format!(
            "{into} is node {node} as a cluster of its own, as of term {term}, entry {index}. {old} is as it was. Start \
             it with cluster.listen and cluster.secret, and without cluster.peers:\n  carillon serve --data-dir \
             {into}\nNodes that are added need ids that no node has had, and empty directories. Nodes {lost} must never \
             run again.",
            into = into.display(),
            old = data_dir.display(),
            lost = list(&others),
        ));
        Ok(())
    })
}

fn refusal((node, others): (NodeId, &[NodeId]), (term, index): (u64, u64), dir: &str) -> String {
    let mut text = String::new();
    let lost = list(others);
    let _ = writeln!(text, "nothing was done. {dir} is node {node}'s, of a cluster with the nodes {lost} beside it.");
    let _ =
        writeln!(text, "It has everything up to term {term}, entry {index}; what only the others have would be lost.");
    let _ = writeln!(text, "While a majority of the nodes can be started, start it instead: nothing is lost then.");
    let _ = writeln!(text, "Of several nodes that are left, take the one with the highest term, then entry.");
    let _ = write!(text, "If the others are gone for good, repeat the command with --giving-up {lost}");
    text
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_names_what_is_at_stake_and_how_to_go_on() {
        let text = refusal((1, &[2, 3]), (7, 90), "d");
        for part in ["nothing was done", "term 7, entry 90", "--giving-up 2,3", "start it instead"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
