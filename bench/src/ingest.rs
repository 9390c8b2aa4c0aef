//! Calls through streams, against the same calls as single requests: how many a second, and what each costs.

use crate::{
    Result,
    child::{API_KEY, Server},
    http::Caller,
    receiver::{header, upgrade},
    report::Report,
};
use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

const STREAMS: [usize; 2] = [1, 4];
/// Callers of single requests.
const CALLERS: usize = 64;
/// Calls of one stream that are under way, and in one message.
const WINDOW: usize = 1_000;
const LINES: usize = 50;
const USERS: usize = 10_000;

/// What is called.
#[derive(Clone, Copy)]
enum What {
    Notification,
    GroupSend,
}

pub(crate) async fn run(binary: &Path, seconds: u64) -> Result<Report> {
    let mut report = Report::default();
    let limit = Duration::from_secs(seconds);
    for what in [What::Notification, What::GroupSend] {
        for streams in STREAMS {
            let load = |at| async move {
                let mut tasks = JoinSet::new();
                for nth in 0..streams {
                    tasks.spawn(stream(at, (what, nth), limit));
                }
                sum(tasks).await
            };
            measure(binary, &format!("{}, {streams} streams", what.name()), load, &mut report).await?;
        }
        let load = |at| async move {
            let mut tasks = JoinSet::new();
            for nth in 0..CALLERS {
                tasks.spawn(single(at, (what, nth), limit));
            }
            sum(tasks).await
        };
        measure(binary, &format!("{}, {CALLERS} callers", what.name()), load, &mut report).await?;
    }
    Ok(report)
}

async fn measure<F: Future<Output = Result<usize>>>(
    binary: &Path,
    name: &str,
    load: impl FnOnce(SocketAddr) -> F,
    report: &mut Report,
) -> Result<()> {
    let data = tempfile::tempdir()?;
    let server = Server::start(binary, data.path()).await?;
    let (cpu, begun) = (server.cpu()?, Instant::now());
    let count = load(server.at).await?;
    let (elapsed, cpu) = (begun.elapsed().as_secs_f64(), server.cpu()? - cpu);
    #[allow(clippy::cast_precision_loss)]
    let count = count as f64;
    report.add(format!("{name}: calls per second"), count / elapsed, "");
    report.add(format!("{name}: server CPU per call"), cpu * 1e6 / count, "µs");
    Ok(())
}

async fn sum(mut tasks: JoinSet<Result<usize>>) -> Result<usize> {
    let mut all = 0;
    while let Some(done) = tasks.join_next().await {
        all += done??;
    }
    Ok(all)
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Notification => "notifications",
            Self::GroupSend => "group sends",
        }
    }

    fn line(self, nth: usize) -> String {
        let user = nth % USERS;
        match self {
            Self::Notification => format!(
                r#"{{"id":{nth},"call":"send_notification","args":{{"user_id":{user},"title":"Backup finished","message":"All {nth} volumes were saved.","level":"success","data":{{"n":{nth}}}}}}}"#
            ),
            Self::GroupSend => format!(
                r#"{{"id":{nth},"call":"group_send","args":{{"group":"dashboard_user_{user}","event":{{"type":"dashboard_update","data":{{"total_subscriptions":{nth},"total_revenue":"312.50"}}}}}}}}"#
            ),
        }
    }

    fn request(self, nth: usize) -> (String, String) {
        let user = nth % USERS;
        match self {
            Self::Notification => (
                "/api/v1/notifications".into(),
                format!(
                    r#"{{"user_id":{user},"title":"Backup finished","message":"All {nth} volumes were saved.","level":"success","data":{{"n":{nth}}}}}"#
                ),
            ),
            Self::GroupSend => (
                format!("/api/v1/groups/dashboard_user_{user}/send"),
                format!(
                    r#"{{"type":"dashboard_update","data":{{"total_subscriptions":{nth},"total_revenue":"312.50"}}}}"#
                ),
            ),
        }
    }
}

async fn single(at: SocketAddr, (what, caller): (What, usize), limit: Duration) -> Result<usize> {
    let (begun, mut count) = (Instant::now(), 0);
    let mut http = Caller::connect(at).await?;
    while begun.elapsed() < limit {
        let (path, body) = what.request(caller * 7_919 + count);
        http.post_ok(&path, &body).await?;
        count += 1;
    }
    Ok(count)
}

/// Keeps the window full until the time is over, then waits for every answer.
async fn stream(at: SocketAddr, (what, nth): (What, usize), limit: Duration) -> Result<usize> {
    let mut socket = upgrade(at, "/api/v1/ingest", API_KEY).await?;
    let begun = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    let mut received = Vec::with_capacity(256 << 10);
    loop {
        let is_over = begun.elapsed() >= limit;
        if is_over && answered == sent {
            return Ok(answered);
        }
        if !is_over && sent - answered + LINES <= WINDOW {
            let lines: Vec<_> = (sent..sent + LINES).map(|call| what.line(nth * 7_919 + call)).collect();
            socket.write_all(&message(&lines.join("\n"))).await?;
            sent += LINES;
        } else {
            answered += read(&mut socket, &mut received).await?;
        }
    }
}

/// A text message from a client, masked with zeros.
fn message(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(short @ 0..=125) => frame.push(0x80 | short.to_be_bytes()[1]),
        Ok(medium) => {
            frame.push(0x80 | 126);
            frame.extend(medium.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// Reads once; how many answers came, each of which must be good.
async fn read(socket: &mut TcpStream, received: &mut Vec<u8>) -> Result<usize> {
    if socket.read_buf(received).await? == 0 {
        return Err("the server closed the stream".into());
    }
    let (mut at, mut answers) = (0, 0);
    while let Some((head, payload)) = header(&received[at..]) {
        let Some(frame) = received.get(at..at + head + payload) else { break };
        match frame[0] & 0x0f {
            1 => answers += lines(&frame[head..])?,
            8 => return Err(format!("closed: {}", String::from_utf8_lossy(&frame[head..])).into()),
            _ => {}
        }
        at += head + payload;
    }
    received.drain(..at);
    Ok(answers)
}

fn lines(text: &[u8]) -> Result<usize> {
    let mut count = 0;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if crate::http::find(line, br#","status":20"#).is_none() {
            return Err(String::from_utf8_lossy(line).into());
        }
        count += 1;
    }
    Ok(count)
}
