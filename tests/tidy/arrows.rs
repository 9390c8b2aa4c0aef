//! Which top-level module may name which: the data path is one way.
//!
//! `app → transport, http → session → endpoints → broker, records → protocol`; `cluster → records, broker, storage`.
//! `config`, `telemetry`, `tally`, `wall_clock` and the values of `auth` are known to all who need them.

use super::source::Source;

/// A module and those it may name.
const ALLOWED: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("config", &["protocol"]),
    ("tally", &[]),
    ("wall_clock", &["protocol"]),
    ("telemetry", &["config"]),
    ("auth", &["config", "protocol"]),
    // Knows nobody's question; named by whoever asks one.
    ("outbound", &["config"]),
    ("jwks", &["auth", "config", "outbound", "telemetry"]),
    ("planted", &[]),
    ("records", &["config", "planted", "protocol", "tally", "wall_clock"]),
    ("broker", &["config", "planted", "protocol", "tally", "telemetry"]),
    ("endpoints", &["auth", "broker", "config", "protocol", "records", "telemetry", "wall_clock"]),
    ("session", &["auth", "broker", "config", "endpoints", "jwks", "protocol", "telemetry", "wall_clock"]),
    (
        "webhook",
        &["auth", "broker", "config", "endpoints", "outbound", "protocol", "records", "telemetry", "wall_clock"],
    ),
    (
        "transport",
        &["auth", "config", "endpoints", "jwks", "protocol", "session", "telemetry", "wall_clock", "webhook"],
    ),
    ("cluster", &["broker", "config", "protocol", "records", "tally", "telemetry", "wall_clock"]),
    (
        "http",
        &[
            "auth",
            "broker",
            "cluster",
            "config",
            "endpoints",
            "planted",
            "protocol",
            "records",
            "session",
            "tally",
            "telemetry",
            "wall_clock",
        ],
    ),
    (
        "app",
        &[
            "auth",
            "broker",
            "cluster",
            "config",
            "endpoints",
            "http",
            "jwks",
            "outbound",
            "protocol",
            "records",
            "session",
            "telemetry",
            "transport",
            "webhook",
        ],
    ),
    // `records` for what an import may hold: one check for the file and for the call.
    ("cli", &["app", "auth", "cluster", "config", "outbound", "protocol", "records", "telemetry", "wall_clock"]),
    // The door of the house: names everything, does nothing.
    ("", &["cli"]),
];

/// Arrows that run otherwise: file, module that it names, why that is right or at least known.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    // Runs back: the shards own the members' outboxes, and a member is a session (ARCHITECTURE.md, "Outbox policy").
    ("src/broker/job.rs", "session", "what is queued is a chunk of an outbox"),
    ("src/broker/mod.rs", "session", "makes what the sessions of a shard share"),
    ("src/broker/seats.rs", "session", "a seat holds a session"),
    ("src/broker/shard.rs", "session", "a shard pushes into outboxes and flushes them"),
];

/// Arrows that are not in the table.
pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut said = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/") && !source.is_test()) {
        let module = source.module().first().copied().unwrap_or_default();
        let allowed = ALLOWED.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            said.push(format!("{}: module {module:?} has no place in the table of arrows: give it one", source.path));
            continue;
        };
        let mut seen = Vec::new();
        for path in source.paths() {
            let Some(target) = path.text.strip_prefix("crate::").and_then(|rest| rest.split("::").next()) else {
                continue;
            };
            let is_module = ALLOWED.iter().any(|(name, _)| *name == target);
            let excepted = EXCEPTIONS.iter().any(|(file, to, _)| *file == source.path && *to == target);
            if is_module && target != module && !allowed.contains(&target) && !excepted && !seen.contains(&target) {
                said.push(format!(
                    "{}:{} names {}: {module} must not know {target}",
                    source.path, path.line, path.text
                ));
                seen.push(ALLOWED.iter().find(|(name, _)| *name == target).map_or("", |(name, _)| name));
            }
        }
    }
    let stale = EXCEPTIONS.iter().filter(|exception| !is_needed(sources, exception));
    said.extend(stale.map(|(file, to, _)| format!("{file} no longer names {to}: take it off the list of exceptions")));
    said
}

/// Whether a file that was read still names the module; one that wasn't read says nothing.
fn is_needed(sources: &[Source], (file, to, _): &(&str, &str, &str)) -> bool {
    let module = format!("crate::{to}");
    let names = |source: &Source| source.paths().iter().any(|path| path.text.starts_with(&module));
    sources.iter().find(|source| source.path == *file).is_none_or(names)
}
