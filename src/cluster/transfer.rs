//! A snapshot on its way to another node: on a connection of its own, piece by piece, not faster than allowed.
//!
//! It arrives in a file under a temporary name and counts only when every byte of it has been checked. A transfer that
//! breaks leaves nothing; openraft begins it again. Memory on either side: a few pieces.

use super::{
    identity::{Identity, IdentityError},
    links::{
        Links,
        frame::{Frame, Reader, Tag, Writer},
        handshake::HandshakeError,
        kind::Kind,
    },
    types::{Raft, SnapshotMeta, TypeConfig, Vote},
    wire::{self, Installed, Offer},
};
use crate::{
    config::limits::{LINK_SILENCE_MAX, SNAPSHOT_CHUNK_BYTES},
    protocol::NodeId,
};
use bytes::{Buf, Bytes};
use carillon_storage::{
    CodecError, SnapshotError,
    note::checksum,
    snapshot::{SnapshotFile, Snapshots},
    space,
};
use openraft::{Snapshot, raft::SnapshotResponse};
use std::{
    io::{self, Read},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Pieces between the disk and the wire.
const PIECES_WAITING: usize = 4;
/// How often a receiver that is busy says that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// A snapshot, and tables of its records, take up so many times its size.
const ROOM_FACTOR: u64 = 4;
/// Before each piece, its checksum.
const CRC_BYTES: usize = 4;

/// Where a snapshot goes.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) node: NodeId,
    pub(super) address: String,
    pub(super) bytes_per_second: u64,
}

/// Why a snapshot did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransferError {
    #[error("no connection: {0}")]
    Dial(#[from] HandshakeError),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("it was not installed: {0}")]
    Receiver(String),
    #[error("there are {free} bytes free, and {needed} are needed for it and the tables made of it")]
    NoRoom { free: u64, needed: u64 },
    #[error("a piece came out of order, or its checksum is wrong")]
    Damaged,
    #[error("a thread ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// Sends a snapshot and waits until it is installed there, or refused.
pub(super) async fn send(
    links: &Links,
    to: Destination,
    (vote, snapshot): (Vote, Snapshot<TypeConfig>),
) -> Result<SnapshotResponse<NodeId>, TransferError> {
    let (_, mut reader, mut writer) = links.dial(&to.address, to.node, Kind::Snapshot).await?;
    let file = snapshot.snapshot;
    tracing::info!(node = to.node, bytes = file.bytes, "sending a snapshot");
    let offer = Offer { vote, meta: snapshot.meta, bytes: file.bytes };
    writer.send(Frame::new(Tag::Message, 0, wire::encode(&offer)?)).await?;
    let mut pieces = read_file(*file);
    let begun = Instant::now();
    let mut offset = 0;
    while let Some(piece) = pieces.recv().await {
        let piece = piece?;
        let bytes = (piece.len() - CRC_BYTES) as u64;
        let frame = Frame::new(Tag::Message, offset, piece);
        tokio::select! {
            biased;
            // An answer before the end: the receiver does not want it.
            answer = answer(&mut reader) => return answer,
            sent = writer.send(frame) => sent?,
        }
        offset += bytes;
        tokio::time::sleep_until(begun + due(offset, to.bytes_per_second)).await;
    }
    writer.send(Frame::new(Tag::Request, offset, Bytes::new())).await?;
    answer(&mut reader).await
}

/// When so many bytes may have been sent.
fn due(bytes: u64, per_second: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / per_second.max(1))
}

async fn answer(reader: &mut Reader) -> Result<SnapshotResponse<NodeId>, TransferError> {
    loop {
        let frame = tokio::time::timeout(LINK_SILENCE_MAX.max(ALIVE_EVERY * 5), reader.next()).await;
        let frame = frame.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        match frame {
            Some(Frame { tag: Tag::Answer, body, .. }) => {
                return wire::decode::<Installed>(&body)?.map_err(TransferError::Receiver);
            }
            Some(Frame { tag: Tag::Pong, .. }) => {}
            Some(_) => return Err(io::Error::from(io::ErrorKind::InvalidData).into()),
            None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

/// The file's pieces, each behind its checksum, read on a thread of its own.
fn read_file(file: SnapshotFile) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let read = || -> io::Result<()> {
            let mut source = std::fs::File::open(&file.path)?;
            loop {
                let mut piece = vec![0; CRC_BYTES];
                let n = source.by_ref().take(SNAPSHOT_CHUNK_BYTES as u64).read_to_end(&mut piece)?;
                if n == 0 {
                    return Ok(());
                }
                let crc = checksum(&piece[CRC_BYTES..]);
                piece[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
                if pieces.blocking_send(Ok(piece)).is_err() {
                    return Ok(()); // Given up.
                }
            }
        };
        if let Err(error) = read() {
            // Whoever sends may have given up.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    waiting
}

/// What a receiver needs.
#[derive(Clone)]
pub(crate) struct Receiving {
    pub(super) raft: Raft,
    pub(super) snapshots: Snapshots,
    pub(super) identity: Arc<Identity>,
    /// Free space that nothing takes.
    pub(super) reserve_bytes: u64,
}

impl std::fmt::Debug for Receiving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiving").field("snapshots", &self.snapshots).finish_non_exhaustive()
    }
}

impl Receiving {
    /// Takes a snapshot and installs it; says at the end what came of it.
    pub(super) async fn receive(&self, (mut reader, mut writer): (Reader, Writer)) -> Result<(), TransferError> {
        let offer: Offer = match next(&mut reader).await? {
            Frame { tag: Tag::Message, body, .. } => wire::decode(&body)?,
            _ => return Err(TransferError::Damaged),
        };
        let own_vote = self.raft.metrics().borrow().vote;
        if own_vote > offer.vote {
            let refused: Installed = Ok(SnapshotResponse { vote: own_vote });
            writer.send(Frame::new(Tag::Answer, 0, wire::encode(&refused)?)).await?;
            return Ok(());
        }
        if let Err(error) = self.look_for_room(offer.bytes) {
            let refused: Installed = Err(error.to_string());
            writer.send(Frame::new(Tag::Answer, 0, wire::encode(&refused)?)).await?;
            return Err(error);
        }
        let file = self.take_file(&mut reader, offer.bytes).await?;
        let install = self.install(file, (offer.vote, offer.meta));
        tokio::pin!(install);
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        let installed = loop {
            tokio::select! {
                installed = &mut install => break installed,
                _ = alive.tick() => writer.send(Frame::new(Tag::Pong, 0, Bytes::new())).await?,
            }
        };
        let said: Installed = installed.map_err(|error| error.to_string());
        writer.send(Frame::new(Tag::Answer, 0, wire::encode(&said)?)).await?;
        said.map(|_| ()).map_err(TransferError::Receiver)
    }

    /// Tables that are filled beside the old ones must not meet the end of the disk: nothing that needs it survives that.
    fn look_for_room(&self, bytes: u64) -> Result<(), TransferError> {
        let needed = self.reserve_bytes.saturating_add(bytes.saturating_mul(ROOM_FACTOR));
        let free = space::free_bytes(self.snapshots.dir())?;
        if free < needed { Err(TransferError::NoRoom { free, needed }) } else { Ok(()) }
    }

    /// Writes the pieces on a thread of its own. Dropped, the thread sees the end of the pieces and leaves nothing.
    async fn take_file(
        &self,
        reader: &mut Reader,
        bytes: u64,
    ) -> Result<carillon_storage::snapshot::SnapshotReceiver, TransferError> {
        let snapshots = self.snapshots.clone();
        let (pieces, mut waiting) = mpsc::channel::<Bytes>(PIECES_WAITING);
        let writing = tokio::task::spawn_blocking(move || {
            let mut receiver = snapshots.receive()?;
            while let Some(piece) = waiting.blocking_recv() {
                receiver.write(&piece)?;
            }
            Ok::<_, SnapshotError>(receiver)
        });
        let mut offset = 0;
        loop {
            let Frame { tag, number, mut body } = next(reader).await?;
            if number != offset || offset > bytes {
                return Err(TransferError::Damaged);
            }
            match tag {
                Tag::Request if offset == bytes => break,
                Tag::Message if body.len() > CRC_BYTES => {
                    let crc = body.get_u32_le();
                    if crc != checksum(&body) {
                        return Err(TransferError::Damaged);
                    }
                    offset += body.len() as u64;
                    if pieces.send(body).await.is_err() {
                        break; // The thread has failed, and says why.
                    }
                }
                _ => return Err(TransferError::Damaged),
            }
        }
        drop(pieces);
        Ok(writing.await??)
    }

    async fn install(
        &self,
        receiver: carillon_storage::snapshot::SnapshotReceiver,
        (vote, meta): (Vote, SnapshotMeta),
    ) -> Result<SnapshotResponse<NodeId>, TransferError> {
        let (identity, index) = (self.identity.clone(), meta.last_log_id.map(|id| id.index));
        let file = tokio::task::spawn_blocking(move || {
            // Before the file has its name: a log that ends before a snapshot is otherwise taken for damaged.
            identity.set_installing(index)?;
            Ok::<_, TransferError>(receiver.finish()?)
        });
        let file = file.await??;
        tracing::info!(bytes = file.bytes, ?index, "a snapshot has arrived");
        let installed = self.raft.install_full_snapshot(vote, Snapshot { meta, snapshot: Box::new(file) }).await;
        installed.map_err(|fatal| TransferError::Receiver(fatal.to_string()))
    }
}

async fn next(reader: &mut Reader) -> Result<Frame, TransferError> {
    let frame = tokio::time::timeout(LINK_SILENCE_MAX, reader.next()).await;
    let frame = frame.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(frame.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?)
}
