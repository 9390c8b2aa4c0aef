//! Mistakes that no setting makes alone.

use super::{
    Config, cluster,
    load::Places,
    mistake::{Mistake, Place},
    secret::MAKE_A_SECRET,
};
use std::collections::BTreeSet;

/// Checks settings against each other.
pub(super) fn check(config: &Config, places: &Places) -> Vec<Mistake> {
    let mut checks = Checks { config, places, mistakes: Vec::new() };
    checks.keys();
    checks.listeners();
    checks.tls();
    checks.limits();
    checks.retention();
    cluster::check(&mut checks);
    checks.mistakes
}

pub(super) struct Checks<'a> {
    pub(super) config: &'a Config,
    places: &'a Places,
    mistakes: Vec<Mistake>,
}

impl Checks<'_> {
    /// At the place of the first of `paths` that was given.
    pub(super) fn wrong(&mut self, paths: &[&str], what: impl Into<String>, right: impl Into<String>) {
        let place = paths.iter().find_map(|path| self.places.get(path)).cloned().unwrap_or(Place::Nowhere);
        self.mistakes.push(Mistake::new(&place, what, right));
    }

    pub(super) fn given(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    fn keys(&mut self) {
        let auth = &self.config.auth;
        // A key that was given and is wrong has been reported already.
        if auth.jwt.is_empty() && auth.webhook.url.is_none() && !self.config.server.dev && !self.given("auth.jwt") {
            let right = format!("{MAKE_A_SECRET} in auth.jwt, or in CARILLON_AUTH__JWT; or start with --dev");
            self.wrong(&[], "auth.jwt: there is no key, so no token could be verified", right);
        }
        for (path, ids) in [
            ("auth.jwt", auth.jwt.iter().map(|key| &key.id).collect::<Vec<_>>()),
            ("auth.api_keys", auth.api_keys.iter().map(|key| &key.id).collect()),
        ] {
            for id in repeated(&ids) {
                self.wrong(&[path], format!("{path} has the id {id:?} more than once"), "give every key its own");
            }
        }
        let hashes: Vec<_> = auth.api_keys.iter().map(|key| &key.hash).collect();
        if !repeated(&hashes).is_empty() {
            self.wrong(
                &["auth.api_keys"],
                "auth.api_keys has the same hash more than once",
                "make a key for each with `carillon key new`",
            );
        }
    }

    fn listeners(&mut self) {
        let server = &self.config.server;
        if server.dev {
            for (path, listen) in [("server.listen", Some(server.listen)), ("server.admin_listen", server.admin_listen)]
            {
                if let Some(listen) = listen.filter(|listen| !listen.ip().is_loopback()) {
                    self.wrong(
                        &[path],
                        format!("{path} is {listen}, and development mode has a secret that everybody knows"),
                        "listen on 127.0.0.1 or [::1], or leave out --dev",
                    );
                }
            }
        }
        if server.admin_listen == Some(server.listen) && server.listen.port() != 0 {
            self.wrong(
                &["server.admin_listen"],
                "server.admin_listen is the same as server.listen",
                "give it a port of its own, or leave it out",
            );
        }
    }

    fn tls(&mut self) {
        for (one, other) in [("server.tls_cert", "server.tls_key"), ("server.tls_key", "server.tls_cert")] {
            if self.given(one) && !self.given(other) {
                self.wrong(&[one], format!("{one} is set without {other}"), "TLS needs both, or neither");
            }
        }
    }

    fn limits(&mut self) {
        let (limits, storage) = (&self.config.limits, &self.config.storage);
        if limits.ping_timeout_seconds >= limits.ping_interval_seconds {
            self.wrong(
                &["limits.ping_timeout_seconds", "limits.ping_interval_seconds"],
                format!(
                    "limits.ping_timeout_seconds is {}, limits.ping_interval_seconds is {}",
                    limits.ping_timeout_seconds, limits.ping_interval_seconds
                ),
                "a pong must be due before the next ping: make the timeout less than the interval",
            );
        }
        if storage.segment_bytes > storage.snapshot_log_bytes {
            self.wrong(
                &["storage.segment_bytes", "storage.snapshot_log_bytes"],
                format!(
                    "storage.segment_bytes is {}, storage.snapshot_log_bytes is {}",
                    storage.segment_bytes, storage.snapshot_log_bytes
                ),
                "a segment must not be larger than the log that is kept",
            );
        }
    }

    /// A level's bound that can never be reached: somebody thinks that it outweighs the bound for all levels.
    fn retention(&mut self) {
        let retention = &self.config.retention;
        let mut vain = Vec::new();
        for (level, kept) in retention.levels() {
            for (key, of_level, of_all) in [
                ("per_user", kept.per_user, retention.notifications_per_user),
                ("days", kept.days, retention.notifications_days),
            ] {
                if of_all > 0 && of_level > of_all {
                    vain.push((
                        format!("retention.{level}_{key}"),
                        of_level,
                        format!("retention.notifications_{key}"),
                        of_all,
                    ));
                }
            }
        }
        for (path, of_level, all, of_all) in vain {
            self.wrong(
                &[&path],
                format!("{path} is {of_level}, {all} is {of_all}"),
                format!("the bound for all levels counts as well: raise {all}, or set it to 0"),
            );
        }
    }
}

fn repeated<T: Ord + Copy>(all: &[T]) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    all.iter().copied().filter(|one| !seen.insert(*one)).collect()
}
