//! The peers' listener: whoever proves itself gets its requests answered, its events handed on, its snapshot taken.

use super::{
    Links,
    frame::{Frame, Reader, Stream, Tag, Writer, frames},
    handshake::{self, Met},
    kind::Kind,
};
use crate::{
    cluster::service::Service,
    config::limits::{
        LINK_HANDSHAKE_TIMEOUT, LINK_HANDSHAKES_MAX, LINK_QUEUE_MAX, LINK_REQUESTS_AT_ONCE, LINK_SILENCE_MAX, LINKS_MAX,
    },
};
use bytes::Bytes;
use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Pause after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `shutdown`.
pub(crate) async fn listen(listener: TcpListener, (links, service): (Links, Service), shutdown: CancellationToken) {
    let (all, proving) = (Arc::new(Semaphore::new(LINKS_MAX)), Arc::new(Semaphore::new(LINK_HANDSHAKES_MAX)));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                links.complain(&format!("peers cannot be accepted: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (Ok(place), Ok(proof)) = (all.clone().try_acquire_owned(), proving.clone().try_acquire_owned()) else {
            links.complain(&format!("a connection from {from} is refused: too many peers are connecting"));
            continue;
        };
        let (links, service, until) = (links.clone(), service.clone(), shutdown.clone());
        links.clone().tracker().spawn(async move {
            let _place = place;
            let met = tokio::time::timeout(LINK_HANDSHAKE_TIMEOUT, meet(&links, stream)).await;
            drop(proof);
            let (met, stream) = match met.unwrap_or(Err(handshake::HandshakeError::Slow)) {
                Ok(met) => met,
                Err(error) => return links.complain(&refused(from, &error)),
            };
            let peer = met.peer.clone();
            tokio::select! {
                () = until.cancelled() => {}
                refusal = links.outcast(&peer, met.kind) => {
                    tracing::debug!(node = peer.node, %refusal, "a peer's link is closed");
                }
                ended = serve(&links, (met, stream), service) => if let Err(error) = ended {
                    tracing::debug!(%from, %error, "a peer's link has ended");
                }
            }
        });
    }
}

fn refused(from: SocketAddr, error: &handshake::HandshakeError) -> String {
    format!("a link from {} is refused: {error}", from.ip())
}

async fn meet(links: &Links, stream: TcpStream) -> Result<(Met, Stream), handshake::HandshakeError> {
    stream.set_nodelay(true)?;
    let mut stream: Stream = match links.tls() {
        Some(tls) => tls.accept(stream).await?,
        None => Box::new(stream),
    };
    let met = handshake::accept(links, &mut stream).await?;
    Ok((met, stream))
}

async fn serve(links: &Links, (met, stream): (Met, Stream), service: Service) -> io::Result<()> {
    let (reader, writer) = frames(stream, met.kind);
    match met.kind {
        Kind::Snapshot => service.receive_snapshot(met.peer, (reader, writer)).await,
        Kind::Raft | Kind::Entries => answer(links, met, (reader, writer), (service, 1)).await,
        Kind::Calls | Kind::Events | Kind::Join => {
            answer(links, met, (reader, writer), (service, LINK_REQUESTS_AT_ONCE)).await
        }
    }
}

/// Answers requests, at most so many at once and in the order in which they came, and pings at once.
async fn answer(
    links: &Links,
    met: Met,
    (mut reader, mut writer): (Reader, Writer),
    (service, at_once): (Service, usize),
) -> io::Result<()> {
    let mut waiting: VecDeque<Frame> = VecDeque::new();
    let mut working: JoinSet<(u64, Bytes)> = JoinSet::new();
    loop {
        while working.len() < at_once
            && let Some(request) = waiting.pop_front()
        {
            let (service, met) = (service.clone(), met.clone());
            working.spawn(async move { (request.number, service.answer(&met, request.body).await) });
        }
        tokio::select! {
            frame = tokio::time::timeout(LINK_SILENCE_MAX, reader.next()), if waiting.len() < LINK_QUEUE_MAX => {
                let Some(frame) = frame.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? else { return Ok(()) };
                match frame.tag {
                    Tag::Request => waiting.push_back(frame),
                    Tag::Ping => writer.send(Frame::new(Tag::Pong, frame.number, Bytes::new())).await?,
                    Tag::Applied => links.heard_applied(&met.peer, frame.number),
                    Tag::Message => service.event(&met.peer, frame.body).await,
                    Tag::Answer | Tag::Pong => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
            Some(done) = working.join_next() => {
                let (number, body) = done.map_err(io::Error::other)?;
                writer.send(Frame::new(Tag::Answer, number, body)).await?;
            }
        }
    }
}
