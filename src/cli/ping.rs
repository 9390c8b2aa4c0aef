//! `carillon ping`: is a server alive and ready? For health checks of containers that have no curl.

use super::{Exit, Failure, print};
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, Uri, body::Bytes, client::conn::http1, header};
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
    #[arg(long, default_value = "http://127.0.0.1:8000", value_parser = target)]
    url: Target,
}

/// Where to connect, and what to write into the request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    authority: String,
    path: String,
}

fn target(text: &str) -> Result<Target, String> {
    let right = || "write http://host:port; for a server with TLS, the address of server.admin_listen".to_owned();
    let uri: Uri = text.parse().map_err(|_| right())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(right)?;
    if uri.scheme_str() != Some("http") || uri.query().is_some() {
        return Err(right());
    }
    Ok(Target {
        host: authority.host().trim_matches(['[', ']']).to_owned(),
        port: authority.port_u16().unwrap_or(80),
        authority: authority.to_string(),
        path: format!("{}/readyz", uri.path().trim_end_matches('/')),
    })
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, format!("no runtime: {error}")))?;
    let target = &arguments.url;
    let url = format!("http://{}{}", target.authority, target.path);
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
    let request = Request::get(&target.path)
        .header(header::HOST, &target.authority)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned()).unwrap_or_default();
    Ok((status, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_asked() {
        let asked = |text: &str| target(text).map(|t| (t.host, t.port, t.path));
        assert_eq!(asked("http://localhost:8000"), Ok(("localhost".into(), 8000, "/readyz".into())));
        assert_eq!(asked("http://[::1]:8000/"), Ok(("::1".into(), 8000, "/readyz".into())));
        assert_eq!(asked("http://a.example.org/rt/"), Ok(("a.example.org".into(), 80, "/rt/readyz".into())));
        for bad in ["", "localhost", "localhost:8000", "https://localhost", "http://", "http://u:p@h", "http://h?x"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
