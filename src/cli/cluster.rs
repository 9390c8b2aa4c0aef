//! `carillon cluster`: asks a running node about its cluster, and has it change who belongs.

mod recover;

use super::{
    Exit, Failure,
    client::{CallError, Connection, Server, read_text},
    print, runtime,
};
use crate::{config::peer_address, protocol::NodeId};
use bytes::Bytes;
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};
use std::{
    fmt::Write,
    io::IsTerminal,
    time::{Duration, Instant},
};

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long a new node may take until it votes before the command no longer waits.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const STATUS: &str = "/api/v1/cluster";
const MEMBERS: &str = "/api/v1/cluster/members";

#[derive(Args, Debug)]
#[command(after_help = "The API key needs the scope cluster. A server in development mode takes the key dev.")]
pub(super) struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Who belongs, who leads, who is how far.
    Status,
    /// Add a node that runs already and belongs to no cluster yet; waits until it votes.
    Add {
        /// Its server.node_id; never one that another node has had.
        id: NodeId,
        /// Where its peers reach it.
        #[arg(value_parser = |text: &str| peer_address(text).map(str::to_owned))]
        address: String,
    },
    /// Make a cluster of one from what one node has, when the majority of a cluster is lost for good. What only the lost
    /// nodes had is gone. Says what it would do unless --giving-up names the other nodes.
    Recover(recover::Recover),
    /// Take a node out, for ever: its id is never used again. Asks on a terminal, and needs --yes elsewhere.
    Remove {
        /// Its server.node_id.
        id: NodeId,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// Also if the voters that answer now are no majority of those that are left: nothing can be stored then until enough of
        /// them are back.
        #[arg(long)]
        force: bool,
    },
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Command::Recover(recover) = &arguments.command {
        return recover::run(recover);
    }
    runtime()?.block_on(async {
        let mut node = Asked(arguments.server.connection()?);
        match &arguments.command {
            // Needs no node that runs.
            Command::Recover(_) => {}
            Command::Status => print(&table(&node.status().await?)),
            Command::Add { id, address } => {
                let body = json!({"id": id, "address": address}).to_string();
                node.ask(Method::POST, MEMBERS, body).await?;
                print(&format!("node {id} is added as a learner; it votes once it has caught up"));
                node.wait_for_voter(*id).await?;
                print(&format!("node {id} votes"));
            }
            Command::Remove { id, yes, force } => {
                if !*yes {
                    confirm_removal(*id)?;
                }
                let force = if *force { "?force=true" } else { "" };
                node.ask(Method::DELETE, &format!("{MEMBERS}/{id}{force}"), String::new()).await?;
                print(&format!("node {id} is out of the cluster, and its id is never used again"));
            }
        }
        Ok(())
    })
}

/// Has a person type the id again. Without a person nothing is done.
fn confirm_removal(id: NodeId) -> Result<(), Failure> {
    let what = format!("node {id} would be out of the cluster for ever, and its id would never be used again");
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, format!("{what}: give --yes if that is meant. Nothing was changed.")));
    }
    eprint!("{what}. Type {id} to go on: ");
    let mut typed = String::new();
    // Who can't be read has not agreed.
    let _ = std::io::stdin().read_line(&mut typed);
    if typed.trim() == id.to_string() {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "that is not its id: nothing was changed"))
}

/// A node that is asked.
struct Asked(Connection);

impl Asked {
    async fn ask(&mut self, method: Method, path: &str, body: String) -> Result<Value, Failure> {
        let url = self.0.url(path);
        let answer = tokio::time::timeout(PATIENCE, async {
            let response = self.0.call(method, path, Bytes::from(body)).await?;
            read_text(response).await
        });
        let late = || CallError::Broken(format!("no answer within {} s", PATIENCE.as_secs()));
        let text = answer.await.unwrap_or_else(|_| Err(late())).map_err(|error| error.failure(&url))?;
        serde_json::from_str(&text).map_err(|error| CallError::Broken(format!("no JSON: {error}")).failure(&url))
    }

    async fn status(&mut self) -> Result<Value, Failure> {
        self.ask(Method::GET, STATUS, String::new()).await
    }

    async fn wait_for_voter(&mut self, id: NodeId) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < CATCH_UP_PATIENCE {
            let status = self.status().await?;
            let members = status["members"].as_array();
            let is_voter = |member: &Value| member["id"] == id && member["role"] == "voter";
            if members.is_some_and(|members| members.iter().any(is_voter)) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let why = format!("node {id} has not caught up yet; it goes on, `carillon cluster status` shows how far it is");
        Err(Failure::new(Exit::Unavailable, why))
    }
}

/// For people.
fn table(status: &Value) -> String {
    let mut out = String::new();
    let Some(cluster) = status["cluster_id"].as_str() else {
        return "This node is alone: cluster.listen is not set.".into();
    };
    let leader = status["leader"].as_u64().map_or("no leader".to_owned(), |id| format!("node {id} leads"));
    let _ = writeln!(out, "cluster {cluster}, term {}, {leader}", status["term"]);
    let _ = writeln!(
        out,
        "{:>5}  {:<28} {:<8} {:<12} {:>12} {:>8} {:>9} {:>9}",
        "node", "address", "role", "link", "applied", "behind", "ping", "clock"
    );
    for member in status["members"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let is_self = member["id"] == status["node"]["id"];
        let link = match (is_self, member["is_reachable"].as_bool()) {
            (true, _) => "this node",
            (_, Some(true)) => "up",
            _ => "down",
        };
        let or_dash = |value: &Value| if value.is_null() { "-".to_owned() } else { value.to_string() };
        let ping = member["ping_ms"].as_f64().map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
        let clock = match (is_self, member["clock_ahead_ms"].as_i64()) {
            (false, Some(ms)) => format!(
                "{:+.1} s",
                Duration::from_millis(ms.unsigned_abs()).as_secs_f64().copysign(if ms < 0 { -1.0 } else { 1.0 })
            ),
            _ => "-".to_owned(),
        };
        let _ = writeln!(
            out,
            "{:>5}  {:<28} {:<8} {link:<12} {:>12} {:>8} {ping:>9} {clock:>9}",
            // A JSON value knows no width.
            member["id"].to_string(),
            member["address"].as_str().unwrap_or_default(),
            member["role"].as_str().unwrap_or_default(),
            or_dash(&member["applied_index"]),
            or_dash(&member["lag"]),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_shown_with_what_is_known_and_a_dash_for_the_rest() {
        let status = json!({
            "cluster_id": "ab", "term": 3, "leader": 1, "node": {"id": 1},
            "members": [
                {"id": 1, "address": "a:1", "role": "voter", "applied_index": 9, "lag": 0, "is_reachable": true},
                {"id": 2, "address": "b:1", "role": "learner", "is_reachable": false, "ping_ms": null},
            ],
        });
        let text = table(&status);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "cluster ab, term 3, node 1 leads");
        assert!(lines[2].contains("this node") && lines[2].contains("voter"), "{text}");
        // Each heading stands over what it names.
        for (heading, row, value) in
            [("node", 2, "1"), ("address", 2, "a:1"), ("role", 3, "learner"), ("link", 3, "down")]
        {
            let at = |line: &str, what: &str| line.find(what).unwrap_or_else(|| panic!("{what} in {line}"));
            let (above, below) = (at(lines[1], heading), at(lines[row], value));
            let is_aligned = if heading == "node" { above + heading.len() == below + 1 } else { above == below };
            assert!(is_aligned, "{heading} in\n{text}");
        }
        assert!(lines.iter().skip(1).all(|line| line.chars().count() == lines[1].chars().count()), "{text}");
        assert!(lines[3].contains("learner") && lines[3].contains("down") && lines[3].ends_with('-'), "{text}");
        assert!(table(&json!({})).contains("alone"));
    }
}
