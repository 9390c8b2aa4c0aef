//! The programs in `tests/v1_client`: the client of `carillon.v1` in Python that `examples/python` has, put to work.

use super::PATIENCE;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};
use tokio::sync::mpsc;

/// One of the programs, and the lines that it prints. It is killed when it is dropped.
pub struct V1Client {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl V1Client {
    /// Starts a program and tells it its task.
    pub fn start(program: &str, task: &Value) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new("python3")
            .arg(root.join("tests/v1_client").join(program))
            .env("PYTHONPATH", root.join("examples/python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(task.to_string().as_bytes()).expect("it reads its task");
        drop(stdin);
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (line, lines) = mpsc::channel(64);
        std::thread::spawn(move || {
            for text in stdout.lines().map_while(Result::ok) {
                let _ = line.blocking_send(text);
            }
        });
        Self { child, lines }
    }

    /// The next line that it prints, or why there is none.
    pub async fn line(&mut self) -> Result<Value, &'static str> {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv()).await;
        let line = line.map_err(|_| "the client in Python has come to no end")?;
        let line = line.ok_or("the client in Python has failed")?;
        Ok(serde_json::from_str(&line).expect("JSON"))
    }
}

impl Drop for V1Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
