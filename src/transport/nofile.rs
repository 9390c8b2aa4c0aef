//! Open files: as many as the system allows, shared out between sessions, other connections and the rest of the server.
//!
//! Connections never get the last ones: a log that cannot open its next segment ends the server.

use crate::config::limits::HTTP_CONNECTIONS_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that the server needs beside its connections: log, tables, snapshots, listeners, peers.
const OTHER_FILES: u64 = 512;

/// How many connections of each kind there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Sessions.
    pub sessions: usize,
    /// Connections of one listener that are no sessions (yet).
    pub http: usize,
}

/// Raises the soft limit to the hard one, and shares it out. Says so if `sessions` do not fit.
pub fn raise_open_files(sessions: usize, listeners: usize) -> Room {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = share(files, (sessions, listeners));
    if room.sessions < sessions {
        // The default asks for more than many systems give; whoever needs that many has raised the limit.
        tracing::info!(
            files,
            connections = room.sessions,
            "the limit of open files allows fewer connections than limits.connections_total; to raise it: ulimit -n, LimitNOFILE="
        );
    }
    room
}

/// At most a quarter for the server itself, and of the rest a quarter for connections that are no sessions.
fn share(files: u64, (sessions, listeners): (usize, usize)) -> Room {
    let left = files - OTHER_FILES.min(files / 4);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let http = HTTP_CONNECTIONS_MAX.min(left / 4 / listeners.max(1)).max(1);
    Room { sessions: sessions.min(left.saturating_sub(http * listeners)), http }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_server_however_few_there_are() {
        let table = [
            (u64::MAX, (100_000, 1), (100_000, 4_096)),
            (1 << 20, (100_000, 2), (100_000, 4_096)),
            (20_000, (100_000, 1), (15_392, 4_096)),
            (20_000, (1_000, 1), (1_000, 4_096)),
            (1_024, (100_000, 1), (576, 192)),
            (1_024, (100_000, 2), (576, 96)),
            (256, (100, 1), (100, 48)),
            (256, (100_000, 1), (144, 48)),
            (4, (100_000, 1), (2, 1)),
        ];
        for (files, wanted, (sessions, http)) in table {
            assert_eq!(share(files, wanted), Room { sessions, http }, "{files} {wanted:?}");
        }
    }
}
