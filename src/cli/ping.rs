//! `carillon ping`: is a server alive and ready? For health checks of containers that have no curl.

use super::{Exit, Failure, client::Target, print, runtime};
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// For the connection and the answer together.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of a refusal is worth reading.
const BODY_BYTES_MAX: usize = 4 << 10;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where the server is; its `/readyz` is asked.
    #[arg(long, default_value = "http://127.0.0.1:8000", value_parser = Target::parse)]
    url: Target,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = runtime()?;
    let target = &arguments.url;
    let url = format!("http://{}{}/readyz", target.authority, target.path);
    let unavailable = |why: String| Failure::new(Exit::Unavailable, format!("{url} is not ready: {why}"));
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(target)).await });
    match answer {
        Ok(Ok((StatusCode::OK, _))) => {
            print(&format!("{url} is ready"));
            Ok(())
        }
        Ok(Ok((status, body))) => Err(unavailable(format!("it answered {status} {body}"))),
        Ok(Err(why)) => Err(unavailable(why)),
        Err(_) => Err(unavailable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// One request on a connection of its own: the status and the beginning of the body.
async fn ask(target: &Target) -> Result<(StatusCode, String), String> {
    let stream =
        TcpStream::connect((&*target.host, target.port)).await.map_err(|error| format!("no connection: {error}"))?;
    let broken = |error: hyper::Error| format!("no HTTP answer: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Drives the connection for as long as this function waits; dropped with the runtime.
    tokio::spawn(connection);
    let request = Request::get(format!("{}/readyz", target.path))
        .header(header::HOST, &target.authority)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
    Ok((status, text))
}
