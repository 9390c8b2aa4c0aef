//! The real program as a child process, on a free port and a directory of its own.

use super::{Api, PATIENCE, Socket, User};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    env: Vec<(String, String)>,
    args: Vec<String>,
    dir: Option<PathBuf>,
    open_files: Option<u32>,
    /// What goes before the program.
    prefix: Vec<String>,
    is_production: bool,
}

impl Options {
    /// A setting from the environment, e.g. `("PRESENCE__GRACE_SECONDS", 1)`.
    pub fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.env.push((format!("CARILLON_{name}"), value.to_string()));
        self
    }

    /// A variable of the environment that is no setting.
    pub fn env(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Without `--dev`: keys and origins as configured, and no others.
    pub fn production(mut self) -> Self {
        self.is_production = true;
        self
    }

    /// As many open files as the process may have, at most.
    pub fn open_files(mut self, limit: u32) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Runs it by way of another command, which must become the program.
    pub fn by_way_of(mut self, prefix: Vec<String>) -> Self {
        self.prefix = prefix;
        self
    }

    /// More of the command line.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// A data directory that is not the server's own, and stays.
    pub fn data_dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Starts a server that must become ready.
    pub fn start(self) -> Server {
        let mut server = self.prepare();
        server.start();
        server
    }

    /// A server that is not running yet.
    pub fn prepare(self) -> Server {
        let home = Arc::new(tempfile::tempdir().expect("a directory"));
        let data_dir = self.dir.clone().unwrap_or_else(|| home.path().join("data"));
        Server { options: self, home, data_dir, running: None }
    }
}

/// A server process and its data directory. It is killed when it is dropped; its log is shown when a test fails.
pub struct Server {
    options: Options,
    home: Arc<TempDir>,
    data_dir: PathBuf,
    running: Option<Running>,
}

struct Running {
    child: Child,
    address: SocketAddr,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` for a signal.
    pub code: Option<i32>,
    /// What it said on standard error since it was started.
    pub said: String,
}

impl Server {
    /// A development server with default settings.
    pub fn dev() -> Self {
        Options::default().start()
    }

    /// Changes a setting for later starts.
    pub fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        self.options = self.options.clone().set(name, value);
    }

    /// Starts the process and waits until it says where it listens.
    pub fn start(&mut self) {
        if let Err(ended) = self.try_start() {
            panic!("the server ended instead of becoming ready: {ended:#?}");
        }
    }

    /// Starts the process and waits until it is ready, or has ended.
    pub fn try_start(&mut self) -> Result<(), Ended> {
        assert!(self.running.is_none(), "it runs already");
        let mut child = self.command().spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("piped");
        let (line, first_line) = mpsc::channel();
        // Reads on, so that the process never waits for anybody to read what it prints.
        std::thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = line.send(text);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match first_line.recv_timeout(left) {
                Ok(text) => {
                    if let Some(address) = address_in(&text) {
                        self.running = Some(Running { child, address });
                        return Ok(());
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let code = child.wait().expect("waited for").code();
                    return Err(Ended { code, said: self.log() });
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    panic!("the server is not ready after {PATIENCE:?}:\n{}", self.log());
                }
            }
        }
    }

    /// Starts a process that is not expected to become ready; its log says why.
    pub fn launch(&mut self) {
        self.launch_at("127.0.0.1:0");
    }

    /// The same, to be asked at this address.
    pub fn launch_at(&mut self, address: &str) {
        assert!(self.running.is_none(), "it runs already");
        let mut command = self.command();
        let child = command.stdout(Stdio::null()).env("CARILLON_SERVER__LISTEN", address).spawn();
        let address = address.parse().expect("an address");
        self.running = Some(Running { child: child.expect("the program starts"), address });
    }

    /// SIGSTOP: it lives, and does nothing.
    pub fn pause(&self) {
        kill_process(Pid::from_child(&self.running.as_ref().expect("running").child), Signal::STOP).expect("signalled");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        kill_process(Pid::from_child(&self.running.as_ref().expect("running").child), Signal::CONT).expect("signalled");
    }

    /// Whether it was started and not stopped since.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the process has ended by itself; [`Self::ended`] says how.
    pub fn has_ended(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| running.child.try_wait().is_ok_and(|status| status.is_some()))
    }

    fn command(&self) -> Command {
        let log = File::create(self.log_path()).expect("a log file");
        let program = env!("CARGO_BIN_EXE_carillon");
        let mut command = match (self.options.open_files, self.options.prefix.split_first()) {
            (None, None) => Command::new(program),
            (None, Some((first, rest))) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            (Some(limit), _) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", r#"ulimit -n "$0" && exec "$@""#, &limit.to_string(), program]);
                shell
            }
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARILLON_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--data-dir"]).arg(&self.data_dir).env("CARILLON_SERVER__LISTEN", "127.0.0.1:0");
        if !self.options.is_production {
            command.arg("--dev");
        }
        command.args(&self.options.args).envs(self.options.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
    }

    /// Where it listens now. Another port after each start.
    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().expect("running").address
    }

    /// Its HTTP API, with the development key.
    pub fn api(&self) -> Api {
        Api::new(self.address())
    }

    /// A socket that was let in; its greeting is yet to be read.
    pub async fn connect(&self, path: &str, user: User<'_>) -> Socket {
        Socket::connect(self.address(), path, user).await
    }

    /// A socket whose greeting has come.
    pub async fn greeted(&self, path: &str, user: User<'_>) -> Socket {
        let mut socket = self.connect(path, user).await;
        socket.skip_greeting().await;
        socket
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        let mut running = self.running.take().expect("running");
        running.child.kill().expect("killed");
        running.child.wait().expect("waited for");
    }

    /// The process's id, for signals from elsewhere.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("running").child.id()
    }

    /// SIGTERM; [`Self::ended`] waits.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.running.as_ref().expect("running").child);
        kill_process(pid, Signal::TERM).expect("signalled");
    }

    /// SIGHUP; [`Self::reload`] waits, too.
    pub fn hang_up(&self) {
        let pid = Pid::from_child(&self.running.as_ref().expect("running").child);
        kill_process(pid, Signal::HUP).expect("signalled");
    }

    /// SIGHUP, and waits for what came of it: what the server said meanwhile.
    pub async fn reload(&self) -> String {
        let before = self.log().len();
        self.hang_up();
        super::until("the reload", async || {
            let said = self.log().split_off(before);
            (said.contains("settings reloaded") || said.contains("were not reloaded")).then_some(said)
        })
        .await
    }

    /// Waits until the process has ended.
    pub fn ended(&mut self) -> Ended {
        let mut running = self.running.take().expect("running");
        let deadline = Instant::now() + PATIENCE;
        loop {
            match running.child.try_wait().expect("waited for") {
                Some(status) => return Ended { code: status.code(), said: self.log() },
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                None => {
                    let _ = running.child.kill();
                    panic!("the server did not end in {PATIENCE:?}:\n{}", self.log());
                }
            }
        }
    }

    /// SIGTERM and a clean end.
    pub fn stop(&mut self) {
        self.terminate();
        let ended = self.ended();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }

    /// Kills it and starts it again on the same directory.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.start();
    }

    /// What it said on standard error since it was last started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("stderr.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the server's last lines ---\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}

/// The address in "… http://127.0.0.1:PORT …", or https.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("://")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
    rest[..end].parse().ok()
}
