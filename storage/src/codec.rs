//! Typed values to bytes and back: a version byte, then bincode. The only place of this crate that names bincode.
//!
//! The version byte belongs to the caller's type: a format that changes gets a new number, and an older program refuses
//! it by name instead of reading nonsense. Enum variants are only ever appended. It is not self-describing: whoever
//! decodes must know the type.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use serde::{Serialize, de::DeserializeOwned};

/// The largest value that is decoded, in bytes. A damaged length can ask for no more memory than this.
pub const DECODE_BYTES_MAX: usize = 64 << 20;

/// Why a value could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value has a shape that bincode cannot express (a sequence of unknown length, a flattened map).
    #[error("the value cannot be encoded: {0}")]
    Encode(String),
    /// There is no version byte.
    #[error("an empty value was read where version {expected} was expected")]
    Empty {
        /// The version that the caller knows.
        expected: u8,
    },
    /// Written by another version of the program.
    #[error("the value has format version {found}, this program reads version {expected}")]
    Version {
        /// The version that was read.
        found: u8,
        /// The version that the caller knows.
        expected: u8,
    },
    /// The bytes are no value of this type.
    #[error("the value cannot be decoded: {0}")]
    Decode(String),
    /// The value ended before the bytes did.
    #[error("{0} bytes are left over behind the value")]
    Trailing(usize),
}

fn config() -> Configuration<LittleEndian, Varint, Limit<DECODE_BYTES_MAX>> {
    bincode::config::standard().with_limit::<DECODE_BYTES_MAX>()
}

/// The bytes of `value`, its format `version` first.
///
/// # Errors
/// When serde hands bincode a shape that it has no form for.
pub fn encode<T: Serialize>(version: u8, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = vec![version];
    bincode::serde::encode_into_std_write(value, &mut out, config())
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    Ok(out)
}

/// The value that [`encode`] wrote with this `version`. It must use up all the bytes.
///
/// # Errors
/// Another version, bytes that are no such value or larger than [`DECODE_BYTES_MAX`], bytes left over.
pub fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, CodecError> {
    let (found, body) = bytes.split_first().ok_or(CodecError::Empty { expected: version })?;
    if *found != version {
        return Err(CodecError::Version { found: *found, expected: version });
    }
    let (value, used) =
        bincode::serde::decode_from_slice(body, config()).map_err(|error| CodecError::Decode(error.to_string()))?;
    match body.len() - used {
        0 => Ok(value),
        left => Err(CodecError::Trailing(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Unit,
        Tuple(u64, String),
        Fields { id: i64, raw: Vec<u8>, maybe: Option<u32> },
    }

    #[test]
    fn the_bytes_of_version_one_never_change() -> Result<(), CodecError> {
        let cases: [(Sample, &[u8]); 3] = [
            (Sample::Unit, &[1, 0]),
            (Sample::Tuple(300, "hé".into()), &[1, 1, 251, 44, 1, 3, b'h', 0xc3, 0xa9]),
            (Sample::Fields { id: -2, raw: vec![7, 8], maybe: Some(5) }, &[1, 2, 3, 2, 7, 8, 1, 5]),
        ];
        for (value, golden) in cases {
            assert_eq!(encode(1, &value)?, golden, "{value:?}");
            assert_eq!(decode::<Sample>(1, golden)?, value);
        }
        Ok(())
    }

    #[test]
    fn an_unknown_version_is_named() {
        let error = decode::<u8>(1, &[9, 0]).map_err(|error| error.to_string());
        assert_eq!(error, Err("the value has format version 9, this program reads version 1".into()));
    }

    #[test]
    fn short_long_and_huge_values_are_errors() {
        assert!(matches!(decode::<u8>(1, &[]), Err(CodecError::Empty { .. })));
        assert!(matches!(decode::<String>(1, &[1, 5, b'a']), Err(CodecError::Decode(_))));
        assert!(matches!(decode::<u8>(1, &[1, 5, 5]), Err(CodecError::Trailing(1))));
        let huge = [1, 253, 255, 255, 255, 255, 255, 0, 0, 0];
        assert!(matches!(decode::<Vec<u8>>(1, &huge), Err(CodecError::Decode(_))));
    }
}
