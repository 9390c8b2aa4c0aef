//! The loader from outside: texts in, settings or mistakes out.

use super::{Config, Flag, JwtAlgorithm, JwtKey, Mistakes, Scope, default_toml, environment_help, load, schema::*};
use proptest::prelude::*;
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Loads `toml` (as `c.toml`), environment and flags.
fn try_load(toml: &str, env: &[(&str, &str)], flags: &[Flag]) -> Result<Config, Mistakes> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("c.toml");
    fs::write(&file, toml).expect("written");
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(&file), env, flags).map_err(|Mistakes(all)| {
        let here = format!("{}/", dir.path().display());
        let short = |text: &str| text.replace(&here, "");
        Mistakes(
            all.into_iter()
                .map(|mut mistake| {
                    if let super::Place::File { file, .. } | super::Place::WholeFile(file) = &mut mistake.place {
                        *file = short(file).into();
                    }
                    mistake
                })
                .collect(),
        )
    })
}

fn good(toml: &str, env: &[(&str, &str)]) -> Config {
    let mut env = env.to_vec();
    env.push(("CARILLON_AUTH__JWT", SECRET));
    try_load(toml, &env, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// The mistakes as lines, with a key that is right.
fn mistakes(toml: &str, env: &[(&str, &str)]) -> Vec<String> {
    let mut env = env.to_vec();
    if !env.iter().any(|(name, _)| *name == "CARILLON_AUTH__JWT") && !toml.contains("jwt") {
        env.push(("CARILLON_AUTH__JWT", SECRET));
    }
    let found = try_load(toml, &env, &[]).expect_err("mistakes");
    found.0.iter().map(ToString::to_string).collect()
}

fn flag(name: &'static str, path: &'static str, value: &str) -> Flag {
    Flag { name, path, value: value.into() }
}

#[test]
fn the_later_source_wins() {
    let toml = "[limits]\nconnections_per_user = 1\nconnections_total = 1\nmessages_burst = 1\n";
    let env = [
        ("CARILLON_AUTH__JWT", SECRET),
        ("CARILLON_LIMITS__CONNECTIONS_PER_USER", "2"),
        ("CARILLON_SERVER__LISTEN", "127.0.0.1:2"),
    ];
    let config = try_load(toml, &env, &[flag("--listen", "server.listen", "127.0.0.1:3")]).expect("good");
    assert_eq!((config.limits.connections_total, config.limits.connections_per_user), (1, 2));
    assert_eq!(config.server.listen.port(), 3);
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place_and_what_would_be_right() {
    let toml = "\
listen = \"127.0.0.1:1\"
[limts]
connections_total = 1
[limits]
connections_total = 0
conections_per_user = 5
ping_interval_seconds = 5
message_bytes = \"64k\"
[server]
listen = \"localhost\"
tls_cert = \"/a.pem\"
trusted_proxies = [\"10.0.0.1\", \"10.0.0.1/8\"]
[auth]
allowed_origins = [\"https://a.example.org\"]
query_token = \"yes\"
";
    let found = mistakes(toml, &[("CARILLON_DRAIN__SECONDS", "soon"), ("CARILLON_DRAIN__SECOND", "1")]);
    assert_eq!(
        found,
        [
            "c.toml:1:1: there is no section or setting \"listen\"; `listen` belongs under [server]",
            "c.toml:2:2: there is no section or setting \"limts\"; did you mean `limits`?",
            "c.toml:5:21: limits.connections_total is 0; it must be an integer from 1 to 10000000",
            "c.toml:6:1: there is no setting \"limits.conections_per_user\"; did you mean `connections_per_user`?",
            "c.toml:8:17: limits.message_bytes is \"64k\"; it must be an integer from 1024 to 16777216",
            "c.toml:10:10: server.listen is \"localhost\"; write an IP address and a port, 127.0.0.1:8000 or [::1]:8000",
            "c.toml:12:32: server.trusted_proxies has \"10.0.0.1/8\" in it; write an IP address without a port, 10.0.0.1",
            "c.toml:14:20: auth.allowed_origins has \"https://a.example.org\" in it; \"https://a.example.org\" has a \
             scheme: write the host alone, \"a.example.org\"",
            "c.toml:15:15: auth.query_token is \"yes\"; it must be true or false",
            "environment variable CARILLON_DRAIN__SECOND: there is no such setting; \
             did you mean `CARILLON_DRAIN__SECONDS`?",
            "environment variable CARILLON_DRAIN__SECONDS: drain.seconds is \"soon\"; \
             it must be an integer from 0 to 3600",
            "c.toml:11:12: server.tls_cert is set without server.tls_key; TLS needs both, or neither",
            "c.toml:7:25: limits.ping_timeout_seconds is 10, limits.ping_interval_seconds is 5; \
             a pong must be due before the next ping: make the timeout less than the interval",
        ]
    );
}

#[test]
fn the_default_file_reads_back_as_the_default() {
    let mut config = good(&default_toml(), &[]);
    config.auth.jwt.clear();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn the_default_file_with_every_example_switched_on_is_read_too() {
    let hash = "ab".repeat(32);
    let toml: String = default_toml()
        .replace("<64 hexadecimal digits>", &hash)
        .replace("base64:<32 bytes or more>", SECRET)
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
        .filter(|line| !line.ends_with("= []"))
        .map(|line| format!("{line}\n"))
        .collect();
    let config = try_load(&toml, &[], &[]).unwrap_or_else(|mistakes| panic!("{mistakes}\n{toml}"));
    assert_eq!((config.auth.jwt.len(), config.auth.api_keys.len(), config.auth.allowed_origins.len()), (1, 1, 3));
    assert!(config.server.tls.is_some() && config.auth.issuer.is_some());
}

fn is_setting(line: &str) -> bool {
    line.starts_with("[[") || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
}

#[test]
fn every_setting_takes_its_whole_range_and_nothing_beyond() {
    for setting in settings() {
        let Kind::Integer { range, get, set } = &setting.kind else { continue };
        for value in [*range.start(), *range.end()] {
            let mut config = Config::default();
            set(&mut config, value);
            assert_eq!(get(&config), value, "{} does not hold its own range", setting.path);
        }
        assert!(range.contains(&get(&Config::default())), "{}: the default", setting.path);
        let beyond = (range.end() + 1).to_string();
        assert_eq!(mistakes("", &[(&setting.env_name(), &beyond)]).len(), 1, "{}", setting.path);
    }
}

#[test]
fn retention_is_set_for_all_levels_and_for_each() {
    let env = [("CARILLON_RETENTION__WARNING_PER_USER", "7"), ("CARILLON_RETENTION__NOTIFICATIONS_DAYS", "400")];
    let retention = good("[retention]\ninfo_days = 30\nerror_days = 365\n", &env).retention;
    assert_eq!((retention.notifications_days, retention.info.days, retention.error.days), (400, 30, 365));
    assert_eq!((retention.warning.per_user, retention.success), (7, super::Kept::default()));
    let levels = retention.levels().map(|(level, _)| level);
    assert_eq!(levels, crate::protocol::event::LEVELS, "each level there is");
}

#[test]
fn every_setting_has_a_name_in_the_environment_that_the_help_lists() {
    let help = environment_help();
    for setting in settings() {
        assert!(help.contains(&format!("\n{}\n", setting.env_name())), "{}", setting.path);
    }
    assert!(help.contains("CARILLON_LIMITS__CONNECTIONS_PER_USER"));
}

#[test]
fn keys_are_read_from_the_file_and_from_the_environment_as_toml_and_json() {
    let file = format!("[[auth.jwt]]\nid = \"a\"\nsecret = \"{SECRET}\"\ntenants = [\"acme\", \"default\"]\n");
    let from_file = try_load(&file, &[], &[]).expect("a file");
    let toml = format!("[{{id = \"a\", secret = \"{SECRET}\", tenants = [\"acme\", \"default\"]}}]");
    let json = format!(r#"[{{"id": "a", "secret": "{SECRET}", "tenants": ["acme", "default"]}}]"#);
    for env in [toml, json] {
        let config = try_load("", &[("CARILLON_AUTH__JWT", &env)], &[]).expect(&env);
        assert_eq!(format!("{:?}", config.auth.jwt), format!("{:?}", from_file.auth.jwt));
        let key = JwtKey::secret("a", JwtAlgorithm::Hs256, SECRET.as_bytes());
        assert_eq!(config.auth.jwt[0].source, key.source);
    }
    let hash = "ab".repeat(32);
    let keys = format!(r#"[{{"id": "b", "hash": "{hash}", "scopes": ["read", "admin"], "tenant": "acme"}}]"#);
    let config = good("", &[("CARILLON_AUTH__API_KEYS", &keys)]);
    assert_eq!(config.auth.api_keys[0].hash, [0xab; 32]);
    assert_eq!(config.auth.api_keys[0].scopes, [Scope::Read, Scope::Admin]);
    assert_eq!(config.auth.api_keys[0].tenant.as_str(), "acme");
}

#[test]
fn a_wrong_key_is_explained_without_its_secret() {
    let long = "S3cret".repeat(8);
    let hash = "ab".repeat(32);
    let jwt = |fields: &str| format!("[[auth.jwt]]\n{fields}\n");
    let api = |fields: &str| format!("auth.jwt = \"{SECRET}\"\n[[auth.api_keys]]\n{fields}\n");
    let table = [
        (jwt(&format!("id = \"a\"\nsecret = \"{}\"", &long[..31])), "c.toml:3:10: auth.jwt secret has 31 bytes"),
        (jwt("id = \"a\""), "c.toml:1:1: auth.jwt secret is missing"),
        (jwt(&format!("secret = \"{long}\"")), "c.toml:1:1: auth.jwt id is missing"),
        (jwt(&format!("id = \"a\"\nsecert = \"{long}\"")), "did you mean `secret`?"),
        (jwt(&format!("id = \"a\"\nsecret = \"base64:{long}!\"")), "auth.jwt secret is no base64"),
        (jwt(&format!("id = \"a\"\nsecret = [\"{long}\"]")), "auth.jwt secret is an array"),
        (jwt(&format!("id = \"a\"\nsecret = \"{long}\"\nalgorithm = \"none\"")), "auth.jwt algorithm is wrong"),
        (jwt(&format!("id = \"a\"\nsecret = \"{long}\"\ntenants = []")), "auth.jwt tenants is empty"),
        (jwt(&format!("id = \"a\"\nsecret = \"{long}\"\ntenants = [\"a b\"]")), "auth.jwt tenants has a wrong entry"),
        (jwt(&format!("id = \"a\"\nsecret = \"{long}\"\nsecret_file = \"x\"")), "secret_file stands beside secret"),
        (jwt("id = \"a\"\nsecret_file = \"/nowhere/at/all\""), "/nowhere/at/all cannot be read"),
        (
            format!("{0}{0}", jwt(&format!("id = \"a\"\nsecret = \"{long}\""))),
            "auth.jwt has the id \"a\" more than once",
        ),
        (format!("auth.jwt = {long}\n"), "not TOML"),
        (format!("auth.jwt = \"{long}\n"), "not TOML"),
        ("auth.jwt = 7\n".into(), "auth.jwt is an integer"),
        (api(&format!("id = \"b\"\nhash = \"{long}\"\nscopes = [\"read\"]")), "auth.api_keys hash is wrong"),
        (api(&format!("id = \"b\"\nhash = \"{hash}\"")), "auth.api_keys scopes is missing or empty"),
        (api(&format!("id = \"b\"\nhash = \"{hash}\"\nscopes = [\"red\"]")), "did you mean `read`?"),
    ];
    for (toml, expected) in table {
        let found = mistakes(&toml, &[]).join("\n");
        assert!(found.contains(expected), "{toml}\nsaid: {found}\nexpected: {expected}");
        assert!(!found.contains("S3cret"), "{found}");
    }
    let found = mistakes("", &[("CARILLON_AUTH__JWT", "[S3cretS3cret")]).join("\n");
    assert!(found.contains("neither TOML nor JSON") && !found.contains("S3cret"), "{found}");
}

#[test]
fn a_secret_file_is_read_unless_everybody_can_read_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path: PathBuf = dir.path().join("jwt");
    fs::write(&path, format!("{SECRET}\n")).expect("written");
    let toml = format!("[[auth.jwt]]\nid = \"a\"\nsecret_file = {:?}\n", path.display().to_string());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
    let expected = JwtKey::secret("a", JwtAlgorithm::Hs256, SECRET.as_bytes());
    assert_eq!(try_load(&toml, &[], &[]).expect("good").auth.jwt, [expected]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
    let found = mistakes(&toml, &[]).join("\n");
    assert!(found.contains("can be read by everybody: chmod o-r"), "{found}");
}

#[test]
fn without_a_key_the_server_starts_only_in_development() {
    let found = try_load("", &[], &[]).expect_err("no key").to_string();
    assert!(found.contains("head -c 32 /dev/urandom | base64") && found.contains("--dev"), "{found}");
    let dev = flag("--dev", "server.dev", "true");
    assert!(try_load("", &[], std::slice::from_ref(&dev)).is_ok());
    for foreign in ["0.0.0.0:8000", "192.168.1.1:8000", "[::]:8000"] {
        let flags = [dev.clone(), flag("--listen", "server.listen", foreign)];
        let found = try_load("", &[], &flags).expect_err(foreign).to_string();
        assert!(found.contains("flag --listen") && found.contains("127.0.0.1"), "{found}");
    }
}

#[test]
fn only_what_is_meant_for_us_is_read_from_the_environment() {
    let env = [
        ("CARILLON_SERVICE_HOST", "10.0.0.1"),
        ("CARILLON_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("PATH", "/bin"),
        ("CARILLON_AUTH__ALLOWED_ORIGINS", "a.example.org, *.example.org"),
        ("CARILLON_SERVER__TRUSTED_PROXIES", r#"["10.0.0.1"]"#),
    ];
    let config = good("", &env);
    assert_eq!(config.auth.allowed_origins, ["a.example.org", "*.example.org"]);
    assert_eq!(config.server.trusted_proxies.len(), 1);
    for (name, meant) in [
        ("CARILLON_LIMITS_CONNECTIONS_TOTAL", "CARILLON_LIMITS__CONNECTIONS_TOTAL"),
        ("CARILLON_LIMITS__CONNECTION_TOTAL", "CARILLON_LIMITS__CONNECTIONS_TOTAL"),
        ("CARILLON_WHAT__EVER", "carillon config env"),
    ] {
        let found = mistakes("", &[(name, "1")]).join("\n");
        assert!(found.contains(name) && found.contains(meant), "{found}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_mistake() {
    let found = load(Some("/nowhere/c.toml".as_ref()), std::iter::empty(), &[]).expect_err("no file").to_string();
    assert!(found.contains("/nowhere/c.toml: the file cannot be read"), "{found}");
}

#[test]
fn settings_that_do_not_fit_together_are_mistakes() {
    let table = [
        ("[storage]\nsegment_bytes = 33554432\nsnapshot_log_bytes = 16777216\n", "c.toml:2:17: storage.segment_bytes"),
        ("[server]\nadmin_listen = \"127.0.0.1:8000\"\n", "c.toml:2:16: server.admin_listen is the same"),
        ("[server]\ntls_key = \"/k\"\n", "server.tls_key is set without server.tls_cert"),
        ("[limits]\nping_timeout_seconds = 25\n", "c.toml:2:24: limits.ping_timeout_seconds is 25"),
        (
            "[retention]\nnotifications_days = 30\nerror_days = 90\n",
            "c.toml:3:14: retention.error_days is 90, retention.notifications_days is 30; the bound for all levels counts",
        ),
    ];
    for (toml, expected) in table {
        let found = mistakes(toml, &[]);
        assert!(found.len() == 1 && found[0].contains(expected), "{toml}: {found:?}");
    }
}

#[test]
fn a_list_is_replaced_by_a_later_one() {
    let toml = "[auth]\nallowed_origins = [\"a.example.org\"]\n";
    let config = good(toml, &[("CARILLON_AUTH__ALLOWED_ORIGINS", "b.example.org")]);
    assert_eq!(config.auth.allowed_origins, ["b.example.org"]);
    assert!(good(toml, &[("CARILLON_AUTH__ALLOWED_ORIGINS", "")]).auth.allowed_origins.is_empty());
}

#[test]
fn a_line_that_is_not_toml_is_complained_about_once() {
    let found = mistakes("[limits]\nconections = 5 5\nmessages_burst = 0\n", &[]);
    assert!(found.len() == 2 && found[0].starts_with("c.toml:2:") && found[1].starts_with("c.toml:3:"), "{found:?}");
}

#[test]
fn no_debug_form_has_a_secret_in_it() {
    let config = good("", &[]);
    let door = crate::auth::Door::new(&config.auth, false);
    let bytes = format!("{:?}", SECRET.as_bytes());
    for shown in [format!("{config:?} {door:?}"), format!("{config:#?} {door:#?}")] {
        assert!(!shown.contains(SECRET) && !shown.contains(&bytes[1..30]), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_text_brings_the_loader_down(text in ".{0,200}", at in 0_usize..1 << 16, value in ".{0,40}") {
        let damaged = {
            let mut toml: Vec<char> = default_toml().chars().collect();
            let at = at % toml.len();
            toml.splice(at..at, text.chars());
            toml.into_iter().collect::<String>()
        };
        for toml in [text, damaged] {
            for setting in settings().step_by(5) {
                if let Err(Mistakes(all)) = try_load(&toml, &[(&setting.env_name(), &value)], &[]) {
                    prop_assert!(!all.is_empty());
                }
            }
        }
    }
}
