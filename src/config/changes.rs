//! What differs between two configurations, by the names of settings, and what of it a running server takes on.

use super::{
    Config,
    schema::{Kind, Setting, settings},
};

/// Settings that count from the next reload on, beside those of retention; every other one from the next start.
const LIVE: &[&str] = &[
    "server.tls_cert",
    "server.tls_key",
    "server.trusted_proxies",
    "auth.issuer",
    "auth.audience",
    "auth.token_type",
    "auth.jwks_refresh_seconds",
    "auth.leeway_seconds",
    "auth.cookie",
    "auth.query_token",
    "auth.allowed_origins",
    "auth.jwt",
    "auth.api_keys",
    "limits.connections_total",
    "limits.connections_per_user",
    "limits.connections_per_address",
    "limits.message_bytes",
    "limits.messages_per_second",
    "limits.messages_burst",
    "limits.api_calls_per_second",
    "limits.api_body_bytes",
    "log.level",
];

/// Names of settings that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that a reload puts into force.
    pub applied: Vec<&'static str>,
    /// Those that wait for a restart.
    pub waiting: Vec<&'static str>,
}

/// What `new` changes: `latest` is what is in force of the live settings, `started` what the server was started with.
pub fn changes(started: &Config, latest: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    for setting in settings() {
        if is_live(setting.path) && !setting.is_same(latest, new) {
            changes.applied.push(setting.path);
        } else if !is_live(setting.path) && !setting.is_same(started, new) {
            changes.waiting.push(setting.path);
        }
    }
    changes
}

/// Whether a reload puts the setting into force.
pub(super) fn is_live(path: &str) -> bool {
    // What is kept is asked anew by each round.
    LIVE.contains(&path) || path.starts_with("retention.")
}

impl Setting {
    fn is_same(&self, a: &Config, b: &Config) -> bool {
        match &self.kind {
            Kind::Integer { get, .. } => get(a) == get(b),
            Kind::Switch { get, .. } => get(a) == get(b),
            Kind::Text { get, .. } => get(a) == get(b),
            Kind::List { get, .. } => get(a) == get(b),
            Kind::Secret { is_same, .. } | Kind::Tables { is_same, .. } => is_same(a, b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{JwtAlgorithm, JwtKey};

    #[test]
    fn every_live_setting_exists() {
        for path in LIVE {
            assert!(settings().any(|setting| setting.path == *path), "{path}");
        }
    }

    #[test]
    fn changes_are_told_apart_by_when_they_count() {
        let started = Config::default();
        assert_eq!(changes(&started, &started, &started), Changes::default());
        let mut latest = started.clone();
        latest.limits.connections_per_user = 1;
        let mut new = latest.clone();
        new.auth.jwt = vec![JwtKey::secret("a", JwtAlgorithm::Hs256, &[7; 32])];
        new.auth.allowed_origins.push("a.example.org".into());
        new.drain.seconds += 1;
        let found = changes(&started, &latest, &new);
        assert_eq!(found.applied, ["auth.allowed_origins", "auth.jwt"]);
        assert_eq!(found.waiting, ["drain.seconds"]);
        // Another secret under the same id is another key; what waits for a restart goes on waiting.
        let mut rotated = new.clone();
        rotated.auth.jwt = vec![JwtKey::secret("a", JwtAlgorithm::Hs256, &[8; 32])];
        let found = changes(&started, &new, &rotated);
        assert_eq!((found.applied.as_slice(), found.waiting.as_slice()), (&["auth.jwt"][..], &["drain.seconds"][..]));
    }
}
