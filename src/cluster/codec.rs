//! openraft's values as bytes: log entries, votes, what the tables have applied.

use super::types::{LogId, Membership};
use carillon_storage::codec::{self, CodecError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Version byte of everything that openraft has us store.
const VERSION: u8 = 1;

pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    codec::encode(VERSION, value)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    codec::decode(VERSION, bytes)
}

/// Up to where the tables have applied the log, stored with every commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedState {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: Membership,
}

impl AppliedState {
    /// Bytes that begin with the log index, big-endian, so that readers need not know the rest.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let index = self.last.map_or(0, |last| last.index);
        let mut bytes = index.to_be_bytes().to_vec();
        bytes.extend(encode(self)?);
        Ok(bytes)
    }

    /// Reads what [`Self::encode`] wrote; no bytes at all are tables that have applied nothing.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        decode(bytes.get(size_of::<u64>()..).unwrap_or_default())
    }
}
