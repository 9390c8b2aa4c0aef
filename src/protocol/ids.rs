//! The identifiers that cross module borders, each a type of its own so that none is mistaken for another.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Borrow, fmt, sync::Arc};

/// A Raft node's number, unique in its cluster for ever.
pub type NodeId = u64;

/// Why a string cannot be an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {max} characters of A-Z a-z 0-9 _ . @ + - (got {got:?})")]
pub struct IdError {
    what: &'static str,
    max: usize,
    got: String,
}

/// Longest tenant name, in bytes.
pub const TENANT_BYTES_MAX: usize = 64;
/// Longest user id, in bytes.
pub const USER_ID_BYTES_MAX: usize = 64;

fn checked(what: &'static str, max: usize, s: &str) -> Result<Arc<str>, IdError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'@' | b'+' | b'-');
    if s.is_empty() || s.len() > max || !s.bytes().all(allowed) {
        let got = s.chars().take(80).collect();
        return Err(IdError { what, max, got });
    }
    Ok(s.into())
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks length and alphabet.
            ///
            /// # Errors
            /// When `s` is empty, too long or has a character outside the alphabet.
            pub fn new(s: &str) -> Result<Self, IdError> {
                checked($what, $max, s).map(Self)
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        // Stored and replicated as plain text; checked again when read back.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let s = String::deserialize(d)?;
                Self::new(&s).map_err(serde::de::Error::custom)
            }
        }
    };
}

string_id! {
    /// Whose data it is. Part of every key and every group; tenants never see each other.
    Tenant, "a tenant", TENANT_BYTES_MAX
}

string_id! {
    /// A user within a tenant. A string inside; on the wire see [`UserId::wire`].
    UserId, "a user id", USER_ID_BYTES_MAX
}

impl Default for Tenant {
    fn default() -> Self {
        Self("default".into())
    }
}

/// Largest integer that every JSON reader keeps exact (2^53 − 1).
pub const JSON_INTEGER_MAX: u64 = (1 << 53) - 1;

impl UserId {
    /// The id as pages see it: a JSON integer when it is a canonical decimal up to 2^53−1, else a string.
    pub fn wire(&self) -> serde_json::Value {
        match self.0.parse::<u64>() {
            Ok(n) if n <= JSON_INTEGER_MAX && n.to_string() == *self.0 => n.into(),
            _ => self.as_str().into(),
        }
    }

    /// Reads an id that came as a JSON string or as a non-negative integer.
    ///
    /// # Errors
    /// When the value is of another kind, or the text is no id.
    pub fn from_wire(value: &serde_json::Value) -> Result<Self, IdError> {
        match value {
            serde_json::Value::String(s) => Self::new(s),
            serde_json::Value::Number(n) if n.is_u64() => Self::new(&n.to_string()),
            other => Self::new(&other.to_string()).and(Err(IdError {
                what: "a user id",
                max: USER_ID_BYTES_MAX,
                got: other.to_string().chars().take(80).collect(),
            })),
        }
    }
}

/// Where in the log a durable event happened: `log index << 16 | command within the entry`.
///
/// Ascends along the log of one history; 0 is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pos(pub u64);

impl Pos {
    /// Most commands that one log entry may hold.
    pub const COMMANDS_PER_ENTRY_MAX: usize = 1 << 16;

    /// The position of command `nth` of the entry at log index `index`.
    pub fn new(index: u64, nth: usize) -> Self {
        debug_assert!(nth < Self::COMMANDS_PER_ENTRY_MAX);
        Self(index << 16 | nth as u64)
    }

    /// Which command of its entry it is.
    pub fn nth(self) -> usize {
        // Less than 2^16.
        usize::try_from(self.0 & 0xffff).unwrap_or(0)
    }

    /// The entry's log index.
    pub fn index(self) -> u64 {
        self.0 >> 16
    }
}

/// One connection, unique in the cluster: `node << 48 | boot << 32 | counter`, of the boot its last 16 bits. It stands in the
/// log as the actor of a change, and such an entry may be applied after its node has started again: it must not mean another
/// connection then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionId(pub u64);

impl SessionId {
    /// The first of a boot of a node; the others count up from it.
    pub const fn first_of((node, boot): (NodeId, u64)) -> Self {
        Self(node << 48 | (boot & 0xffff) << 32 | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_two_nodes_or_two_boots_are_never_the_same() {
        let mut firsts = Vec::new();
        for of in [(1, 1), (1, 2), (2, 1), (65_535, 1), (1, 65_535), (1, 65_536 + 3)] {
            firsts.push(SessionId::first_of(of).0);
        }
        firsts.sort_unstable();
        // Each has room for four billion.
        assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] >= 1 << 32), "{firsts:x?}");
        assert_eq!(SessionId::first_of((1, 65_536 + 3)), SessionId::first_of((1, 3)), "the boot's last bits");
    }

    #[test]
    fn a_user_id_is_an_integer_on_the_wire_only_when_it_is_canonical_and_exact() {
        let table = [
            ("1", serde_json::json!(1)),
            ("0", serde_json::json!(0)),
            ("9007199254740991", serde_json::json!(9_007_199_254_740_991_u64)),
            ("9007199254740992", serde_json::json!("9007199254740992")),
            ("007", serde_json::json!("007")),
            ("+7", serde_json::json!("+7")),
            ("-1", serde_json::json!("-1")),
            ("ada", serde_json::json!("ada")),
        ];
        for (id, wire) in table {
            assert_eq!(UserId::new(id).expect(id).wire(), wire, "{id}");
        }
    }

    #[test]
    fn ids_from_outside_are_checked() {
        for bad in ["", "a b", "a/b", "ü", "a\0", &"x".repeat(65)] {
            assert!(UserId::new(bad).is_err(), "{bad:?}");
        }
        for bad in [serde_json::json!(1.5), serde_json::json!(null), serde_json::json!(true), serde_json::json!(-1)] {
            assert!(UserId::from_wire(&bad).is_err(), "{bad}");
        }
        assert_eq!(UserId::from_wire(&serde_json::json!(42)), UserId::new("42"));
    }
}
