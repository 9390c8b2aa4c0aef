//! The commands of backups.

pub use crate::support::program::{Run, carillon, command};

use crate::support::program::run;
use std::{net::SocketAddr, path::Path};

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
