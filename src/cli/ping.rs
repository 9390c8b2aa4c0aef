//! `carillon ping`: is a server alive and ready? For health checks of containers that have no curl.

use super::{
    Exit, Failure,
    client::{Address, tls_hint, untrusting},
    print, runtime,
};
use crate::outbound::{Answer, Bounds, CallError, Client};
use clap::Args;
use hyper::{HeaderMap, StatusCode};
use std::time::Duration;

/// For the connection and the answer together, and how much of a refusal is worth reading.
const BOUNDS: Bounds = Bounds { timeout: Duration::from_secs(2), body_bytes: 4 << 10 };

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    server: Address,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Address { url, ca } = &arguments.server;
    let url = url.clone().below("readyz");
    let unavailable = |why: String| Failure::new(Exit::Unavailable, format!("{url} is not ready: {why}"));
    let client = Client::new(url.clone(), ca.as_deref(), BOUNDS).map_err(|error| untrusting(&error))?;
    match runtime()?.block_on(client.get(&HeaderMap::new())) {
        Ok(Answer { status: StatusCode::OK, .. }) => {
            print(&format!("{url} is ready"));
            Ok(())
        }
        Ok(Answer { status, body, .. }) => {
            Err(unavailable(format!("it answered {status} {}", String::from_utf8_lossy(&body).trim())))
        }
        Err(error @ CallError::Broken) => Err(unavailable(format!("{error}{}", tls_hint(&url)))),
        Err(error) => Err(unavailable(error.to_string())),
    }
}
