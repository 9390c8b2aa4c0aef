//! `POST /backup`: a copy of everything of all tenants as a file, sent as fast as its reader takes it.
//!
//! Its scope is one of its own. `admin` belongs to a tenant, and no tenant may read another.

use crate::{
    cluster::{Backup, BackupError},
    config::limits::{BACKUP_PIECE_BYTES, BACKUP_PIECES_MAX, BACKUP_STALL_MAX},
    http::{
        ApiError,
        answer::Answer,
        openapi::{Kind, Operation},
        request::Request,
    },
};
use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::{
    fs::File,
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// `POST /backup`
pub(in crate::http) const BACKUP: Operation =
    Operation::reads("backup", "Everything of every tenant, as it stands now, in a file for `carillon restore`.")
        .answers(200, Kind::Bytes)
        .fails(&["busy", "disk_full"]);

/// `POST /backup`
pub(in crate::http) async fn backup(request: Request) -> Result<Answer, ApiError> {
    let inner = &request.api.inner;
    let turn = inner.backups.clone().try_acquire_owned().map_err(|_| ApiError::NoBackup {
        code: "busy",
        message: "another backup is under way: try again when it is done".into(),
    })?;
    let backup = inner.node.backup(inner.reserve_bytes).await?;
    tracing::info!(index = backup.header.log_index, bytes = backup.bytes, "a backup goes out");
    Ok(Answer::file(Body::new(Pieces::of(backup, turn))))
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
