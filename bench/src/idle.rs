//! What an idle connection costs: growth of the server's resident memory per connection, after each has sent and
//! received 32 KiB and has then been silent, all six endpoints mixed.

use crate::{
    Result,
    child::Server,
    http::Caller,
    receiver::{ENDPOINTS, Tallies, open, receive},
    report::Report,
};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const TRAFFIC_BYTES: usize = 32 << 10;
/// Events that make up what each connection receives.
const EVENTS: usize = 16;
const USERS: usize = 50;

pub(crate) async fn run(binary: &Path, connections: usize, seconds: u64) -> Result<Report> {
    let data = tempfile::tempdir()?;
    let server = Server::start(binary, data.path()).await?;
    let mut tokens = Vec::new();
    for user in 0..USERS {
        tokens.push(server.token(1_000 + user).await?);
    }
    warm_up(&server, &tokens).await?;
    let (before, cpu) = (server.memory()?, server.cpu()?);

    let tallies = Tallies::new();
    for nth in 0..connections {
        // Every user on every endpoint.
        let mut stream = open(server.at, ENDPOINTS[nth % 6], &tokens[nth / 6 % USERS]).await?;
        stream.write_all(&large_message()).await?;
        tokio::spawn(receive(stream, tallies.clone(), false));
    }
    tallies.settle().await;
    #[allow(clippy::cast_precision_loss)]
    let count = connections as f64;
    let mut report = Report::default();
    report.add("connect: server CPU per connection, 32 KiB sent", (server.cpu()? - cpu) * 1e6 / count, "µs");
    send_to_all(&server).await?;
    tallies.settle().await;
    report.add("memory per connection after traffic", (server.memory()? - before) / count / 1024.0, "KiB");
    #[allow(clippy::cast_precision_loss)]
    report.add("received per connection", tallies.bytes.load(Relaxed) as f64 / count / 1024.0, "KiB");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    report.add(format!("memory per connection after {seconds} s"), (server.memory()? - before) / count / 1024.0, "KiB");
    #[allow(clippy::cast_precision_loss)]
    report.add("connections lost", tallies.ended.load(Relaxed) as f64, "");
    Ok(report)
}

/// Threads, thread-local buffers and the like exist before memory is compared.
async fn warm_up(server: &Server, tokens: &[String]) -> Result<()> {
    let tallies: Arc<Tallies> = Tallies::new();
    let mut streams: Vec<TcpStream> = Vec::new();
    for nth in 0..60 {
        let mut stream = open(server.at, ENDPOINTS[nth % 6], &tokens[nth / 6 % USERS]).await?;
        stream.write_all(&large_message()).await?;
        streams.push(stream);
    }
    for stream in streams {
        // Ends by itself soon after: the socket is dropped with the task.
        let receiving = receive(stream, tallies.clone(), false);
        tokio::spawn(async move { tokio::time::timeout(Duration::from_secs(2), receiving).await });
    }
    send_to_all(server).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    Ok(())
}

/// A heartbeat of 32 KiB in a masked frame; dashboards answer it with as much.
fn large_message() -> Vec<u8> {
    let text = format!(r#"{{"type":"heartbeat","timestamp":"{:t<1$}"}}"#, "", TRAFFIC_BYTES);
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    // A mask of zeros is one.
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// 32 KiB to every connection, in several events.
async fn send_to_all(server: &Server) -> Result<()> {
    let mut caller = Caller::connect(server.at).await?;
    let filler = format!("{:f<1$}", "", TRAFFIC_BYTES / EVENTS);
    let data = |kind: &str| format!(r#"{{"type":"{kind}","data":{{"filler":"{filler}"}}}}"#);
    for _ in 0..EVENTS {
        let message = format!(r#"{{"type":"notification_message","message":"{filler}"}}"#);
        let gone = format!(r#"{{"type":"user_offline","user_id":1,"username":"{filler}"}}"#);
        let mut sends = vec![
            ("admin_dashboard".to_owned(), data("system_update")),
            ("subscription_admin".to_owned(), data("new_subscription_alert")),
            ("presence".to_owned(), gone),
        ];
        for user in 1_000..1_000 + USERS {
            sends.push((format!("dashboard_user_{user}"), data("dashboard_update")));
            sends.push((format!("subscriptions_user_{user}"), data("payment_confirmation")));
            sends.push((format!("notifications_user_{user}"), message.clone()));
        }
        for (group, event) in sends {
            caller.post_ok(&format!("/api/v1/groups/{group}/send"), &event).await?;
        }
    }
    Ok(())
}
