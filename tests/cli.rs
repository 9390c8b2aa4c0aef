//! The command line, as a shell sees it: exit codes, what goes to which stream, and nothing secret in either.

mod support;

use carillon::{
    auth::{ApiKeys, Door},
    config::{self, JwtKey},
    protocol::{Endpoint, Timestamp},
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
};
use support::program::{Run, carillon, command, run};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn carillon_with(args: &[&str], env: &[(&str, &str)]) -> Run {
    run(command(args).envs(env.iter().copied()))
}

fn file(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("carillon.toml");
    std::fs::write(&path, text).expect("written");
    path
}

/// What the server's own door makes of a token.
fn admit(auth: &config::Auth, dev: bool, token: &str, endpoint: Endpoint) -> Option<carillon::auth::Identity> {
    let head = hyper::Request::get(endpoint.path())
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .expect("a request")
        .into_parts()
        .0;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let now = Timestamp::from_seconds(now.as_secs().try_into().expect("before the end of time"));
    Door::new(auth, dev).admit(&head, endpoint, now).ok().map(|admission| admission.identity)
}

#[test]
fn usage_errors_exit_with_64_and_say_what_would_be_right() {
    let table: [(&[&str], &str); 15] = [
        (&[], "Usage:"),
        (&["srve"], "serve"),
        (&["serve", "--lisen", "127.0.0.1:1"], "--listen"),
        (&["serve", "--log-format", "xml"], "human, json"),
        (&["token"], "--user"),
        (&["token", "--user", "a b"], "A-Z a-z 0-9"),
        (&["token", "--user", "1", "--ttl", "soon"], "15m"),
        (&["token", "--user", "1", "--dev", "--tenant", "acme"], "no key in auth.jwt may sign for tenant acme"),
        (&["key"], "new"),
        (&["key", "new", "--scopes", "write"], "publish, read, admin, tickets, backup and cluster"),
        (&["config", "check"], "<FILE>"),
        (&["ping", "--url", "localhost:8000"], "http://host:port"),
        (&["import", "dump.json", "--level", "a=loud"], "THEIRS=OURS"),
        (&["cluster"], "Usage:"),
        (&["cluster", "add", "4", "nowhere"], "HOST:PORT"),
    ];
    for (args, hint) in table {
        let run = carillon(args);
        assert_eq!(run.code, Some(64), "{args:?}: {}", run.err);
        assert!(run.err.contains(hint) && run.out.is_empty(), "{args:?}: {}", run.err);
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["--version"], &["serve", "--help"], &["config", "--help"]] {
        let run = carillon(args);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{args:?}");
        assert!(!run.out.is_empty(), "{args:?}");
    }
}

#[test]
fn config_check_reports_every_mistake_at_once_and_exits_with_78() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = file(
        dir.path(),
        "[server]\nlisten = \"nowhere\"\n[limits]\nconections_total = 1\n\n[auth]\njwt = \"S3cret\"\nallowed_origins = [\"*\"]\n",
    );
    let path = path.to_str().expect("UTF-8");
    let run = carillon_with(&["config", "check", path], &[("CARILLON_DRAIN__SECONDS", "soon")]);
    assert_eq!((run.code, run.out.as_str()), (Some(78), ""));
    for expected in [
        "5 mistakes in the configuration".to_owned(),
        format!("{path}:2:10: server.listen is \"nowhere\"; write an IP address and a port"),
        format!("{path}:4:1: there is no setting \"limits.conections_total\"; did you mean `connections_total`?"),
        format!("{path}:7:7: auth.jwt secret has 6 bytes, at least 32 are needed; make one with"),
        format!("{path}:8:20: auth.allowed_origins has \"*\" in it"),
        "environment variable CARILLON_DRAIN__SECONDS: drain.seconds is \"soon\"; it must be an integer".to_owned(),
    ] {
        assert!(run.err.contains(&expected), "{expected} is not in:\n{}", run.err);
    }
    assert!(!run.err.contains("S3cret"), "{}", run.err);
}

#[test]
fn the_default_configuration_passes_its_own_check() {
    let dir = tempfile::tempdir().expect("a directory");
    let shown = carillon(&["config", "default"]);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    let path = file(dir.path(), &shown.out);
    let check = carillon_with(&["config", "check", path.to_str().expect("UTF-8")], &[("CARILLON_AUTH__JWT", SECRET)]);
    assert_eq!((check.code, check.err.as_str()), (Some(0), ""));
    assert!(check.out.ends_with("no mistakes\n"), "{}", check.out);
    let env = [("CARILLON_AUTH__JWT".to_owned(), SECRET.to_owned())];
    let read = config::load(Some(&path), env.into_iter(), &[]).expect("good");
    let mut expected = config::Config::default();
    expected.auth.jwt = read.auth.jwt.clone();
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
}

#[test]
fn config_env_lists_the_names_that_others_rely_on() {
    let run = carillon(&["config", "env"]);
    for name in ["CARILLON_SERVER__LISTEN", "CARILLON_AUTH__JWT", "CARILLON_LIMITS__CONNECTIONS_PER_USER"] {
        assert!(run.out.contains(name), "{name}");
    }
}

#[test]
fn a_server_without_a_key_says_how_to_make_one() {
    for args in [&["serve"][..], &["token", "--user", "1"]] {
        let run = carillon(args);
        assert_eq!(run.code, Some(78), "{args:?}");
        assert!(run.err.contains("head -c 32 /dev/urandom | base64") && run.err.contains("--dev"), "{}", run.err);
    }
    let foreign = carillon(&["serve", "--dev", "--listen", "0.0.0.0:8000"]);
    assert_eq!(foreign.code, Some(78));
    assert!(foreign.err.contains("flag --listen"), "{}", foreign.err);
}

#[test]
fn a_printed_token_opens_the_door() {
    let run = carillon(&[
        "token",
        "--dev",
        "--user",
        "42",
        "--username",
        "ada",
        "--first-name",
        "Ada",
        "--last-name",
        "Lovelace",
        "--staff",
        "--ttl",
        "15m",
    ]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let token = run.out.trim();
    let identity = admit(&config::Auth::default(), true, token, Endpoint::AdminDashboard).expect("let in");
    assert_eq!((identity.user.as_str(), identity.tenant.as_str()), ("42", "default"));
    assert_eq!((&*identity.username, &*identity.first_name, &*identity.last_name), ("ada", "Ada", "Lovelace"));
    let issued = identity.issued_at.expect("iat");
    assert_eq!(identity.expires_at, issued.plus_seconds(900));
    assert!(admit(&config::Auth::default(), false, token, Endpoint::Dashboard).is_none(), "only in development");
}

#[test]
fn a_token_is_signed_with_the_key_of_the_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "[auth]\nissuer = \"app\"\naudience = \"carillon\"\n\
         [[auth.jwt]]\nid = \"a\"\nsecret = \"{SECRET}\"\n\
         [[auth.jwt]]\nid = \"b\"\nsecret = \"{SECRET}{SECRET}\"\ntenants = [\"acme\"]\n"
    );
    let path = file(dir.path(), &text);
    let auth = config::load(Some(&path), std::iter::empty(), &[]).expect("good").auth;
    let path = path.to_str().expect("UTF-8");
    for (extra, tenant) in [(&[][..], "default"), (&["--tenant", "acme"], "acme"), (&["--key", "b"], "acme")] {
        let args = [&["token", "--config", path, "--user", "ada"], extra].concat();
        let run = carillon(&args);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{args:?}");
        let identity = admit(&auth, false, run.out.trim(), Endpoint::Dashboard).expect("let in");
        assert_eq!(identity.tenant.as_str(), tenant, "{args:?}");
    }
    assert_eq!(carillon(&["token", "--config", path, "--user", "ada", "--key", "c"]).code, Some(64));
    assert_eq!(auth.jwt.iter().map(|key: &JwtKey| &*key.id).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_public_key_signs_nothing_and_the_command_says_who_does() {
    let pem = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokens/fixtures/p256.pub.pem");
    let public = format!("{{id = \"app\", algorithm = \"ES256\", public_key_file = {pem:?}}}");
    let secret = "{id = \"hs\", algorithm = \"HS512\", token_type = \"at+jwt\", secret = \"\
                  0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}";
    let run = |keys: String, args: &[&str]| {
        let args = [&["token", "--user", "1"], args].concat();
        carillon_with(&args, &[("CARILLON_AUTH__JWT", &keys)])
    };
    let refused = run(format!("[{public}]"), &[]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(64), ""));
    assert!(refused.err.contains("only public keys and key sets (app)") && refused.err.contains("private key is with"));
    let both = format!("[{public}, {secret}]");
    let refused = run(both.clone(), &["--key", "app"]);
    assert!(refused.err.contains("\"app\" is a public key or a key set"), "{}", refused.err);
    let signed = run(both.clone(), &[]);
    let vars = [("CARILLON_AUTH__JWT".to_owned(), both)];
    let auth = config::load(None, vars.into_iter(), &[]).expect("settings").auth;
    let identity = admit(&auth, false, signed.out.trim(), Endpoint::Dashboard).expect("the first key with a secret");
    assert_eq!(identity.user.as_str(), "1");
}

#[test]
fn a_new_key_is_another_every_time_and_its_lines_are_a_configuration() {
    let one = carillon(&["key", "new"]);
    let two = carillon(&["key", "new", "--scopes", "admin,read,read", "--tenant", "acme", "--id", "ops"]);
    let secret = |run: &Run| run.out.lines().next().and_then(|l| l.strip_prefix("key:  ")).expect("a key").to_owned();
    assert_ne!(secret(&one), secret(&two));
    assert_eq!(secret(&one).len(), "ck_".len() + 43);
    let dir = tempfile::tempdir().expect("a directory");
    let snippet = |run: &Run| run.out.split_once("\n\n").expect("two parts").1.to_owned();
    let path = file(dir.path(), &format!("{}\n{}\n", snippet(&one), snippet(&two)));
    let env = [("CARILLON_AUTH__JWT".to_owned(), SECRET.to_owned())];
    let keys = config::load(Some(&path), env.into_iter(), &[]).expect("good").auth.api_keys;
    let keys = ApiKeys::new(&keys, false);
    assert!(keys.verify(&secret(&one)).is_some_and(|k| k.scopes == [config::Scope::Publish, config::Scope::Read]));
    let ops = keys.verify(&secret(&two)).expect("known");
    assert_eq!(
        (&*ops.id, ops.tenant.as_str(), ops.scopes.as_slice()),
        ("ops", "acme", &[config::Scope::Read, config::Scope::Admin,][..])
    );
}

/// A server that answers one request with `answer`; its URL, and the request line when it has come.
fn one_answer(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            request.push(byte[0]);
        }
        stream.write_all(answer.as_bytes()).expect("answered");
        String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned()
    });
    (url, server)
}

#[test]
fn ping_tells_ready_from_not_ready_from_not_there() {
    let (url, server) = one_answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let run = carillon(&["ping", "--url", &url]);
    assert_eq!((run.code, run.out), (Some(0), format!("{url}/readyz is ready\n")));
    assert_eq!(server.join().expect("served"), "GET /readyz HTTP/1.1");

    let (url, server) = one_answer("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 8\r\n\r\ndraining");
    let run = carillon(&["ping", "--url", &url]);
    assert_eq!(run.code, Some(69));
    assert!(run.err.contains("503 Service Unavailable draining"), "{}", run.err);
    server.join().expect("served");

    let gone = carillon(&["ping", "--url", &url]);
    assert_eq!(gone.code, Some(69));
    assert!(gone.err.contains("no connection"), "{}", gone.err);
}
