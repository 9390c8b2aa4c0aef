//! The program on its command line.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carillon"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARILLON_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Run {
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn carillon(args: &[&str]) -> Run {
    run(&mut command(args))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// `carillon backup` with the development key.
pub fn back_up(server: SocketAddr, file: &Path) -> Run {
    back_up_as("dev", server, file)
}

pub fn back_up_as(key: &str, server: SocketAddr, file: &Path) -> Run {
    let url = format!("http://{server}");
    run(command(&["backup", text(file), "--url", &url]).env("CARILLON_API_KEY", key))
}

/// `carillon restore`.
pub fn restore(file: &Path, dir: &Path) -> Run {
    carillon(&["restore", text(file), "--data-dir", text(dir)])
}
