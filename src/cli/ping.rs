//! `carillon ping`: is a server alive and ready? For health checks of containers that have no curl.

use super::{Exit, Failure, print};
use crate::{
    config::Target,
    outbound::{Answer, Bounds, CallError, Client},
};
use clap::Args;
use hyper::{HeaderMap, StatusCode};
use std::{path::PathBuf, time::Duration};

/// For the connection and the answer together, and how much of a refusal is worth reading.
const BOUNDS: Bounds = Bounds { timeout: Duration::from_secs(2), body_bytes: 4 << 10 };

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where the server is; its `/readyz` is asked.
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    url: Target,
    /// Certificate authorities (PEM) that are trusted beside the system's; a self-signed certificate is its own.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("no runtime: {error}")))?;
    let url = arguments.url.clone().below("readyz");
    let unavailable = |why: String| Failure::new(Exit::Unavailable, format!("{url} is not ready: {why}"));
    let client = Client::new(url.clone(), arguments.ca.as_deref(), BOUNDS)
        .map_err(|error| Failure::new(Exit::Usage, format!("--ca: {error}")))?;
    match runtime.block_on(client.get(&HeaderMap::new())) {
        Ok(Answer { status: StatusCode::OK, .. }) => {
            print(&format!("{url} is ready"));
            Ok(())
        }
        Ok(Answer { status, body, .. }) => {
            Err(unavailable(format!("it answered {status} {}", String::from_utf8_lossy(&body).trim())))
        }
        Err(CallError::Broken) if !arguments.url.is_tls() => {
            Err(unavailable(format!("{}; if it speaks TLS, write https://", CallError::Broken)))
        }
        Err(error) => Err(unavailable(error.to_string())),
    }
}
