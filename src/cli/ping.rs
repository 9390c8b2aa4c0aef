//! `carillon ping`: is a server alive and ready? For health checks of containers that have no curl.

use super::{
    Exit, Failure,
    http::{Question, Target, runtime, target},
    print,
};
use clap::Args;
use hyper::StatusCode;
use std::time::Duration;

/// For the connection and the answer together.
const PATIENCE: Duration = Duration::from_secs(2);
const PATH: &str = "/readyz";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where the server is; its `/readyz` is asked.
    #[arg(long, default_value = "http://127.0.0.1:8000", value_parser = target)]
    url: Target,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let url = arguments.url.url(PATH);
    let unavailable = |why: String| Failure::new(Exit::Unavailable, format!("{url} is not ready: {why}"));
    let question = Question { path: PATH, ..Question::default() };
    match runtime()?.block_on(arguments.url.ask(question, PATIENCE)) {
        Ok((StatusCode::OK, _)) => {
            print(&format!("{url} is ready"));
            Ok(())
        }
        Ok((status, body)) => Err(unavailable(format!("it answered {status} {body}"))),
        Err(why) => Err(unavailable(why)),
    }
}
