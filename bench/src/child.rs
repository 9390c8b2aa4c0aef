//! The server under measurement: a child process, its memory and its CPU time.

use crate::{Result, http::Caller};
use std::{
    ffi::OsStr,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// The API key of `serve --dev`.
pub(crate) const API_KEY: &str = "dev";
/// Clock ticks per second in `/proc`; fixed in the kernel's interface for decades.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a start may take.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// A running server. Killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) at: SocketAddr,
    /// How long it took from its start until it was ready.
    pub(crate) ready_after: Duration,
    binary: PathBuf,
}

impl Server {
    /// Starts `binary serve --dev` on a free port and waits until it is ready.
    pub(crate) async fn start(binary: &Path, data_dir: &Path) -> Result<Self> {
        Self::start_with::<&str>(binary, data_dir, &[]).await
    }

    /// The same with settings in the environment.
    pub(crate) async fn start_with<V: AsRef<OsStr>>(
        binary: &Path,
        data_dir: &Path,
        settings: &[(&str, V)],
    ) -> Result<Self> {
        let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let begun = Instant::now();
        let many = "1000000";
        let child = Command::new(binary)
            .args(["serve", "--dev", "--listen", &at.to_string(), "--data-dir"])
            .arg(data_dir)
            .env("CARILLON_LIMITS__CONNECTIONS_PER_ADDRESS", many)
            .env("CARILLON_LIMITS__CONNECTIONS_PER_USER", many)
            .env("CARILLON_LIMITS__API_CALLS_PER_SECOND", many)
            .env("CARILLON_LOG__LEVEL", "warn")
            .envs(settings.iter().map(|(name, value)| (*name, value.as_ref())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("{}: {e}; build it with `cargo build --release`", binary.display()))?;
        let mut server = Self { child, at, ready_after: Duration::ZERO, binary: binary.to_owned() };
        while begun.elapsed() < START_TIMEOUT {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server ended before it was ready: {status}").into());
            }
            if server.is_ready().await {
                server.ready_after = begun.elapsed();
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err("the server did not become ready".into())
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut caller) = Caller::connect(self.at).await else { return false };
        matches!(caller.get("/readyz").await, Ok((200, _)))
    }

    /// A token for a staff user, made by the server's own command line.
    pub(crate) async fn token(&self, user: usize) -> Result<String> {
        let output = Command::new(&self.binary)
            .args(["token", "--dev", "--staff", "--ttl", "1h", "--username", &format!("user{user}"), "--user"])
            .arg(user.to_string())
            .output()
            .await?;
        if !output.status.success() {
            return Err(format!("carillon token: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(self.proc("status")?)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib * 1024.0)
    }

    /// CPU seconds, user and system, since its start.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(self.proc("stat")?)?;
        // The name in parentheses may contain anything; the fields follow its last parenthesis.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |nth: usize| fields.get(nth).and_then(|f| f.parse::<f64>().ok()).ok_or("no utime, stime");
        Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    /// Asks it to stop, as a service manager would, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let id = self.child.id().ok_or("the server has ended")?;
        Command::new("kill").arg(id.to_string()).status().await?;
        self.child.wait().await?;
        Ok(())
    }

    /// Kills it, as a crash would.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let id = self.child.id().ok_or("the server has ended")?;
        Ok(format!("/proc/{id}/{file}"))
    }
}
