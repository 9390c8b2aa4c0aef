//! A publication on its way through the shards: encoded once for each edition, shared by all.

use crate::{
    protocol::{Cursor, Group, InV1, Pos, SessionId, edition, websocket},
    session::outbox::{Chunk, Kind},
    tally::Count,
};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// Something to say to a group.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Who hears it.
    pub group: Group,
    /// JSON texts, in order; they stay together. None at all: it is for v1 alone.
    pub frames: Vec<Bytes>,
    /// What members get that speak `carillon.v1`.
    pub v1: InV1,
    /// Where in the log it happened, if it is durable. `None`: ephemeral.
    pub pos: Option<Pos>,
    /// A session that doesn't get it: the one that caused it.
    pub except: Option<SessionId>,
}

/// What shards get.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) group: Group,
    /// For v0; `None` if there is nothing in it.
    pub(super) chunk: Option<Chunk>,
    pub(super) v1: InV1,
    /// Made for the first member that speaks v1.
    v1_chunk: OnceLock<Chunk>,
    /// JSON texts, for v1 where that is the same.
    frames: Vec<Bytes>,
    at: Option<Cursor>,
    pub(super) except: Option<SessionId>,
    pub(super) count: Arc<Count>,
}

impl Job {
    /// `history` becomes part of the positions that v1 shows.
    pub(super) fn new(publication: Publication, history: u64, shards: usize) -> Self {
        let Publication { group, frames, v1, pos, except } = publication;
        let chunk = (!frames.is_empty()).then(|| Chunk {
            bytes: websocket::encode_texts(&frames),
            frames: u32::try_from(frames.len()).unwrap_or(u32::MAX),
            kind: kind(pos),
        });
        let at = pos.map(|pos| Cursor { history, pos });
        Self { group, chunk, v1, v1_chunk: OnceLock::new(), frames, at, except, count: Arc::new(Count::new(shards)) }
    }

    /// One message for members that speak v1.
    pub(super) fn v1_chunk(&self) -> &Chunk {
        self.v1_chunk.get_or_init(|| {
            let text = match &self.v1 {
                InV1::Instead(frames) => edition::message(frames, self.at),
                _ => {
                    // They were made from strings.
                    let texts: Vec<_> = self.frames.iter().map(|frame| String::from_utf8_lossy(frame)).collect();
                    edition::message(&texts, self.at)
                }
            };
            v1_message(&text, self.at.map(|at| at.pos))
        })
    }

    /// Where it happened, if it is durable.
    pub(super) fn pos(&self) -> Option<Pos> {
        self.at.map(|at| at.pos)
    }
}

/// One message of v1 as a chunk.
pub(super) fn v1_message(text: &str, pos: Option<Pos>) -> Chunk {
    Chunk { bytes: websocket::encode(websocket::TEXT, text.as_bytes()), frames: 1, kind: kind(pos) }
}

fn kind(pos: Option<Pos>) -> Kind {
    pos.map_or(Kind::Ephemeral, Kind::Durable)
}
