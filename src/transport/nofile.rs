//! Open files: as many as the system allows, and a word if that is too few for the connections configured.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that the server needs beside its connections: log, tables, listeners, peers.
const OTHER_FILES: u64 = 512;

/// Raises the soft limit to the hard one and logs what holds. Returns the limit.
pub fn raise_open_files(connections: usize) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let others = crate::config::limits::HTTP_CONNECTIONS_MAX as u64 + OTHER_FILES;
    let fit = files.saturating_sub(others);
    if fit < connections as u64 {
        // The default asks for more than many systems give; whoever needs that many has raised the limit.
        tracing::info!(
            files,
            connections = fit,
            "the limit of open files allows fewer connections than limits.connections_total; to raise it: ulimit -n, LimitNOFILE="
        );
    }
    files
}
