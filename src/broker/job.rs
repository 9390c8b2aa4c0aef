//! A publication on its way through the shards: encoded once, shared by all.

use crate::{
    protocol::{Group, Pos, SessionId, websocket},
    session::outbox::{Chunk, Kind},
    tally::Count,
};
use bytes::Bytes;
use std::sync::Arc;

/// Something to say to a group.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Who hears it.
    pub group: Group,
    /// JSON texts, in order; they stay together.
    pub frames: Vec<Bytes>,
    /// Where in the log it happened, if it is durable. `None`: ephemeral.
    pub pos: Option<Pos>,
    /// A session that doesn't get it: the one that caused it.
    pub except: Option<SessionId>,
}

/// What shards get.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) group: Group,
    pub(super) chunk: Chunk,
    pub(super) except: Option<SessionId>,
    pub(super) count: Arc<Count>,
}

impl Job {
    pub(super) fn new(publication: Publication, shards: usize) -> Self {
        let Publication { group, frames, pos, except } = publication;
        let chunk = Chunk {
            bytes: websocket::encode_texts(&frames),
            frames: u32::try_from(frames.len()).unwrap_or(u32::MAX),
            kind: pos.map_or(Kind::Ephemeral, Kind::Durable),
        };
        Self { group, chunk, except, count: Arc::new(Count::new(shards)) }
    }
}
