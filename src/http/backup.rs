//! `POST /backup`: a copy of everything of all tenants as a file, sent as fast as its reader takes it.
//!
//! Its scope is one of its own. `admin` belongs to a tenant, and no tenant may read another.

use super::{
    Api, ApiError,
    dispatch::{counted, refusing},
};
use crate::{
    cluster::{Backup, BackupError},
    config::{
        Scope,
        limits::{BACKUP_PIECE_BYTES, BACKUP_PIECES_MAX, BACKUP_STALL_MAX},
    },
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, header},
    routing::{MethodFilter, MethodRouter},
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::{
    fs::File,
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

pub(super) const PATH: &str = "/backup";
const NAME: &str = "POST /backup";

/// The methods of [`PATH`].
pub(super) fn methods(api: &Api) -> MethodRouter {
    let api = api.clone();
    refusing("POST".into()).on(MethodFilter::POST, move |request: axum::extract::Request| serve(api.clone(), request))
}

async fn serve(api: Api, request: axum::extract::Request) -> Response<Body> {
    let begun = Instant::now();
    let (head, _) = request.into_parts();
    let outcome = answer(&api, &head.headers).await;
    counted(NAME, outcome, begun)
}

async fn answer(api: &Api, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let key = api.admit(headers, Scope::Backup)?;
    let turn = api.inner.backups.clone().try_acquire_owned().map_err(|_| ApiError::NoBackup {
        code: "busy",
        message: "another backup is under way: try again when it is done".into(),
    })?;
    let backup = api.inner.node.backup(api.inner.reserve_bytes).await?;
    tracing::info!(key = key.id, index = backup.header.log_index, bytes = backup.bytes, "a backup goes out");
    let mut response = Response::new(Body::new(Pieces::of(backup, turn)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::NoSpace { .. } => Self::NoBackup { code: "disk_full", message: error.to_string() },
            BackupError::Failed => Self::Internal,
        }
    }
}

/// The file as a body. It says its length first, so that a reader knows when it did not get all of it.
struct Pieces {
    left: u64,
    pieces: mpsc::Receiver<io::Result<Bytes>>,
}

impl Pieces {
    fn of(backup: Backup, turn: OwnedSemaphorePermit) -> Self {
        let (sender, pieces) = mpsc::channel(BACKUP_PIECES_MAX);
        let Backup { file, bytes, header: _ } = backup;
        tokio::spawn(async move {
            send(file, sender).await;
            drop(turn);
        });
        Self { left: bytes, pieces }
    }
}

/// Until the end, or until the reader has gone or stands still.
async fn send(mut file: File, pieces: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; BACKUP_PIECE_BYTES];
            let read = file.read(&mut piece).map(|n| {
                piece.truncate(n);
                Bytes::from(piece)
            });
            (file, read)
        });
        let Ok((same, read)) = read.await else { return };
        file = same;
        let is_last = !matches!(&read, Ok(piece) if !piece.is_empty());
        if is_last && read.is_ok() {
            return;
        }
        match tokio::time::timeout(BACKUP_STALL_MAX, pieces.send(read)).await {
            Ok(Ok(())) if !is_last => {}
            Ok(_) => return,
            Err(_) => {
                tracing::warn!("a backup was cut off: its reader took nothing for {BACKUP_STALL_MAX:?}");
                return;
            }
        }
    }
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.pieces.poll_recv(cx).map(|piece| match piece {
            Some(piece) => Some(piece.map(|piece| {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Frame::data(piece)
            })),
            None if self.left > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
