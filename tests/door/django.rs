//! `examples/django_auth` with a real Django: signed in there is signed in here, and signed out there is signed out here.
//!
//! Django is installed from PyPI into a virtual environment below the build directory, once. Only when PyPI can't be
//! reached is the test not run, and says so; `CARILLON_TEST_DJANGO=required` makes that a failure, too.

use crate::{
    greeted, refused,
    support::{Options, PATIENCE, Server, Socket, User, until},
    with_cookie,
};
use reqwest::{Client, StatusCode, redirect::Policy};
use serde_json::json;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

/// The superuser, who is made first.
const ADA: User<'static> = User { id: "1", username: "ada", first_name: "", last_name: "", is_staff: true };
const BERT: User<'static> = User { id: "2", username: "bert", first_name: "Bert", last_name: "", is_staff: false };
const PASSWORD: &str = "correct horse battery staple";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django_auth")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A Python that has Django; `None` when PyPI can't be reached.
fn python() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("django");
    let python = home.join("bin/python");
    let has_django = |python: &Path| {
        let output = Command::new(python).args(["-c", "import django"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if has_django(&python) {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home).output().expect("python3 starts");
    assert!(made.status.success(), "no virtual environment (Debian: apt-get install python3-venv): {}", text(&made));
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2", "-r"]);
    let installed = pip.arg(project().join("requirements.txt")).output().expect("pip starts");
    if has_django(&python) {
        return Some(python);
    }
    let said = text(&installed);
    let is_unreachable = ["NewConnectionError", "ConnectTimeout", "ReadTimeout", "name resolution"]
        .iter()
        .any(|sign| said.contains(sign));
    let is_required = std::env::var_os("CARILLON_TEST_DJANGO").is_some();
    assert!(is_unreachable && !is_required, "Django can't be installed: {said}");
    eprintln!("\n*** NOT RUN: PyPI can't be reached, so the Django example was not tried with a real Django ***\n");
    None
}

/// A Django that serves the example. Killed when dropped.
struct Django {
    python: PathBuf,
    home: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Drop for Django {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.home.path().join("django.log")).unwrap_or_default();
            eprintln!("--- what Django said ---\n{log}");
        }
    }
}

impl Django {
    fn manage(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(project().join("manage.py")).current_dir(project());
        command.env("DJANGO_DB", self.home.path().join("db.sqlite3")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("DJANGO_SUPERUSER_PASSWORD", PASSWORD).env("CARILLON_EXPIRES_IN", "1");
        command
    }

    fn run(&self, args: &[&str]) {
        let output = self.manage().args(args).output().expect("Python starts");
        assert!(output.status.success(), "manage.py {args:?}: {}", text(&output));
    }

    async fn start(python: PathBuf) -> Self {
        // Free a moment ago: Django takes no listener that is open.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let home = tempfile::tempdir().expect("a directory");
        let mut django = Self { python, home, port, child: None };
        django.run(&["migrate", "--verbosity", "0"]);
        django.run(&["createsuperuser", "--noinput", "--username", ADA.username, "--email", "ada@example.org"]);
        let make = format!(
            "from django.contrib.auth.models import User; \
             User.objects.create_user({:?}, password={PASSWORD:?}, first_name={:?})",
            BERT.username, BERT.first_name
        );
        django.run(&["shell", "-c", &make]);
        let log = std::fs::File::create(django.home.path().join("django.log")).expect("a file");
        let mut serve = django.manage();
        serve.args(["runserver", "--noreload", &format!("127.0.0.1:{port}")]);
        let err = log.try_clone().expect("a second handle");
        let child = serve.stdin(Stdio::null()).stdout(log).stderr(err).spawn().expect("Django starts");
        django.child = Some(child);
        let address = format!("127.0.0.1:{port}");
        until("Django serves", || async { tokio::net::TcpStream::connect(&address).await.ok() }).await;
        django
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// A browser: it keeps cookies, and fills in forms as it was given them.
struct Browser<'a> {
    django: &'a Django,
    client: Client,
    session: String,
}

impl<'a> Browser<'a> {
    fn new(django: &'a Django) -> Self {
        let client = Client::builder().timeout(PATIENCE).no_proxy().redirect(Policy::none()).build().expect("a client");
        Self { django, client, session: String::new() }
    }

    /// Gets a page with a form and posts that form; the session's cookie is kept if one is set.
    async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) {
        let get = self.client.get(self.django.url(page)).header("cookie", &self.session);
        let got = get.send().await.expect("answered");
        let csrf_cookie = cookie(&got, "csrftoken").expect("a cookie against forgery");
        let html = got.text().await.expect("a page");
        let (_, rest) = html.split_once("name=\"csrfmiddlewaretoken\" value=\"").expect("a form");
        let token = rest.split('"').next().expect("a token");
        let mut form = vec![("csrfmiddlewaretoken", token)];
        form.extend(fields);
        let body: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).collect();
        let post = self
            .client
            .post(self.django.url(action))
            .header("cookie", format!("{}; {csrf_cookie}", self.session))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        let answer = post.send().await.expect("answered");
        assert_eq!(answer.status(), StatusCode::FOUND, "the form was not taken");
        if let Some(session) = cookie(&answer, "sessionid") {
            self.session = session;
        }
    }

    async fn sign_in(django: &'a Django, user: User<'_>) -> Self {
        let mut browser = Self::new(django);
        browser.submit("/login/", "/login/", &[("username", user.username), ("password", PASSWORD)]).await;
        assert!(browser.session.len() > 20, "no session: {}", browser.session);
        browser
    }
}

fn cookie(response: &reqwest::Response, name: &str) -> Option<String> {
    let cookies = response.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next());
    pairs.filter(|pair| pair.starts_with(&format!("{name}="))).map(str::to_owned).next()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_signed_in_to_django_is_signed_in_here_until_signing_out_there() {
    let Some(python) = python() else { return };
    let django = Django::start(python).await;
    let server: Server = Options::default().set("AUTH__WEBHOOK_URL", django.url("/carillon/who/")).start();
    assert_eq!(refused(with_cookie(&server, "/ws/presence/", "sessionid=nobodys")).await.0, 403);

    let ada = Browser::sign_in(&django, ADA).await;
    let mut admin = greeted(with_cookie(&server, "/ws/dashboard/admin/", &ada.session), ADA).await;
    let mut bert = Browser::sign_in(&django, BERT).await;
    let request = with_cookie(&server, "/ws/presence/", &bert.session);
    let mut presence = Socket::open(request, "/ws/presence/", BERT).await.expect("Django knows him");
    presence.expect(json!({"type": "online_users", "data": []})).await;
    presence.expect(json!({"type": "user_online", "data": BERT.person()})).await;
    assert_eq!(refused(with_cookie(&server, "/ws/dashboard/admin/", &bert.session)).await.0, 403, "he is no staff");

    // Signed out there: his socket ends at the next check, and his cookie opens no other. Hers do.
    let old = bert.session.clone();
    bert.submit("/", "/logout/", &[]).await;
    assert_eq!(presence.closed().await, (1006, serde_json::Value::Null));
    assert_eq!(refused(with_cookie(&server, "/ws/presence/", &old)).await.0, 403);
    assert!(admin.until_pong().await.is_empty());
    greeted(with_cookie(&server, "/ws/presence/", &ada.session), ADA).await;
}
