//! `log.level`: a level, or levels by module. The library that reads it takes any word for the name of a module, so
//! that a slip of the pen silences the log; here it is a mistake.

use super::mistake::nearest;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
const RIGHT: &str = "write error, warn, info, debug, trace, off, or levels by module like info,carillon::auth=debug";
const OURS: &str = "carillon";
/// What can be named below `carillon::`; a test holds it against the library.
const MODULES: [&str; 17] = [
    "app",
    "auth",
    "broker",
    "cli",
    "cluster",
    "config",
    "endpoints",
    "http",
    "jwks",
    "outbound",
    "protocol",
    "records",
    "session",
    "tally",
    "telemetry",
    "transport",
    "webhook",
];

/// The filter without spaces around its parts, or what would be right.
pub(super) fn parse(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(RIGHT.into());
    }
    parts.iter().try_for_each(|part| check(part))?;
    let filter = parts.join(",");
    EnvFilter::try_new(&filter).map(|_| filter).map_err(|_| RIGHT.into())
}

fn check(part: &str) -> Result<(), String> {
    let (target, level) = match part.split_once('=') {
        // A span's fields have equals signs of their own: the library judges those.
        _ if part.contains('[') => return Ok(()),
        Some((target, level)) => (target, Some(level)),
        None => (part, None),
    };
    if let Some(level) = level.filter(|level| level.parse::<LevelFilter>().is_err()) {
        return Err(meant(level, |near| format!("{target}={near}")));
    }
    if level.is_none() && target.parse::<LevelFilter>().is_ok() {
        return Ok(());
    }
    let (root, below) = target.split_once("::").unwrap_or((target, ""));
    if level.is_none() && below.is_empty() {
        return Err(match root {
            OURS => format!("write {OURS}=debug, or another level"),
            _ => meant(root, str::to_owned),
        });
    }
    // An embedding program logs, too, under a name that we don't know.
    let almost_ours = root != OURS && nearest(root, [OURS]).is_some();
    let module = below.split("::").next().unwrap_or_default();
    if almost_ours {
        return Err(format!("did you mean `{}`?", part.replacen(root, OURS, 1)));
    }
    if root == OURS && !MODULES.iter().any(|known| known.starts_with(module)) {
        return Err(match nearest(module, MODULES) {
            Some(near) => format!("did you mean `{}`?", part.replacen(module, near, 1)),
            None => format!("below {OURS}:: there are {}", MODULES.join(", ")),
        });
    }
    Ok(())
}

fn meant(level: &str, spelled: impl Fn(&str) -> String) -> String {
    nearest(level, LEVELS).map_or_else(|| RIGHT.into(), |near| format!("did you mean `{}`?", spelled(near)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_levels_by_module_are_taken() {
        for (text, read) in [
            ("info", "info"),
            ("INFO", "INFO"),
            ("off", "off"),
            ("info,carillon::transport=debug", "info,carillon::transport=debug"),
            (" info , carillon::auth=debug,", "info,carillon::auth=debug"),
            ("carillon=trace", "carillon=trace"),
            ("warn,carillon::session::task=trace", "warn,carillon::session::task=trace"),
            ("carillon::http", "carillon::http"),
            ("info,my_app=debug,openraft=warn", "info,my_app=debug,openraft=warn"),
            ("info,[handshake{peer=\"a\"}]=debug", "info,[handshake{peer=\"a\"}]=debug"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(read), "{text}");
        }
    }

    #[test]
    fn slips_of_the_pen_are_mistakes() {
        for (text, right) in [
            ("inof", "did you mean `info`?"),
            ("wran,carillon=debug", "did you mean `warn`?"),
            ("verbose", RIGHT),
            ("", RIGHT),
            (" , ", RIGHT),
            ("info,carillon=debgu", "did you mean `carillon=debug`?"),
            ("info,carillon", "write carillon=debug, or another level"),
            ("info,carillion=debug", "did you mean `carillon=debug`?"),
            ("info,carilon::auth=debug", "did you mean `carillon::auth=debug`?"),
            ("info,carillon::transprot=debug", "did you mean `carillon::transport=debug`?"),
            ("info,carillon::frobnicator=debug", "below carillon:: there are app, "),
            ("info,[", RIGHT),
        ] {
            let said = parse(text).expect_err(text);
            assert!(said.contains(right), "{text}: {said}");
        }
    }

    #[test]
    fn every_module_can_be_named() {
        let modules =
            include_str!("../lib.rs").lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
        // Reads a clock and says nothing.
        let modules: Vec<_> = modules.filter(|module| *module != "wall_clock").collect();
        assert_eq!(modules, MODULES);
    }
}
